const RFC3339 = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;
/** Go's zero time, which the engine writes for "never". */
const NEVER = '0001-01-01T00:00:00Z';
const NEVER_MS = Date.parse(NEVER);

/**
 * An instant as the engine writes it: RFC 3339, up to nanoseconds, any offset. Milliseconds since 1970 UTC, cut, not
 * rounded; null: never. Undefined: not such a text, or a date that does not exist.
 */
export function parseEngineTime(text: string): number | null | undefined {
  if (text === NEVER) return null;
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [, local = '', fraction = '', offset = ''] = match;
  const millis = fraction.slice(0, 3).padEnd(3, '0');
  if (!exists(local)) return undefined;
  const at = Date.parse(`${local}.${millis}${offset}`);
  if (Number.isNaN(at)) return undefined;
  return at === NEVER_MS ? null : at;
}

/** `Date.parse` turns the 30th of February into a day of March. */
function exists(local: string): boolean {
  const at = Date.parse(`${local}Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(local);
}
