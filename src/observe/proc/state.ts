import { parseStat } from './parse.ts';
import { readText } from './read.ts';

/** Start time in ticks and run state of a pid this instant, read synchronously; null: there is no such process, or it is not readable. */
export function readState(pid: number, root = '/proc'): { readonly startTicks: number; readonly runState: string } | null {
  const stat = readText(`${root}/${pid}/stat`);
  return stat.ok ? parseStat(stat.value) : null;
}
