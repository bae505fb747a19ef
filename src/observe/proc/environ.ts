import { readHead } from './read.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * The first value of a variable in the environment that a process was started with, as getenv(3) would find it. Null: not
 * set within the first MiB, or unreadable. It is the process's own memory: it may say anything.
 */
export function readEnviron(pid: number, key: string, root = '/proc'): string | null {
  const head = readHead(`${root}/${pid}/environ`, MAX_BYTES);
  if (!head.ok) return null;
  const entries = head.value.toString('utf8').split('\0');
  // What follows the last NUL was cut at the limit, or is nothing.
  const entry = entries.slice(0, -1).find((each) => each.startsWith(`${key}=`));
  return entry === undefined ? null : entry.slice(key.length + 1);
}
