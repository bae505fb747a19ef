import type { InferOutput } from 'valibot';
import type { configSchema } from './schema.ts';

/** Readonly all the way down. */
export type Deep<T> = T extends readonly unknown[]
  ? { readonly [K in keyof T]: Deep<T[K]> }
  : T extends object ? { readonly [K in keyof T]: Deep<T[K]> } : T;

/**
 * The whole configuration, checked and complete. Durations are milliseconds; null in a duration is `never`: no limit.
 * Keys are those of the file in camelCase, with their unit.
 */
export type Config = Deep<InferOutput<typeof configSchema>>;

/** Where a value was written. Lines count from 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
}

/** The origin of a key such as `limits.default.idle_timeout`; null: no file sets it, it is a default. */
export type OriginOf = (key: string) => Origin | null;

/** One thing that is wrong in a file. `line` and `column` are null where the file as a whole is meant, `key` is empty where no key is. */
export interface Mistake {
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  readonly key: string;
  readonly message: string;
}

/** What the files said. */
export interface LoadedConfig {
  readonly config: Config;
  /** Files that were read, in the order in which they count. */
  readonly sources: readonly string[];
  /** Was the section set in a file? Unconfigured limits stop and remove nothing. */
  readonly configured: { readonly limits: boolean; readonly leftovers: boolean };
  /** Mistakes that affect only themselves: what they stand in was left out, the rest counts. */
  readonly warnings: readonly Mistake[];
  readonly originOf: OriginOf;
  /** The merged configuration as written, for showing. */
  readonly written: Tree;
}

/** A value as YAML gives it, checked for nothing but its shape. */
export type Value = string | number | boolean | null | readonly Value[] | Tree;
export interface Tree {
  readonly [key: string]: Value;
}
