import { parseStat } from './parse.ts';
import { readText } from './read.ts';

/**
 * Start time in ticks and run state of a pid this instant, read synchronously. Null: there is no such process.
 * `unreadable`: /proc does not tell, which is not the same.
 */
export function readState(pid: number, root = '/proc'): { readonly startTicks: number; readonly runState: string } | 'unreadable' | null {
  const stat = readText(`${root}/${pid}/stat`);
  if (!stat.ok) return stat.gone ? null : 'unreadable';
  return parseStat(stat.value) ?? 'unreadable';
}
