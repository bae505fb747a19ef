import { GPU_UUID, normalizeBusId } from '../../model/device.ts';
import type { XidEvent } from '../../model/kernel-log.ts';
import { printable } from '../../model/text.ts';

/** What a line says; when it was said stands elsewhere. */
export type XidLine = Pick<XidEvent, 'kind' | 'code' | 'pciBusId' | 'gpuUuid' | 'gpuInstanceId' | 'pid' | 'processName' | 'detail'>;

/** Longer than any line of the driver. */
const LINE_CHARS = 2048;
const NAME_CHARS = 64;
const DETAIL_CHARS = 200;

/**
 * The driver's lines as they are in the wild, 304 to 590: `Xid (PCI:0000:3b:00): 79, …`, `Xid (0000:01:00): …` (before
 * 319), `Xid (PCI:0000:01:00 GPU-I:05): …` (MIG), a UUID instead of the bus id, and NVSwitch's `SXid (PCI:0000:c1:00.0):`.
 * Each is matched from its first character on: a name that a process chose stands only behind the code, and the longest
 * that the kernel lets begin a line (15 bytes) is shorter than what comes before one.
 */
const XID = /^NVRM: Xid \((?:(?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?)(?: GPU-I:([0-9a-f]{1,2}))?|(GPU-[0-9a-f-]{36})(?: GPU-I:([0-9a-f]{1,2}))?)\): (\d{1,5})(?:,|\.?$)/i;
const SXID = /^nvidia-nvswitch\d{1,3}: SXid \(PCI:([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?)\): (\d{1,6})(?:,|\.?$)/i;

/** `pid=1234`, `pid='<unknown>'`, or none; then `name=python3`, or none. A name ends at the next comma, whatever it is. */
const PROCESS = /^ ?(?:pid=(?:'?<unknown>'?|(\d{1,10})),? ?)?(?:name=([^,]{0,200}),? ?)?/;

/** A record's text as an error of a GPU or switch; null: it is none. */
export function parseXidLine(text: string): XidLine | null {
  const line = text.slice(0, LINE_CHARS);
  return parseXid(line) ?? parseSxid(line);
}

function parseXid(line: string): XidLine | null {
  const match = XID.exec(line);
  if (match === null) return null;
  const [whole, bus, instanceOfBus, uuid, instanceOfUuid, code] = match;
  const pciBusId = bus === undefined ? null : busIdOf(bus);
  const gpuUuid = uuid === undefined ? null : `GPU-${uuid.slice(4).toLowerCase()}`;
  if (pciBusId === null && (gpuUuid === null || !GPU_UUID.test(gpuUuid))) return null;
  const instance = instanceOfBus ?? instanceOfUuid;
  return { kind: 'xid', code: Number(code), pciBusId, gpuUuid, gpuInstanceId: instance === undefined ? null : Number.parseInt(instance, 16), ...victimIn(line.slice(whole.length)) };
}

function parseSxid(line: string): XidLine | null {
  const match = SXID.exec(line);
  const pciBusId = busIdOf(match?.[1] ?? '');
  if (match === null || pciBusId === null) return null;
  return { kind: 'sxid', code: Number(match[2]), pciBusId, gpuUuid: null, gpuInstanceId: null, pid: null, processName: null, detail: shown(line.slice(match[0].length)) };
}

/** The driver leaves the function out: a GPU is function 0. */
function busIdOf(text: string): string | null {
  return normalizeBusId(text.includes('.') ? text : `${text}.0`);
}

function victimIn(rest: string): Pick<XidLine, 'pid' | 'processName' | 'detail'> {
  const match = PROCESS.exec(rest);
  const [whole = '', pid, name] = match ?? [];
  const known = name !== undefined && name !== '' && name !== '<unknown>';
  return { pid: pid === undefined ? null : Number(pid), processName: known ? printable(name, NAME_CHARS) : null, detail: shown(rest.slice(whole.length)) };
}

function shown(text: string): string {
  return printable(text.trim(), DETAIL_CHARS);
}
