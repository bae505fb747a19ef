/** An instant, milliseconds since 1970 UTC, as ISO 8601 with milliseconds. */
export function isoTime(at: number): string {
  return new Date(at).toISOString();
}
