import type { ClockEra } from '../../model/clock.ts';
import type { Ledger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** A host whose clock jumps at every pass has as many eras as passes: more than this are of no use to anybody. */
const KEEP_ERAS = 500;

/** The ledger's part about the host's clocks: when they went together. */
export function clockIn(store: Store): Required<Pick<Ledger, 'recordClock'>> {
  const keep = store.prepare('INSERT OR REPLACE INTO clock_eras (number, boot_id, from_at, from_uptime_ms, seen_uptime_ms, until_uptime_ms, jump_ms) VALUES (?, ?, ?, ?, ?, ?, ?)');
  const forget = store.prepare('DELETE FROM clock_eras WHERE number <= ?');
  return {
    recordClock: ({ number, bootId, fromAt, fromUptimeMs, seenUptimeMs, untilUptimeMs, jumpMs }) => store.write(() => {
      keep.run(number, bootId, fromAt, fromUptimeMs, seenUptimeMs, untilUptimeMs, jumpMs);
      forget.run(number - KEEP_ERAS);
    }),
  };
}

/** All that are kept, oldest first; nothing where none was ever seen. */
export function readingClock(store: Store): () => { readonly clock?: readonly ClockEra[] } {
  const all = store.prepare('SELECT number, boot_id AS bootId, from_at AS fromAt, from_uptime_ms AS fromUptimeMs, seen_uptime_ms AS seenUptimeMs, until_uptime_ms AS untilUptimeMs, jump_ms AS jumpMs FROM clock_eras ORDER BY number');
  return () => {
    const clock = all.all().map((row) => ({ ...row }) as unknown as ClockEra);
    return clock.length === 0 ? {} : { clock };
  };
}
