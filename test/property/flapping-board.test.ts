import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bench, passOn, resetBench, simHost } from '../unit/passes/reset-bench.ts';
import { runs } from './generate.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const WEEK_MS = 7 * 24 * HOUR_MS;

/** How a bad board behaves: it asks again this long after each reset, or the reset itself is refused. */
interface Flapping {
  readonly againAfterMs: number;
  readonly refused: boolean;
  readonly everyMs: number;
  /** Services hold it, and are paused. */
  readonly services: boolean;
}

const flapping: fc.Arbitrary<Flapping> = fc.record({
  // Three resets within a day: what comes back more slowly is no board that flaps.
  againAfterMs: fc.integer({ min: 0, max: 9 * HOUR_MS }),
  refused: fc.boolean(),
  everyMs: fc.integer({ min: 45 * MINUTE_MS, max: 90 * MINUTE_MS }),
  services: fc.boolean(),
});

async function week(bench: Bench, { againAfterMs, refused, everyMs }: Flapping): Promise<void> {
  const { host } = bench;
  if (refused) host.broken.add('-r');
  const begun = host.now;
  while (host.now - begun < WEEK_MS) {
    if (host.now - (host.resets.at(-1) ?? begun) >= againAfterMs) host.board.asks = true;
    await passOn(bench);
    host.now += everyMs;
  }
}

describe('seven days of a board that asks for a reset again and again', () => {
  it('are at most three resets and one quarantine, and every service runs in the end', async () => {
    await fc.assert(fc.asyncProperty(flapping, async (each) => {
      const host = simHost();
      const bench = each.services ? resetBench(host) : resetBench({ ...host, services: {} });
      try {
        await week(bench, each);
        const { events, ledger } = bench;
        expect(bench.host.resets.length).toBeLessThanOrEqual(3);
        expect(events.filter(({ action }) => action === 'gpu.reset.done' || action === 'gpu.reset.failed')).toHaveLength(3);
        expect(events.filter(({ action }) => action === 'gpu.quarantined')).toHaveLength(1);
        for (const [unit, { active, stops, starts }] of Object.entries(bench.host.services)) expect({ unit, active, often: stops > 3 || starts > stops }).toEqual({ unit, active: unit !== 'asleep.service', often: false });
        expect(ledger.history().quarantined).toHaveLength(1);
        expect(ledger.history().resetWants).toHaveLength(1);
      } finally {
        bench.close();
      }
    }), runs(6));
  }, 120_000);
});
