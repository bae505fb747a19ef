const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** How far local time is ahead of UTC at an instant, in milliseconds. */
export type OffsetOf = (at: number) => number;

/** A change of the offset: the first instant under the new one. */
export interface Transition {
  readonly at: number;
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** `zone`: an IANA name; without it the zone of the host. Throws RangeError for an unknown name. */
export function offsetsIn(zone?: string): OffsetOf {
  // The host's own zone without Intl, whose tables would stay in memory for as long as a daemon runs.
  if (zone === undefined) return (at) => -new Date(at).getTimezoneOffset() * MINUTE_MS;
  const { format } = new Intl.DateTimeFormat('en-US', {
    timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit',
  });
  return (at) => {
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0] = (format(at).match(/\d+/g) ?? []).map(Number);
    const rest = ((at % MINUTE_MS) + MINUTE_MS) % MINUTE_MS;
    return Date.UTC(year, month - 1, day, hour, minute) + rest - at;
  };
}

/** Every change of the offset between two instants, in order; found to the minute. */
export function transitionsBetween(offsetOf: OffsetOf, from: number, to: number): readonly Transition[] {
  const found: Transition[] = [];
  for (let at = from, before = offsetOf(from); at < to; at += DAY_MS) {
    const after = offsetOf(at + DAY_MS);
    if (after !== before) found.push({ at: firstMinuteWith(offsetOf, after, { after: at, until: at + DAY_MS }), beforeMs: before, afterMs: after });
    before = after;
  }
  return found;
}

function firstMinuteWith(offsetOf: OffsetOf, offset: number, { after, until }: { readonly after: number; readonly until: number }): number {
  let [low, high] = [Math.floor(after / MINUTE_MS), Math.ceil(until / MINUTE_MS)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetOf(middle * MINUTE_MS) === offset) high = middle;
    else low = middle;
  }
  return high * MINUTE_MS;
}

/** `2026-10-25 02:35`: a local time that is kept as if it were UTC. */
export function renderLocal(localMs: number): string {
  return new Date(localMs).toISOString().slice(0, 16).replace('T', ' ');
}
