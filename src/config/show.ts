import { renderInline } from './inline.ts';
import { type LimitKey, limitKeys, limitNames } from './limit-fields.ts';
import { exemptionFrom, limitsOf, type OwnerExemption, type OwnerFacts } from './limits.ts';
import { childrenOf, isTree } from './merge.ts';
import { keyText, printable } from './mistake.ts';
import type { LoadedConfig, Origin, Value } from './types.ts';
import { renderDuration } from './units.ts';

/** One effective value and where it comes from. */
export interface ShownValue {
  readonly key: string;
  /** As a file would write it. */
  readonly value: Value;
  /** `default`, `file`, or the level of the limits: `type api`, `group researcher`, `user bob`. */
  readonly from: string;
  /** Null: a built-in default. */
  readonly origin: Origin | null;
  /** The level whose looser value was not granted; null: none. */
  readonly withheld: string | null;
  /** A live exemption of the owner from this limit, with its last day; not `granted`: it rests on a label that is not trusted. Not given: there is none. */
  readonly exempt?: OwnerExemption;
}

/** What `config show` tells; plain JSON. */
export interface ConfigShow {
  readonly schema: 1;
  readonly sources: readonly string[];
  /** Whose limits these are; null: the whole configuration. */
  readonly subject: OwnerFacts | null;
  readonly values: readonly ShownValue[];
}

/** The whole configuration, or with `subject` the limits of that one at that instant. */
export function showConfig(loaded: LoadedConfig, subject: OwnerFacts | null = null, now: number = Date.now()): ConfigShow {
  const values = subject === null ? settingsBelow(loaded, loaded.written, []) : limitsFor(loaded, subject, now);
  return { schema: 1, sources: loaded.sources, subject, values };
}

function settingsBelow(loaded: LoadedConfig, value: Value, path: readonly (string | number)[]): readonly ShownValue[] {
  if (isTree(value) && Object.keys(value).length > 0) {
    return childrenOf(value).flatMap(([part, child]) => settingsBelow(loaded, child, [...path, part]));
  }
  const key = keyText(path);
  const origin = loaded.originOf(key);
  return [{ key, value, from: origin === null ? 'default' : 'file', origin, withheld: null }];
}

function limitsFor({ config, originOf }: LoadedConfig, subject: OwnerFacts, now: number): readonly ShownValue[] {
  const limits = limitsOf(subject, config, originOf);
  return limitKeys.map((key) => {
    const { value, ...whence } = limits[limitNames[key]];
    const exempt = exemptionFrom(key, subject, { config, now });
    return { key, value: written(key, value), ...whence, ...(exempt !== null && { exempt }) };
  });
}

/** What stands behind the place that a value is from: what was not granted, and an exemption. */
export function renderProvisos({ withheld, exempt }: Pick<ShownValue, 'withheld' | 'exempt'>): string {
  const spared = exempt === undefined ? '' : `; exempt until ${exempt.until}: ${printable(exempt.reason)}${exempt.granted ? '' : ' (not trusted)'}`;
  return `${withheld === null ? '' : `; ${withheld} is looser, but not trusted`}${spared}`;
}

function written(key: LimitKey, value: number | null): Value {
  return key === 'idle_checks' || value === 0 ? value : renderDuration(value);
}

/** A table for people. */
export function renderConfigShow({ sources, subject, values }: ConfigShow): string {
  const rows = values.map(({ key, value, from, origin, ...provisos }) => [
    key,
    renderInline(value),
    `${from === 'file' ? '' : from}${place(origin, from)}${renderProvisos(provisos)}`,
  ]);
  const head = subject === null ? [] : [`owner ${subject.owner ?? 'unknown'}, type ${subject.type ?? 'unknown'}`];
  const files = sources.length === 0 ? 'no file: built-in defaults' : `files: ${sources.map(printable).join(', ')}`;
  return [files, ...head, '', ...table([['KEY', 'VALUE', 'FROM'], ...rows])].join('\n');
}

function place(origin: Origin | null, from: string): string {
  if (origin === null) return '';
  const line = `${printable(origin.file)}:${origin.line}`;
  return from === 'file' ? line : ` (${line})`;
}

/** A list of labels may be long: what is longer than this does not widen the column of values. */
const WIDEST_VALUE = 40;

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const [first, second] = [width(0), Math.min(WIDEST_VALUE, width(1))];
  return rows.map(([key = '', value = '', from = '']) => `${key.padEnd(first)}  ${value.padEnd(second)}  ${from}`.trimEnd());
}
