import type { Gpu } from '../model/device.ts';
import type { Finding, Severity } from '../model/finding.ts';
import type { History, ResetRecord } from '../model/history.ts';
import { isBeyond, type SeenXid } from '../model/kernel-log.ts';
import { type Observed, seen } from '../model/observation.ts';
import { known } from '../model/reading.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { isoTime } from '../model/time.ts';
import { burstFindings } from './xid-bursts.ts';
import { XID_SOURCE, type XidEntry, xidEntry } from './xid-catalogue.ts';
import { remedyOf } from './xid-remedies.ts';

/*
 * How long an Xid is a finding. What concerns the board lasts until the device was reset successfully after it, or the
 * host rebooted; where the driver itself has a recovery action and says None, that outranks the catalogue, and the Xid is
 * told for a day only, as a warning at most. What concerns a program alone, or nobody, is told for a day, for information.
 */
const TOLD_MS = 24 * 3_600_000;
/** A clean-up (45) belongs to an error that came so shortly before it, or to one that the same look found. */
const FOLLOWS_MS = 60_000;
const CLEAN_UP = 45;
const RECOVERY_CHANGED = 154;

/** What is known of this boot's kernel log: what the ledger remembers, and what this look found beyond that. None where the boot is not known. */
export function currentXids({ kernelLog, processes, takenAt }: Pick<Snapshot, 'kernelLog' | 'processes' | 'takenAt'>, { kernelLog: memory }: Pick<History, 'kernelLog'>): readonly SeenXid[] {
  const view = kernelLog === undefined ? null : seen(kernelLog);
  const bootId = view?.bootId ?? seen(processes)?.bootId ?? null;
  if (bootId === null) return [];
  const cursor = memory?.cursor?.bootId === bootId ? memory.cursor : null;
  const fresh = (view?.events ?? []).filter((event) => cursor === null || isBeyond(event, cursor));
  return [...(memory?.xids ?? []).filter((xid) => xid.bootId === bootId), ...fresh.map((event) => ({ ...event, bootId, seenAt: takenAt }))];
}

/** Each look reads on where the one before it ended: what that one lost is lost to the whole pass, and a complete look after it does not make up for it. */
export function withGapsOf<T extends Pick<Snapshot, 'kernelLog'>>(snapshot: T, before: Pick<Snapshot, 'kernelLog'> | undefined): T {
  const [log, lost] = [snapshot.kernelLog, before?.kernelLog];
  if (log === undefined || log.state === 'failed' || lost?.state !== 'partial') return snapshot;
  const gaps = [...lost.missing, ...(log.state === 'partial' ? log.missing : [])];
  const missing = [...new Map(gaps.map((gap) => [gap.why, gap])).values()];
  return { ...snapshot, kernelLog: { state: 'partial', value: log.value, missing } };
}

export interface XidFacts {
  readonly snapshot: Pick<Snapshot, 'kernelLog' | 'processes' | 'takenAt' | 'driver'>;
  readonly history: Pick<History, 'kernelLog' | 'resets' | 'inventory'>;
  readonly gpus: readonly Gpu[];
}

/** What the kernel log says of devices, each code of each device once; and what of the log could not be read. */
export function xidFindings({ snapshot, history, gpus }: XidFacts): readonly Finding[] {
  const now = snapshot.takenAt;
  const xids = currentXids(snapshot, history).map((xid) => placed(xid, gpus, history)).filter((each) => !isSettled(each.xid, each.uuid, history.resets, now));
  const lasting = xids.filter((each) => lasts(each, now));
  const told = [...Map.groupBy(lasting, keyOf).values()].flatMap((same) => findingOf(same, xids, snapshot.driver.state === 'failed'));
  return [...logFindings(snapshot.kernelLog), ...told, ...burstFindings(xids, gpus.length, now)];
}

/** An Xid with the device that it names. */
export interface PlacedXid {
  readonly xid: SeenXid;
  /** Null: nvidia-smi does not show it. */
  readonly gpu: Gpu | null;
  /** Null: neither nvidia-smi nor the inventory knows a GPU there. */
  readonly uuid: string | null;
}

function placed(xid: SeenXid, gpus: readonly Gpu[], { inventory = [] }: Pick<History, 'inventory'>): PlacedXid {
  if (xid.kind === 'sxid') return { xid, gpu: null, uuid: null };
  const gpu = gpus.find((each) => isOn(xid, each)) ?? null;
  const missing = inventory.find((each) => (xid.pciBusId === null ? each.gpuUuid === xid.gpuUuid : each.pciBusId === xid.pciBusId));
  return { xid, gpu, uuid: gpu?.uuid ?? missing?.gpuUuid ?? null };
}

