import { rawDefaults } from './defaults.ts';
import { renderInline } from './inline.ts';
import { meanings } from './meanings.ts';
import { childrenOf, isTree } from './merge.ts';
import { keyText } from './mistake.ts';
import type { Tree, Value } from './types.ts';

const HEAD = `# gpuctl's configuration: /etc/gpuctl/config.yaml, then /etc/gpuctl/conf.d/*.yaml in order.
# Maps merge key by key, lists replace. Every value here is the default; a line that begins with # and a key is switched off.
# Durations: 90s, 30m, 24h, 7d, 0 or never. Sizes: 512KiB, 1MiB, 1GiB. Check it with: gpuctl config check`;

/** Sections that change what is stopped or removed by merely being there: an admin switches them on. */
const SWITCHED_OFF: readonly string[] = ['limits', 'leftovers'];
/** Keys without a default, shown switched off. */
const WITHOUT_DEFAULT: Readonly<Record<string, Tree>> = { engine: { host: 'unix:///var/run/docker.sock' } };

/** A commented file that holds every key with its default, and loads as the defaults. */
export function renderDefaultConfig(): string {
  const sections = childrenOf(rawDefaults).map(([key, value]) => lines({ path: [key], value, off: SWITCHED_OFF.includes(String(key)) }).join('\n'));
  return `${[HEAD, ...sections].join('\n\n')}\n`;
}

interface Entry {
  readonly path: readonly (string | number)[];
  readonly value: Value;
  readonly off: boolean;
}

function lines({ path, value, off }: Entry): readonly string[] {
  const key = keyText(path);
  const indent = '  '.repeat(path.length - 1);
  const meaning = meanings[key] === undefined ? [] : [`${indent}# ${meanings[key]}`];
  const start = `${indent}${off ? '#' : ''}${String(path.at(-1))}:`;
  if (!isTree(value) || !isExplained(path, value)) return [...meaning, `${start} ${renderInline(value)}`];
  const children = childrenOf(value).map(([part, child]) => ({ path: [...path, part], value: child, off }));
  const extra = childrenOf(WITHOUT_DEFAULT[key] ?? {}).map(([part, child]) => ({ path: [...path, part], value: child, off: true }));
  return [...meaning, start, ...[...extra, ...children].flatMap(lines)];
}

function isExplained(path: readonly (string | number)[], value: Tree): boolean {
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => keyText([...path, key]) in meanings);
}
