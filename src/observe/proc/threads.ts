import { readdirSync } from 'node:fs';
import { attempt } from './read.ts';

/**
 * Where /proc shows another thread of a process than its first one. The first may end while the others go on: then its own
 * folder shows no open files and no namespaces, and theirs do. Null: there is no other, as in a process of the kernel.
 */
export function otherThread(pid: number, root: string): string | null {
  const threads = attempt(() => readdirSync(`${root}/${pid}/task`));
  const other = threads.ok ? threads.value.find((thread) => thread !== String(pid)) : undefined;
  return other === undefined ? null : `${root}/${pid}/task/${other}`;
}
