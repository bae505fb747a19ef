import { parseDuration } from '../../config/units.ts';
import { normalizeBusId } from '../../model/device.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { isoTime } from '../../model/time.ts';
import { printable } from '../../model/text.ts';
import { REASONS } from '../../model/reason.ts';
import { type Happening, queryHistory } from '../../record/ledger/query.ts';
import { ledgerFile } from '../ledger-file.ts';
import { colours, renderJson, renderTable } from '../render/text.ts';
import type { Globals } from '../globals.ts';
import type { Command } from '../run.ts';

interface Filter {
  readonly since?: string;
  readonly device?: string;
  readonly container?: string;
  readonly user?: string;
}

/** `gpuctl history`: what gpuctl did and why, newest last, from the ledger. */
export function historyCommand(filter: Filter): Command {
  return async ({ config }, globals) => {
    const wanted = { ...filter, ...(filter.device === undefined ? {} : { device: deviceIn(filter.device) }) };
    const { happenings, unreadable } = queryHistory(ledgerFile(config), sinceOf(filter.since ?? '7d', Date.now()));
    if (happenings === null) throw new GpuctlError(`the ledger cannot be read: ${unreadable ?? ''}`, { code: 'ledger-unreadable', exitCode: ExitCode.notObserved, hint: 'run as root' });
    const shown = happenings.map(rowOf).filter((row) => fits(row, wanted));
    process.stdout.write(globals.json === true ? renderJson(shown) : renderHistory(shown, globals));
    return ExitCode.ok;
  };
}

function sinceOf(text: string, now: number): number {
  const parsed = parseDuration(text);
  if ('problem' in parsed || parsed.value === null) throw new GpuctlError(`--since: ${'problem' in parsed ? parsed.problem : 'never is no time'}`, { code: 'usage', exitCode: ExitCode.usage });
  return now - parsed.value;
}

/** As the ledger writes it. Throws GpuctlError (exit 2) for an index: after a change of hardware it is another device's. */
function deviceIn(text: string): string {
  if (/^\d{1,3}(:\d{1,2})?$/.test(text)) throw new GpuctlError(`--device ${text}: the ledger knows devices by UUID, and reset ones by bus id`, { code: 'usage', exitCode: ExitCode.usage, hint: 'gpuctl status shows the UUID of each index' });
  return normalizeBusId(text) ?? text;
}

/** One line; plain JSON, a contract. */
interface Row {
  readonly at: string;
  readonly what: string;
  /** How it ended; null: it is not an act. */
  readonly result: string | null;
  readonly reason: string | null;
  readonly why: string;
  readonly container: { readonly id: string; readonly name: string | null } | null;
  readonly devices: readonly string[];
  readonly pid: number | null;
  readonly owner: string | null;
  readonly job: string | null;
}

const VERBS = { kill: 'ended a process', reset: 'reset a GPU', release: 'released a device', stop: 'stopped a container', remove: 'removed a container', warn: 'warned an owner', alert: 'alerted' } as const;
const nothing = { result: null, reason: null, why: '', container: null, devices: [], pid: null, owner: null, job: null } as const;

function rowOf(each: Happening): Row {
  const at = isoTime(each.at);
  switch (each.kind) {
    case 'act': return { ...nothing, ...targetOf(each.target), container: each.container, at, what: VERBS[each.verb], result: each.result ?? 'unknown', reason: each.reason, why: whyText(each.reason, each.detail), owner: each.owner, job: each.job };
    case 'held': return { ...nothing, at, what: 'saw a device held', container: { id: each.containerId, name: each.containerName }, devices: deviceOf(each), owner: each.owner };
    case 'pass': return { ...nothing, at, what: each.ended ? `a pass ended with ${each.exit ?? '?'}` : 'a pass did not end', why: each.ended ? '' : 'it runs, was killed, or was ended by an error', job: each.job };
  }
}

function deviceOf({ gpuUuid, migUuid }: { readonly gpuUuid: string; readonly migUuid: string | null }): readonly string[] {
  return migUuid === null ? [gpuUuid] : [migUuid, gpuUuid];
}

function targetOf(target: Extract<Happening, { kind: 'act' }>['target']): Partial<Row> {
  switch (target.kind) {
    case 'process': return { pid: target.pid, devices: target.gpuUuids };
    case 'gpu': return { devices: [target.uuid, target.pciBusId] };
    case 'allocation': return { devices: deviceOf(target) };
    case 'container': return {};
  }
}

/** Why it was done or left, then what became of it; once where both say the same. */
function whyText(reason: string | null, detail: string | null): string {
  return [...new Set([reasonText(reason), detail ?? ''])].filter((text) => text !== '').join('; ');
}

function reasonText(reason: string | null): string {
  return reason !== null && Object.hasOwn(REASONS, reason) ? REASONS[reason as keyof typeof REASONS] : (reason ?? '');
}

function fits({ devices, container, owner }: Row, filter: Filter): boolean {
  const device = filter.device === undefined || devices.some((each) => each.toLowerCase().startsWith(filter.device?.toLowerCase() ?? ''));
  const named = filter.container === undefined || container?.name === filter.container || (filter.container.length >= 4 && container?.id.startsWith(filter.container) === true);
  return device && named && (filter.user === undefined || owner === filter.user);
}

function renderHistory(rows: readonly Row[], globals: Globals): string {
  if (rows.length === 0) return 'Nothing in that time.\n';
  const paint = colours(globals);
  const table = rows.map(({ at, what, result, why, container, devices, pid, owner, job }) => [
    at.slice(0, 19).replace('T', ' '), job ?? '-', what, result ?? '-', aboutText(container, devices, pid), owner === null ? '-' : printable(owner, 32), printable(why, 200),
  ]);
  return `${renderTable([['UTC', 'JOB', 'WHAT', 'RESULT', 'ABOUT', 'OWNER', 'WHY'], ...table], (cell, row) => (row === 0 ? paint.dim(cell) : cell))}\n`;
}

function aboutText(container: Row['container'], devices: readonly string[], pid: number | null): string {
  const named = container === null ? null : printable(container.name ?? container.id.slice(0, 12), 40);
  return [pid === null ? null : `pid ${pid}`, named, devices[0] ?? null].filter((each) => each !== null).join(' ') || '-';
}
