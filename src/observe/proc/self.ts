import { parseStat } from './parse.ts';
import { readText } from './read.ts';

/** This boot's id; null: unreadable. With a start time and a pid it names a process for ever. */
export function readBootId(root = '/proc'): string | null {
  const text = readText(`${root}/sys/kernel/random/boot_id`);
  const id = text.ok ? text.value.trim() : '';
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : null;
}

/** gpuctl and all its ancestors, from itself upwards; null: the line could not be followed to its end. */
export function readOwnPids(root = '/proc', pid: number = process.pid): readonly number[] | null {
  const line = followParents(pid, root);
  // An ancestor that ended in the middle has handed its children on: the second time the line is whole.
  return line ?? followParents(pid, root);
}

function followParents(pid: number, root: string): readonly number[] | null {
  const line: number[] = [];
  for (let at = pid; at !== 0;) {
    const text = readText(`${root}/${at}/stat`);
    const stat = text.ok ? parseStat(text.value) : null;
    if (stat === null || line.includes(at)) return null;
    line.push(at);
    at = stat.parentPid;
  }
  return line;
}
