import type { Document, LineCounter, Node, Pair, YAMLMap, YAMLSeq } from 'yaml';
import { keyText, quote } from './mistake.ts';
import type { Mistake, Tree, Value } from './types.ts';

type Path = readonly (string | number)[];

/** Where something begins in its file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One YAML file as plain values. With mistakes, `tree` and `positions` hold what could be read all the same. */
export interface ParsedDocument {
  readonly tree: Tree;
  /** Of every key and list item, by its key text; values of a map are where their key is. */
  readonly positions: ReadonlyMap<string, Position>;
  readonly mistakes: readonly Mistake[];
}

/** No configuration nests deeper than half of this. */
const DEEPEST = 16;
/** Maps drop such keys silently or worse. */
const FORBIDDEN_KEYS: readonly string[] = ['__proto__', 'prototype', 'constructor'];

/**
 * Parses one document of YAML 1.2 into maps, lists and scalars. Refused, each with its line: bad YAML, duplicate keys,
 * further documents, aliases, tags, directives, anything but a map at the top. An empty text is an empty map.
 */
export async function parseYaml(text: string, file: string): Promise<ParsedDocument> {
  // Loaded only where there is a file: most of the start-up cost of a configuration is this package.
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  // Duplicates are found in the walk below: the package compares every key with every other.
  const document = yaml.parseDocument(text, {
    lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false, resolveKnownTags: false, merge: false, schema: 'core', logLevel: 'error',
  });
  const walk = new Map<string, Position>();
  const mistakes: Mistake[] = syntaxMistakes(document, lines, file);
  const reader: Reader = { yaml, lines, file, positions: walk, mistakes };
  const tree = mistakes.length === 0 ? rootOf(reader, document) : {};
  return { tree, positions: walk, mistakes };
}

interface Reader {
  readonly yaml: typeof import('yaml');
  readonly lines: LineCounter;
  readonly file: string;
  readonly positions: Map<string, Position>;
  readonly mistakes: Mistake[];
}

function syntaxMistakes(document: Document.Parsed, lines: LineCounter, file: string): Mistake[] {
  const all = [...document.errors, ...document.warnings];
  const tooDeep = all.find(({ code }) => code === 'RESOURCE_EXHAUSTION');
  const mistakes = (tooDeep === undefined ? all : [tooDeep]).map((error): Mistake => {
    const { line, column } = positionAt(lines, error.pos[0]);
    return { file, line, column, key: '', message: syntaxMessage(error.code, error.message) };
  });
  if (document.directives?.yaml.explicit === true && document.directives.yaml.version !== '1.2') {
    mistakes.push({ file, line: 1, column: 1, key: '', message: 'this is not YAML 1.2; remove the %YAML directive' });
  }
  return mistakes;
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'RESOURCE_EXHAUSTION') return 'nested too deeply';
  if (code === 'MULTIPLE_DOCS') return 'only one document a file; a second one begins here';
  return `bad YAML: ${message.split('\n')[0]}`;
}

function rootOf(reader: Reader, { contents }: Document.Parsed): Tree {
  if (contents === null || (reader.yaml.isScalar(contents) && contents.source === '')) return {};
  if (reader.yaml.isMap(contents)) return mapOf(reader, contents as YAMLMap, []);
  fault(reader, { path: [], at: contents, message: 'expected a map of sections at the top of the file' });
  return {};
}

function fault(reader: Reader, { path, at, message }: { readonly path: Path; readonly at: unknown; readonly message: string }): null {
  const { line, column } = positionAt(reader.lines, offsetOf(at));
  reader.mistakes.push({ file: reader.file, line, column, key: keyText(path), message });
  return null;
}

function mapOf(reader: Reader, map: YAMLMap, path: Path): Tree {
  const entries = new Map<string, Value>();
  for (const pair of map.items as Pair<Node, Node | null>[]) {
    const key = reader.yaml.isScalar(pair.key) ? String(pair.key.value) : '';
    const here = [...path, key];
    const message = keyProblem(reader, { pair, key, seen: entries.has(key) });
    if (message === null) {
      reader.positions.set(keyText(here), positionAt(reader.lines, offsetOf(pair.key)));
      entries.set(key, valueOf(reader, pair.value, here));
    } else {
      fault(reader, { path: here, at: pair.key, message });
    }
  }
  return Object.fromEntries(entries);
}

function keyProblem(reader: Reader, { pair, key, seen }: { readonly pair: Pair; readonly key: string; readonly seen: boolean }): string | null {
  if (!reader.yaml.isScalar(pair.key)) return 'a key must be a plain word; aliases are not supported';
  if (FORBIDDEN_KEYS.includes(key)) return `${quote(key)} cannot be a key`;
  return seen ? 'this key is set twice' : null;
}

function valueOf(reader: Reader, node: Node | null, path: Path): Value {
  const { yaml } = reader;
  if (path.length > DEEPEST) return fault(reader, { path, at: node, message: 'nested too deeply' });
  if (yaml.isAlias(node)) return fault(reader, { path, at: node, message: 'aliases are not supported' });
  if (yaml.isMap(node)) return mapOf(reader, node as YAMLMap, path);
  if (yaml.isSeq(node)) return listOf(reader, node as YAMLSeq, path);
  return yaml.isScalar(node) ? scalarOf(node.value) : null;
}

function listOf(reader: Reader, list: YAMLSeq, path: Path): readonly Value[] {
  return list.items.map((item, index) => {
    const here = [...path, index];
    reader.positions.set(keyText(here), positionAt(reader.lines, offsetOf(item)));
    return valueOf(reader, item as Node, here);
  });
}

function scalarOf(value: unknown): Value {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return value === null ? null : String(value);
}

function offsetOf(node: unknown): number {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range?.[0] ?? 0;
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