function isOn({ kind, pciBusId, gpuUuid }: SeenXid, gpu: Pick<Gpu, 'uuid' | 'pciBusId'>): boolean {
  return kind === 'xid' && (pciBusId === null ? gpuUuid === gpu.uuid : pciBusId === gpu.pciBusId);
}

function keyOf(each: PlacedXid): string {
  return [each.xid.kind, each.xid.code, deviceOf(each)].join(' ');
}

/** By the best name that it has, so that lines which name it differently are of one device. */
function deviceOf({ xid, uuid }: PlacedXid): string | null {
  return uuid ?? xid.pciBusId ?? xid.gpuUuid;
}

/** Did a successful reset come after it? What was seen before a reset happened before it, whatever the clocks say. A reset in the future is of a clock that was wrong. */
function isSettled(xid: SeenXid, uuid: string | null, resets: readonly ResetRecord[], now: number): boolean {
  return resets.some((reset) => reset.succeeded && reset.gpuUuid === uuid && reset.at <= now && (xid.at <= reset.at || xid.seenAt <= reset.at));
}

/** The last successful reset of each device that something in the memory of the kernel log came before: that is over for good. */
export function settlingResets(gpus: readonly Gpu[], { kernelLog, resets }: Pick<History, 'kernelLog' | 'resets'>, now: number): readonly { readonly gpu: Gpu; readonly at: number }[] {
  return gpus.flatMap((gpu) => {
    const mine = (kernelLog?.xids ?? []).filter((xid) => isOn(xid, gpu));
    const before = resets.filter((reset) => mine.some((xid) => isSettled(xid, gpu.uuid, [reset], now)));
    return before.length === 0 ? [] : [{ gpu, at: Math.max(...before.map(({ at }) => at)) }];
  });
}

/** A negative age is of a clock that was put back: it is told rather than forgotten. */
function lasts(placedXid: PlacedXid, now: number): boolean {
  const { xid } = placedXid;
  if (now - xid.at < TOLD_MS) return true;
  if (xid.kind === 'sxid') return isFatal(xid);
  return concernsBoard(xid) && !isOutranked(placedXid);
}

function concernsBoard({ code }: SeenXid): boolean {
  const action = xidEntry(code)?.action;
  return code !== CLEAN_UP && (action === 'reset' || action === 'reboot' || action === 'follow' || action === 'check');
}

/** The driver has a recovery action of its own, and asks for none. */
function isOutranked({ gpu }: PlacedXid): boolean {
  return gpu !== null && known(gpu.recovery) === 'none';
}

/** Behind the code and before anything that a process chose. */
function isFatal({ detail }: SeenXid): boolean {
  return /^Fatal\b/.test(detail);
}

/** One finding for all events of one code on one device. */
function findingOf(same: readonly PlacedXid[], all: readonly PlacedXid[], blind: boolean): readonly Finding[] {
  const latest = same.reduce((a, b) => (b.xid.at >= a.xid.at ? b : a));
  const { xid, uuid } = latest;
  if (xid.kind === 'sxid') return [switchFinding(latest.xid, same)];
  if (xid.code === CLEAN_UP && same.every((each) => followsAnother(each, all))) return [];
  const entry = xidEntry(xid.code);
  return [{
    id: `gpu.xid.${xid.code}`,
    severity: severityOf(latest, entry),
    subject: uuid === null ? {} : { gpu: uuid },
    message: `${nameOf(latest, entry)}${placeOf(latest, blind)}${timesOf(same)}${sayingOf(xid)}${outrankedOf(latest)}`,
    remedy: remedyOf(xid.code, entry, latest.gpu?.recovery ?? null),
    evidence: { code: xid.code, action: entry?.action ?? null, busId: xid.pciBusId, at: isoTime(xid.at), events: same.length, lines: same.reduce((sum, each) => sum + each.xid.lines, 0) },
    source: `${XID_SOURCE.document}, ${XID_SOURCE.date}`,
  }];
}

function followsAnother(each: PlacedXid, all: readonly PlacedXid[]): boolean {
  const { xid } = each;
  return all.some((other) => other.xid.kind === 'xid' && other.xid.code !== CLEAN_UP && deviceOf(other) === deviceOf(each) && (Math.abs(xid.at - other.xid.at) <= FOLLOWS_MS || xid.seenAt === other.xid.seenAt));
}

