/**
 * One value read from a device. *Absent* (the document has no such element), *unsupported* (the board or driver says
 * N/A) and *error* (an NVML error text or something unparsable stands in its place) are three different things, and
 * none of them is a value: nothing may be concluded from them.
 */
export type Reading<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'error'; readonly text: string };

export const absent: Reading<never> = { kind: 'absent' };
export const unsupported: Reading<never> = { kind: 'unsupported' };

export function read<T>(value: T): Reading<T> {
  return { kind: 'value', value };
}

export function misread(text: string): Reading<never> {
  return { kind: 'error', text };
}

/** The value, or null where there is none, whatever the cause. */
export function known<T>(reading: Reading<T>): T | null {
  return reading.kind === 'value' ? reading.value : null;
}
