import { ExitCode, GpuctlError } from '../../model/errors.ts';

/** A value as JSON can hold it; what JSON has no form for is an object with one key that begins with `$`. */
export type Encoded = string | number | boolean | null | readonly Encoded[] | { readonly [key: string]: Encoded };

/** What an object of the outside world looks like. */
export interface Shape {
  readonly methods: readonly string[];
  readonly values: { readonly [key: string]: Encoded };
  /** Names of its members that have methods themselves; each has a shape of its own. */
  readonly parts: readonly string[];
}

interface Answer {
  /** True: it came as a promise. */
  readonly later: boolean;
  readonly value: Encoded;
}

/** All that went in through the parts of one pass: their shapes, and by question the answers in the order in which they were given. */
export interface Tape {
  readonly shapes: { readonly [part: string]: Shape };
  readonly answers: { readonly [question: string]: readonly Answer[] };
}

/** How a part of the outside world comes into a pass: as it is, recorded, or from a recording. `make` gives the real one. */
export interface Seam {
  part<T extends object>(name: string, make: () => T): T;
}

/** Nothing in between. */
export const asIs: Seam = { part: (_, make) => make() };

/** A seam that writes down every answer, and what it has so far. */
export function recorder(): Seam & { readonly tape: Tape } {
  const shapes: Record<string, Shape> = {};
  const answers: Record<string, Answer[]> = {};
  const write = (question: string, answer: Answer): void => { (answers[question] ??= []).push(answer); };
  const wrap = (name: string, object: object): object => {
    const members = Object.entries(object).filter(([, member]) => member !== undefined);
    const methods = members.filter(([, member]) => typeof member === 'function');
    const parts = members.filter(([, member]) => hasMethods(member));
    const values = members.filter(([key]) => ![...methods, ...parts].some(([other]) => other === key));
    shapes[name] = { methods: methods.map(([key]) => key), parts: parts.map(([key]) => key), values: Object.fromEntries(values.map(([key, value]) => [key, encode(value)])) };
    return {
      ...Object.fromEntries(values),
      ...Object.fromEntries(parts.map(([key, part]) => [key, wrap(`${name}.${key}`, part as object)])),
      ...Object.fromEntries(methods.map(([key, method]) => [key, (...args: readonly unknown[]): unknown => {
        const answer = (method as (...given: readonly unknown[]) => unknown)(...args);
        const question = questionOf(`${name}.${key}`, args);
        if (!(answer instanceof Promise)) { write(question, { later: false, value: encode(answer) }); return answer; }
        return answer.then((value: unknown) => { write(question, { later: true, value: encode(value) }); return value; });
      }])),
    };
  };
  return { tape: { shapes, answers }, part: <T extends object>(name: string, make: () => T) => wrap(name, make()) as T };
}

/** A seam that makes nothing and answers from a tape. The last answer to a question is given again, as to a host that does not change. */
export function player({ shapes, answers }: Tape): Seam {
  const given = new Map<string, number>();
  const answer = (question: string): unknown => {
    const all = Object.hasOwn(answers, question) ? (answers[question] ?? []) : [];
    const at = given.get(question) ?? 0;
    given.set(question, at + 1);
    const found = all[Math.min(at, all.length - 1)];
    if (found === undefined) throw lacks(question);
    const value = decode(found.value);
    return found.later ? Promise.resolve(value) : value;
  };
  const play = (name: string): object => {
    const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
    if (shape === undefined) throw lacks(name);
    return {
      ...(decode(shape.values) as object),
      ...Object.fromEntries(shape.parts.map((key) => [key, play(`${name}.${key}`)])),
      ...Object.fromEntries(shape.methods.map((key) => [key, (...args: readonly unknown[]) => answer(questionOf(`${name}.${key}`, args))])),
    };
  };
  return { part: <T extends object>(name: string) => play(name) as T };
}

function lacks(what: string): GpuctlError {
  return new GpuctlError(`the bundle does not hold what this pass asks of ${what.slice(0, 100)}`, { code: 'bundle-incomplete', exitCode: ExitCode.notObserved, hint: 'replay it with the version of gpuctl that captured it (manifest.json names it)' });
}

function hasMethods(member: unknown): boolean {
  if (typeof member !== 'object' || member === null || Array.isArray(member) || member instanceof Map || member instanceof Set) return false;
  return Object.values(member).some((each) => typeof each === 'function' || hasMethods(each));
}

/** The name of a method with those of its arguments that say what is asked. Times do not, nor do lists of whole containers. */
function questionOf(method: string, args: readonly unknown[]): string {
  return `${method}(${args.map(nameOf).filter((name) => name !== '').join(' ')})`;
}

function nameOf(argument: unknown): string {
  if (typeof argument === 'string') return argument;
  if (Array.isArray(argument)) return argument.every((each) => typeof each === 'number') ? argument.join(',') : '';
  if (typeof argument !== 'object' || argument === null) return '';
  const { id, args } = argument as { readonly id?: unknown; readonly args?: unknown };
  if (typeof id === 'string') return id;
  return Array.isArray(args) ? args.join(' ') : '';
}

function encode(value: unknown): Encoded {
  if (value === undefined) return { $absent: true };
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) };
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(encode);
  if (value instanceof Set) return { $set: [...value].map(encode) };
  if (value instanceof Map) return { $map: [...value].map(encode) };
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined && typeof each !== 'function').map(([key, each]) => [key, encode(each)]));
  throw new TypeError(`a ${typeof value} cannot be recorded`);
}

function decode(value: Encoded): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(decode);
  const object = value as { readonly [key: string]: Encoded };
  if (Object.hasOwn(object, '$absent')) return undefined;
  if (Object.hasOwn(object, '$number')) return Number(object['$number']);
  if (Array.isArray(object['$set'])) return new Set(object['$set'].map(decode));
  if (Array.isArray(object['$map'])) return new Map(object['$map'].map(decode) as [unknown, unknown][]);
  return Object.fromEntries(Object.entries(object).map(([key, each]) => [key, decode(each)]));
}
