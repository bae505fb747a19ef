import type { FileChange } from '../model/schedule.ts';
import { printable } from '../model/text.ts';

/** One change as a diff: all lines, those that go with `-`, those that come with `+`. */
export function renderChange({ path, before, text }: FileChange): string {
  const old = before.state === 'text' ? linesOf(before.text) : [];
  const body = diffLines(old, text === null ? [] : linesOf(text)).map((line) => printable(line, 500));
  return [`--- ${before.state === 'absent' ? '/dev/null' : path}`, `+++ ${text === null ? '/dev/null' : path}`, ...body, ''].join('\n');
}

function linesOf(text: string): readonly string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** By the longest common subsequence; the files are a few dozen lines. */
function diffLines(old: readonly string[], next: readonly string[]): readonly string[] {
  const common = commonLengths(old, next);
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < next.length) {
    if (i < old.length && old[i] === next[j]) {
      lines.push(` ${old[i]}`);
      i += 1;
      j += 1;
    } else if (j >= next.length || (i < old.length && at(i + 1, j) >= at(i, j + 1))) lines.push(`-${old[i++]}`);
    else lines.push(`+${next[j++]}`);
  }
  return lines;
}

/** `[i][j]`: how many lines `old` from i on and `next` from j on have in common. */
function commonLengths(old: readonly string[], next: readonly string[]): readonly (readonly number[])[] {
  const table = Array.from({ length: old.length + 1 }, () => Array.from({ length: next.length + 1 }, () => 0));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = next.length - 1; j >= 0; j--) {
      const same = old[i] === next[j];
      table[i]![j] = same ? table[i + 1]![j + 1]! + 1 : Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
    }
  }
  return table;
}
