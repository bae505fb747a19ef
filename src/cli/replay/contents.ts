import type { Encoded, Shape, Tape } from './tape.ts';
import { bad, type Files } from './bundle.ts';

/** What a bundle says of itself. `at`: milliseconds since 1970 UTC. */
export interface Manifest {
  readonly schema: 1;
  readonly gpuctl: string;
  readonly host: string;
  readonly at: number;
  readonly scrubbed: boolean;
}

/** The tape as files, one a part of the outside world, so that a person finds what he looks for. */
export function filesOf(manifest: Manifest, tape: Tape, further: Readonly<Record<string, unknown>>): Files {
  const parts = Map.groupBy([...Object.keys(tape.shapes), ...Object.keys(tape.answers)], partOf);
  const own = [...parts].map(([part, names]) => {
    const pick = <T>(all: { readonly [key: string]: T }): object => Object.fromEntries(names.filter((name) => Object.hasOwn(all, name)).map((name) => [name, all[name]]));
    return [`${part}.json`, { shapes: pick(tape.shapes), answers: pick(tape.answers) }] as const;
  });
  const all: readonly (readonly [string, unknown])[] = [['manifest.json', manifest], ...own, ...Object.entries(further).map(([name, value]) => [`${name}.json`, value] as const)];
  return new Map(all.map(([name, value]) => [name, `${JSON.stringify(value, null, 1)}\n`]));
}

function partOf(name: string): string {
  return /^[a-z0-9-]+/.exec(name)?.[0] ?? 'other';
}

/** Files of a bundle that are for people alone. */
const FOR_PEOPLE: ReadonlySet<string> = new Set(['manifest.json', 'report.json', 'configuration.json']);

/** The reverse of `filesOf`. Throws GpuctlError (exit 2) where a file is not what it should be. */
export function contentsOf(path: string, files: Files): { readonly manifest: Manifest; readonly tape: Tape } {
  const manifest = readManifest(path, parse(path, 'manifest.json', files.get('manifest.json')));
  const shapes: Record<string, Shape> = {};
  const answers: Record<string, Tape['answers'][string]> = {};
  for (const [name, text] of files) {
    if (FOR_PEOPLE.has(name)) continue;
    const part = parse(path, name, text);
    if (!isObject(part) || !isObject(part['shapes']) || !isObject(part['answers'])) throw bad(path, `${name} holds no recording`);
    for (const [key, shape] of Object.entries(part['shapes'])) shapes[key] = readShape(path, shape);
    for (const [key, all] of Object.entries(part['answers'])) answers[key] = readAnswers(path, all);
  }
  return { manifest, tape: { shapes, answers } };
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(path: string, name: string, text: string | undefined): unknown {
  if (text === undefined) throw bad(path, `it has no ${name}`);
  try {
    return JSON.parse(text);
  } catch {
    throw bad(path, `${name} is not JSON`);
  }
}

function readManifest(path: string, value: unknown): Manifest {
  if (!isObject(value) || value['schema'] !== 1) throw bad(path, 'it is of a form that this version does not know');
  const { gpuctl, host, at, scrubbed } = value;
  if (typeof gpuctl !== 'string' || typeof host !== 'string' || typeof at !== 'number' || Math.abs(at) > 8.64e15 || typeof scrubbed !== 'boolean') throw bad(path, 'manifest.json is damaged');
  return { schema: 1, gpuctl, host, at, scrubbed };
}

function readShape(path: string, value: unknown): Shape {
  const texts = (list: unknown): list is readonly string[] => Array.isArray(list) && list.every((each) => typeof each === 'string');
  if (!isObject(value) || !texts(value['methods']) || !texts(value['parts']) || !isObject(value['values'])) throw bad(path, 'a recording is damaged');
  return { methods: value['methods'], parts: value['parts'], values: value['values'] as { readonly [key: string]: Encoded } };
}

function readAnswers(path: string, value: unknown): Tape['answers'][string] {
  if (!Array.isArray(value) || !value.every((each) => isObject(each) && typeof each['later'] === 'boolean' && 'value' in each)) throw bad(path, 'a recording is damaged');
  return value as Tape['answers'][string];
}
