import type { Reading } from '../../model/reading.ts';
import type { Evidence } from '../../model/decision.ts';

/**
 * What one check says of one device. *Unsupported*: the board or the driver has no such reading. *Unknown*: it has, but it
 * could not be read. *Learning*: there is nothing yet to compare it with. *Not now*: it means nothing at this moment. None
 * of these four is healthy, and none is faulty.
 */
export type Verdict =
  | { readonly state: 'ok' | 'unsupported' | 'learning' }
  | { readonly state: 'unknown' | 'not-now'; readonly why: string }
  | { readonly state: 'found'; readonly message: string; readonly evidence: Evidence };

export const ok: Verdict = { state: 'ok' };
export const notSupported: Verdict = { state: 'unsupported' };
export const learning: Verdict = { state: 'learning' };

export function found(message: string, evidence: Evidence = {}): Verdict {
  return { state: 'found', message, evidence };
}

export function notNow(why: string): Verdict {
  return { state: 'not-now', why };
}

/** Judges a value; a reading without one says itself what it is. */
export function judged<T>(reading: Reading<T> | undefined, judge: (value: T) => Verdict): Verdict {
  if (reading === undefined || reading.kind === 'absent' || reading.kind === 'unsupported') return notSupported;
  return reading.kind === 'error' ? { state: 'unknown', why: reading.text } : judge(reading.value);
}

/** A flag that is a finding where it is set. */
export function flagged(reading: Reading<boolean> | undefined, message: string): Verdict {
  return judged(reading, (set) => (set ? found(message) : ok));
}

/** The first that found something; else the least certain that is supported at all; unsupported where none is. */
export function worst(...verdicts: readonly Verdict[]): Verdict {
  const order: readonly Verdict['state'][] = ['found', 'unknown', 'learning', 'not-now', 'ok'];
  return order.map((state) => verdicts.find((each) => each.state === state)).find((each) => each !== undefined) ?? notSupported;
}
