import { childrenOf, isTree } from './merge.ts';
import { printable } from './mistake.ts';
import type { Value } from './types.ts';

/** A value as one line of YAML. */
export function renderInline(value: Value): string {
  if (typeof value === 'string') return /^[A-Za-z0-9_./][\w./:%-]*$/.test(value) && !isOtherType(value) ? value : printable(JSON.stringify(value));
  if (Array.isArray(value)) return `[${value.map(renderInline).join(', ')}]`;
  if (!isTree(value)) return String(value);
  const pairs = childrenOf(value).map(([key, child]) => `${renderInline(key)}: ${renderInline(child)}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

/** Would YAML read this plain text as something other than text? */
function isOtherType(text: string): boolean {
  return /^(?:true|false|null)$/i.test(text) || text.endsWith(':') || !Number.isNaN(Number(text)) || /^\.(?:inf|nan)$/i.test(text);
}
