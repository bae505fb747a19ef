import type { Position } from './document.ts';
import { keyText } from './mistake.ts';
import type { Origin, Tree, Value } from './types.ts';

/** One file's keys, and where each is. */
export interface Source {
  readonly file: string;
  readonly tree: Tree;
  readonly positions: ReadonlyMap<string, Position>;
}

/** All files laid over the defaults. */
export interface Merged {
  readonly tree: Tree;
  /** Of every key that a file set, by key text: the last file that did. */
  readonly origins: ReadonlyMap<string, Origin & Position>;
}

/** Maps merge key by key, lists and scalars replace; later sources win. */
export function mergeSources(defaults: Tree, sources: readonly Source[]): Merged {
  const origins = new Map<string, Origin & Position>();
  let tree = defaults;
  for (const source of sources) {
    tree = mergeMaps(tree, source.tree);
    recordOrigins({ origins, source, value: source.tree, path: [] });
  }
  return { tree, origins };
}

function mergeMaps(below: Tree, above: Tree): Tree {
  const merged = new Map<string, Value>(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const under = merged.get(key);
    merged.set(key, isTree(under) && isTree(value) ? mergeMaps(under, value) : value);
  }
  return Object.fromEntries(merged);
}

interface Recording {
  readonly origins: Map<string, Origin & Position>;
  readonly source: Source;
  readonly value: Value;
  readonly path: readonly (string | number)[];
}

function recordOrigins({ origins, source, value, path }: Recording): void {
  const key = keyText(path);
  if (Array.isArray(value)) forgetItems(origins, key);
  const position = source.positions.get(key);
  if (position !== undefined) origins.set(key, { file: source.file, ...position });
  for (const [part, child] of childrenOf(value)) recordOrigins({ origins, source, value: child, path: [...path, part] });
}

/** A list that is replaced takes the origins of its items with it. */
function forgetItems(origins: Map<string, unknown>, key: string): void {
  for (const each of origins.keys()) if (each.startsWith(`${key}[`)) origins.delete(each);
}

/** The parts of a map or list, none for a scalar. */
export function childrenOf(value: Value): readonly (readonly [string | number, Value])[] {
  if (Array.isArray(value)) return value.map((item: Value, index) => [index, item] as const);
  return isTree(value) ? Object.entries(value) : [];
}

/** A map, not a list, not a scalar. */
export function isTree(value: Value | undefined): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
