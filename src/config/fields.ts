import * as v from 'valibot';
import { quote } from './mistake.ts';
import { nearest } from './nearest.ts';
import { LONGEST_MS, type Parsed, parseDuration, parsePercent, parseSize, renderDuration } from './units.ts';

/** A schema of one value, which takes whatever YAML gives. */
export type Field<T> = v.GenericSchema<unknown, T>;

/** A field from a parser whose problem becomes the message. */
export function field<T>(parse: (value: unknown) => Parsed<T>): Field<T> {
  return v.pipe(v.unknown(), v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
    const parsed = parse(dataset.value);
    if ('value' in parsed) return parsed.value;
    addIssue({ message: parsed.problem });
    return NEVER;
  }));
}

/** `field` with a further rule: `problem` says what is wrong with a value that parsed, or null. */
function ruled<T>(parse: (value: unknown) => Parsed<T>, problem: (value: T) => string | null): Field<T> {
  return field((value) => {
    const parsed = parse(value);
    const wrong = 'value' in parsed ? problem(parsed.value) : null;
    return wrong === null ? parsed : { problem: wrong };
  });
}

/** A map of exactly these keys. Every unknown key is a mistake of its own, not just the first. */
export function section<E extends v.ObjectEntries>(entries: E): Field<v.InferOutput<v.ObjectSchema<E, undefined>>> {
  const known = Object.keys(entries);
  const checked = v.pipe(anyMap(`expected a map of ${known.join(', ')}`), v.looseObject(entries), v.rawCheck(({ dataset, addIssue }) => {
    const input = dataset.value as Record<string, unknown>;
    for (const key of Object.keys(input).filter((each) => !known.includes(each))) {
      addIssue({ message: unknownKey(key, known), path: [{ type: 'object', origin: 'key', input, key, value: input[key] }] });
    }
  }));
  return checked as unknown as Field<v.InferOutput<v.ObjectSchema<E, undefined>>>;
}

/** Is this what `section` says of a key that its map lacks? A single file may lack any. */
export function isAbsence(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'loose_object' && issue.received === 'undefined';
}

function anyMap(expected: string): v.GenericSchema<unknown, Record<string, unknown>> {
  return v.custom<Record<string, unknown>>(
    (input) => typeof input === 'object' && input !== null && !Array.isArray(input),
    ({ input }) => `${expected}; this is ${quote(input)}`,
  );
}

function unknownKey(key: string, known: readonly string[]): string {
  if (key === '<<') return 'merge keys are not supported';
  const guess = nearest(key, known);
  return guess === null ? `unknown key; known here: ${known.join(', ')}` : `unknown key; did you mean ${guess}?`;
}

/** A map from names that match `pattern` to values of one kind. */
export function named<T>(pattern: RegExp, what: string, value: Field<T>): Field<Record<string, T>> {
  const key = v.pipe(v.string(), v.regex(pattern, ({ input }) => `${quote(input)} is not ${what}`));
  return v.pipe(anyMap('expected a map'), v.record(key, value)) as unknown as Field<Record<string, T>>;
}

/** A list, every item of one kind. */
export function list<T>(item: Field<T>): Field<T[]> {
  return v.array(item, ({ input }) => `expected a list; this is ${quote(input)}`) as unknown as Field<T[]>;
}

/** A text without control characters, at most 200 characters long, that matches `pattern`; `what` names the form. */
export function text(pattern: RegExp, what: string): Field<string> {
  return field((value) => typeof value === 'string' && value.length <= 200 && !/\p{Cc}/u.test(value) && pattern.test(value)
    ? { value }
    : { problem: `expected ${what}; this is ${quote(value)}` });
}

/** One of these words. */
export function oneOf<const T extends string>(...words: readonly T[]): Field<T> {
  return field((value) => {
    const word = words.find((each) => each === value);
    return word === undefined ? { problem: `expected ${words.join(' or ')}; this is ${quote(value)}` } : { value: word };
  });
}

/** `true` or `false`, the YAML values. */
export function flag(): Field<boolean> {
  return field((value) => typeof value === 'boolean' ? { value } : { problem: `expected true or false; this is ${quote(value)}` });
}

/** A number in a range, both ends included. */
export function number(min: number, max: number): Field<number> {
  return field((value) => inRange(value, min, max) ? { value } : { problem: `expected a number from ${min} to ${max}; this is ${quote(value)}` });
}

/** A whole number in a range, both ends included. */
export function whole(min: number, max: number): Field<number> {
  return field((value) => inRange(value, min, max) && Number.isInteger(value)
    ? { value }
    : { problem: `expected a whole number from ${min} to ${max}; this is ${quote(value)}` });
}

function inRange(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}

/** A duration of `min` to `max` milliseconds, both included; never `never`. */
export function duration(min: number, max: number = LONGEST_MS): Field<number> {
  return field((value) => {
    const parsed = parseDuration(value);
    if ('problem' in parsed) return parsed;
    const ms = parsed.value;
    if (ms === null) return { problem: 'never is not possible here: it needs an end' };
    if (ms < min) return { problem: `${quote(value)} is too short: at least ${renderDuration(min)}` };
    return ms > max ? { problem: `${quote(value)} is too long: at most ${renderDuration(max)}` } : { value: ms };
  });
}

/** A duration, or null for `never`. */
export function durationOrNever({ zero }: { readonly zero: boolean }): Field<number | null> {
  return ruled(parseDuration, (ms) => ms === 0 && !zero ? '0 is not possible here: for no limit write never' : null);
}

/** Bytes, at least one. */
export function size(): Field<number> {
  return ruled(parseSize, (bytes) => bytes === 0 ? '0 is not possible here' : null);
}

/** 1 to 100. */
export function percent(): Field<number> {
  return field(parsePercent);
}

/** An absolute path, taken as it is. */
export function absolutePath(): Field<string> {
  return text(/^\/.*[^/]$/, 'an absolute path');
}
