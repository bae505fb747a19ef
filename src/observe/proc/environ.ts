import { createQueue } from './queue.ts';
import { readHead } from './read.ts';

const MAX_BYTES = 1024 * 1024;
/** Of a value; more of it nobody reads. */
const MAX_VALUE = 65_536;
/** The kernel takes the lock of that process's memory: where a driver hangs with it held, nobody who reads this comes back. */
const environs = createQueue({ most: 2 });

/** The kernel does not say what is in an environment, or was not asked any more: it may be anything. */
export interface Unanswered {
  readonly why: string;
}

/**
 * The first value of a variable in the environment that a process was started with, as getenv(3) would find it. Null: not
 * set within the first MiB, or unreadable. At most 64 KiB of it. It is the process's own memory: it may say anything.
 */
export async function readEnviron(pid: number, key: string, root = '/proc'): Promise<string | null | Unanswered> {
  const path = `${root}/${pid}/environ`;
  const head = await environs.ask<Buffer>(path, (done) => { readHead(path, MAX_BYTES, done); });
  if (!head.ok) return head.unanswered === true ? { why: head.why } : null;
  const entries = head.value.toString('utf8').split('\0');
  // What follows the last NUL was cut at the limit, or is nothing.
  const entry = entries.slice(0, -1).find((each) => each.startsWith(`${key}=`));
  // A copy: a part of the text would keep the whole of it in memory.
  return entry === undefined ? null : Buffer.from(entry.slice(key.length + 1, key.length + 1 + MAX_VALUE)).toString();
}
