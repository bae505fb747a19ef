import { type KernelLogCursor, type KernelLogView, isBeyond, type XidEvent } from '../../model/kernel-log.ts';
import { failed, observed, type Observed } from '../../model/observation.ts';
import { readBootId } from '../proc/self.ts';
import { foldEvents } from './fold.ts';
import { type LogLine, readJournal } from './journal.ts';
import { type LogBounds, type LogContent, type LogReader, openLog, readLog } from './kmsg.ts';
import { parseXidLine } from './xid-line.ts';

/** What reads the kernel log is made of. */
export interface KernelLogParts {
  /** /dev/kmsg. */
  readonly path: string;
  /** The program that reads the journal, asked only where `path` cannot be opened. */
  readonly journalctl: string;
  /** How far it was read before, asked at each reading; null: never. */
  readonly since: () => KernelLogCursor | null;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  readonly host?: LogHost;
}

/** What of the host a reading depends on besides. */
export interface LogHost {
  open(path: string): LogReader;
  /** Null: not known. */
  bootId(): string | null;
  /** The kernel's monotonic clock, microseconds since boot. */
  uptimeUsec(): number;
}

const THIS_HOST: LogHost = { open: openLog, bootId: () => readBootId(), uptimeUsec: () => Number(process.hrtime.bigint() / 1000n) };

const BOUNDS: LogBounds = { maxBytes: 32 * 1024 * 1024, maxMs: 1000 };

/** In every line of an Xid and of an SXid. */
const WANTED = 'Xid (';

/**
 * Reads what the driver wrote to the kernel log since the last reading: from the kernel's own ring, or, where that may not
 * be opened, from the journal. *Partial*: records were lost between the readings. Never throws, and starts no child
 * process on the way that is usual.
 */
export async function observeKernelLog(parts: KernelLogParts): Promise<Observed<KernelLogView>> {
  const host = parts.host ?? THIS_HOST;
  const bootId = host.bootId();
  if (bootId === null) return failed('error', 'the boot id is unreadable');
  const before = parts.since();
  const reading: Reading = { bootId, before: before?.bootId === bootId ? before : null, now: parts.now(), uptimeUsec: host.uptimeUsec() };
  const reader = tryOpen(host, parts.path);
  if (typeof reader === 'string') return fromJournal(parts, reading, `${parts.path}: ${reader}`);
  try {
    return fromRing(await readLog(reader, WANTED, { ...BOUNDS, monotonicMs: () => host.uptimeUsec() / 1000 }), reading);
  } finally {
    reader.close();
  }
}

/** The log, or why it cannot be opened. */
function tryOpen(host: LogHost, path: string): LogReader | string {
  try {
    return host.open(path);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

interface Reading {
  readonly bootId: string;
  /** How far this boot's log was read before; null: not at all. */
  readonly before: KernelLogCursor | null;
  readonly now: number;
  readonly uptimeUsec: number;
}

function fromRing({ records, first, last, missing }: LogContent, reading: Reading): Observed<KernelLogView> {
  const { bootId, now } = reading;
  // A host that was taken back to an earlier state counts anew: what it says now was not read before.
  const before = last !== null && (reading.before?.sequence ?? -1) > last.sequence ? null : reading.before;
  const reached = before?.sequence ?? null;
  const lost = reached !== null && first !== null && first.sequence > reached + 1;
  const cursor = last === null ? before : { bootId, sequence: last.sequence, bootUsec: last.bootUsec, journal: null, readAt: now };
  const view: KernelLogView = { source: 'kmsg', bootId, cursor, events: eventsIn(records, { ...reading, before }) };
  return observed(view, gapsOf([...missing, ...(lost ? ['records were overwritten since it was last read'] : [])]));
}

async function fromJournal({ journalctl }: KernelLogParts, reading: Reading, refusal: string): Promise<Observed<KernelLogView>> {
  const { bootId, before, now } = reading;
  const after = before?.journal ?? null;
  const seen = await readJournal(journalctl, WANTED, after);
  if (seen.state === 'failed') return failed(/: E(?:PERM|ACCES)$/.test(refusal) ? 'not-permitted' : seen.code, `${refusal}; ${seen.why}`);
  const { lines, last, cut } = seen.value;
  const cursor = last === null ? before : { bootId, sequence: null, bootUsec: last.bootUsec, journal: last.cursor, readAt: now };
  const view: KernelLogView = { source: 'journal', bootId, cursor, events: eventsIn(lines, reading) };
  return observed(view, gapsOf(cut && after !== null ? ['more was written since it was last read than is read in one go'] : []));
}

function gapsOf(why: readonly string[]): readonly { readonly subject: string; readonly why: string }[] {
  return why.map((each) => ({ subject: 'kernel log', why: each }));
}

function eventsIn(lines: readonly LogLine[], reading: Reading): readonly XidEvent[] {
  const { before } = reading;
  return foldEvents(lines.filter((line) => before === null || isBeyond(line, before)).flatMap((line): readonly XidEvent[] => {
    const said = parseXidLine(line.text);
    return said === null ? [] : [{ ...said, at: instantOf(line.bootUsec, reading), bootUsec: line.bootUsec, sequence: line.sequence, lines: 1 }];
  }));
}

/**
 * The kernel's clock drifts from the wall's over weeks, but what the last reading did not see came after it, and nothing
 * comes from the future.
 */
function instantOf(bootUsec: number, { before, now, uptimeUsec }: Reading): number {
  const estimate = Math.round(now - (uptimeUsec - bootUsec) / 1000);
  return Math.min(now, Math.max(before?.readAt ?? Number.NEGATIVE_INFINITY, estimate));
}
