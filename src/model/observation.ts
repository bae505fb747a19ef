/** One thing that an otherwise good observation could not see: `subject` names it (a bus id, a container id, a pid). */
export interface Gap {
  readonly subject: string;
  readonly why: string;
  /** `shim`: it may be a live container shim that was not read, so a container that runs may go unseen. `files`: open files were not looked at, and nothing else. Absent: something else. */
  readonly kind?: 'shim' | 'files';
}

/** How a source failed. `hung`: it outlived its deadline and could not be ended. */
export type FailureCode =
  | 'not-installed'
  | 'not-permitted'
  | 'no-driver'
  | 'version-mismatch'
  | 'no-devices'
  | 'device-fault'
  | 'refused'
  | 'timeout'
  | 'hung'
  | 'malformed'
  | 'untrusted'
  | 'error';

/**
 * What one source said. *Complete*: everything that was asked. *Partial*: `value` is right as far as it goes, `missing`
 * says what it lacks. *Failed*: nothing is known, which is never the same as "nothing is there".
 */
export type Observed<T> =
  | { readonly state: 'complete'; readonly value: T }
  | { readonly state: 'partial'; readonly value: T; readonly missing: readonly Gap[] }
  | { readonly state: 'failed'; readonly code: FailureCode; readonly why: string };

export function complete<T>(value: T): Observed<T> {
  return { state: 'complete', value };
}

/** Complete where nothing is missing, else partial. */
export function observed<T>(value: T, missing: readonly Gap[]): Observed<T> {
  return missing.length === 0 ? complete(value) : { state: 'partial', value, missing };
}

export function failed(code: FailureCode, why: string): Observed<never> {
  return { state: 'failed', code, why };
}

/** The value of a source that did not fail, else null. Check the state where completeness matters. */
export function seen<T>(source: Observed<T>): T | null {
  return source.state === 'failed' ? null : source.value;
}
