import type { XidEvent } from '../../model/kernel-log.ts';

/** Lines of one failure come within moments of each other: an exception is told for each unit of the GPU that met it. */
const TOGETHER_USEC = 10_000_000;
/** Of each code and device so many are kept of one look, the newest: a flood of one must push nothing else out. */
const KEPT = 50;

/** What belongs together made one, and what is too much left out. Oldest first; times and numbers are those of the last line. */
export function foldEvents(events: readonly XidEvent[]): readonly XidEvent[] {
  const open = new Map<string, XidEvent>();
  const done: XidEvent[] = [];
  for (const event of events) {
    const key = [keyOf(event), event.gpuInstanceId, event.pid, event.processName].join(' ');
    const before = open.get(key);
    if (before !== undefined && Math.abs(event.bootUsec - before.bootUsec) <= TOGETHER_USEC) {
      open.set(key, { ...before, at: event.at, bootUsec: event.bootUsec, sequence: event.sequence, lines: before.lines + event.lines });
      continue;
    }
    if (before !== undefined) done.push(before);
    open.set(key, event);
  }
  const all = [...done, ...open.values()];
  return [...Map.groupBy(all, keyOf).values()].flatMap((same) => same.toSorted(byTime).slice(-KEPT)).toSorted(byTime);
}

function keyOf({ kind, code, pciBusId, gpuUuid }: XidEvent): string {
  return [kind, code, pciBusId, gpuUuid].join(' ');
}

function byTime(a: XidEvent, b: XidEvent): number {
  return (a.sequence ?? 0) - (b.sequence ?? 0) || a.bootUsec - b.bootUsec;
}