function severityOf(latest: PlacedXid, entry: XidEntry | null): Severity {
  const { code } = latest.xid;
  if (entry === null || code === CLEAN_UP) return 'info';
  // It only says that the recovery action is worth reading, which was done.
  if (code === RECOVERY_CHANGED && latest.gpu !== null && known(latest.gpu.recovery) !== null) return 'info';
  switch (entry.action) {
    case 'restart': case 'none': return 'info';
    case 'follow': case 'update': return 'warning';
    case 'reset': case 'reboot': case 'check': return isOutranked(latest) ? 'warning' : 'critical';
  }
}

function nameOf({ xid }: PlacedXid, entry: XidEntry | null): string {
  return `Xid ${xid.code} (${entry?.meaning ?? 'a code that the catalogue does not classify'})`;
}

function placeOf({ xid, gpu, uuid }: PlacedXid, blind: boolean): string {
  const instance = xid.gpuInstanceId === null ? '' : `, GPU instance ${xid.gpuInstanceId}`;
  if (gpu !== null) return instance;
  const where = xid.pciBusId ?? xid.gpuUuid ?? '';
  if (blind || uuid !== null) return ` of the GPU at ${where}${instance}`;
  return ` of a GPU at ${where}${instance}, where nvidia-smi shows none`;
}

function timesOf(same: readonly PlacedXid[]): string {
  const times = same.map(({ xid }) => xid.at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  return same.length === 1 ? ` at ${isoTime(last)}` : `, ${same.length} times between ${isoTime(first)} and ${isoTime(last)}`;
}

function sayingOf({ pid, processName, detail }: SeenXid): string {
  const who = pid === null && processName === null ? '' : `, process ${pid ?? '?'}${processName === null ? '' : ` (${JSON.stringify(processName)})`}`;
  return `${who}${detail === '' ? '' : `: ${detail}`}`;
}

function outrankedOf(latest: PlacedXid): string {
  const action = xidEntry(latest.xid.code)?.action;
  return isOutranked(latest) && (action === 'reset' || action === 'reboot') ? '; the driver asks for no recovery action, which counts for more' : '';
}

function switchFinding(xid: SeenXid, same: readonly PlacedXid[]): Finding {
  return {
    id: `nvswitch.sxid.${xid.code}`, severity: isFatal(xid) ? 'critical' : 'info', subject: {},
    message: `SXid ${xid.code} of the NVSwitch at ${xid.pciBusId ?? '?'}${timesOf(same)}${sayingOf(xid)}`,
    remedy: isFatal(xid) ? 'drain the host, then reset the switches and all GPUs behind them together, or reboot it; see the log of nvidia-fabricmanager' : 'nothing; see the log of nvidia-fabricmanager if it comes again',
  };
}

/**
 * The kernel log is no source that an act needs: where it may not be read, which is so for every plain user, that is
 * information. Lines that were lost may have been Xids, which is worth a warning.
 */
function logFindings(log: Observed<unknown> | undefined): readonly Finding[] {
  if (log === undefined || log.state === 'complete') return [];
  if (log.state === 'partial') return log.missing.map(({ why }): Finding => ({ id: 'source.kernel-log.partial', severity: 'warning', subject: {}, message: `kernel log: ${why}; Xids may have been missed`, remedy: 'a larger ring (log_buf_len on the kernel\'s command line) holds more; journalctl -k -g Xid may still show them' }));
  const refused = log.code === 'not-permitted' || log.code === 'not-installed';
  return [{ id: 'source.kernel-log.failed', severity: refused ? 'info' : 'warning', subject: {}, message: `kernel log: ${log.why}; Xids are not seen`, remedy: 'run as root, where /dev/kmsg or the journal can be read' }];
}

/** An Xid that calls for a reset. */
export interface XidWant {
  readonly code: number;
  readonly at: number;
}

export interface XidWantFacts {
  readonly gpu: Gpu;
  /** As `currentXids` gives them. */
  readonly xids: readonly SeenXid[];
  readonly resets: readonly ResetRecord[];
  readonly now: number;
}

/**
 * Does the kernel log alone call for a reset? Only where the driver has no recovery action of its own to say so (absent
 * or unsupported; one that could not be read is neither), the catalogue says "reset the GPU", and no successful reset came
 * since. Null: it does not.
 */
export function xidWantsReset({ gpu, xids, resets, now }: XidWantFacts): XidWant | null {
  if (gpu.recovery.kind !== 'absent' && gpu.recovery.kind !== 'unsupported') return null;
  const calling = xids.filter((xid) => isOn(xid, gpu) && xidEntry(xid.code)?.action === 'reset' && !isSettled(xid, gpu.uuid, resets, now));
  const last = calling.at(-1);
  return last === undefined ? null : { code: last.code, at: last.at };
}
