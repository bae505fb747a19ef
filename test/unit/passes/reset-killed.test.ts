import { describe, expect, it } from 'vitest';
import { Killed, mortality, passOn, resetBench, simHost, type Bench } from './reset-bench.ts';

const QUARTER_MS = 15 * 60_000;

/** All the points at which the process of the next pass can be killed. */
async function pointsOf(prepare: (bench: Bench) => Promise<void>): Promise<number> {
  const bench = resetBench();
  try {
    await prepare(bench);
    const mortal = mortality(null);
    await passOn(bench, { mortal });
    return mortal.points();
  } finally {
    bench.close();
  }
}

async function killAt(bench: Bench, point: number): Promise<void> {
  await expect(passOn(bench, { mortal: mortality(point) }), `a pass killed at point ${point}`).rejects.toThrow(Killed);
  bench.host.now += QUARTER_MS;
}

/** Two whole passes later nothing of what was before is missing, and nothing is forgotten. */
async function expectNothingLost(bench: Bench, when: string): Promise<void> {
  const cutOff = bench.ledger.resets.unsettled().some(({ endedAt, steps }) => endedAt === null && steps.length > 0);
  const toldBefore = bench.events.length;
  for (const _ of [1, 2]) { await passOn(bench); bench.host.now += QUARTER_MS; }
  const { host, ledger, events } = bench;
  const { services, resets } = host;
  const history = ledger.history();
  const before = simHost();
  expect(Object.entries(services).map(([unit, { active }]) => [unit, active]), `services ${when}`).toEqual(Object.entries(before.services).map(([unit, { active }]) => [unit, active]));
  expect([services['asleep.service']?.starts, services['away.service']?.stops], `services that a reset has nothing to do with ${when}`).toEqual([0, 0]);
  expect({ ...host.board, asks: false }, `settings ${when}`).toEqual({ ...before.board, asks: false });
  expect(history.resetWants.length, `the want ${when}`).toBe(host.board.asks ? 1 : 0);
  expect(resets.length, `resets within one cool-down ${when}`).toBeLessThanOrEqual(1);
  expect(history.resets.length, `resets on record ${when}`).toBeGreaterThanOrEqual(resets.length);
  expect(ledger.resets.unsettled(), `the journal ${when}`).toEqual([]);
  expect(ledger.takeInFlight('another'), `acts in flight ${when}`).toEqual([]);
  if (cutOff) expect(events.slice(toldBefore).filter(({ action, facts }) => action === 'pass.recovered' && facts?.['resets'] !== undefined), `what is told ${when}`).not.toEqual([]);
}

const nothing = async (): Promise<void> => {};

describe('a pass that resets a board and is killed', () => {
  it('at any point loses no service, no setting, no want and no record', async () => {
    const points = await pointsOf(nothing);
    expect(points).toBeGreaterThanOrEqual(50);
    for (let point = 0; point < points; point += 1) {
      const bench = resetBench();
      try {
        await killAt(bench, point);
        await expectNothingLost(bench, `after a kill at point ${point} of ${points}`);
      } finally {
        bench.close();
      }
    }
  }, 120_000);

  it('and whose recovery is killed at any point as well loses none either', async () => {
    const points = await pointsOf(nothing);
    const first = await firstPointAfterReset(points);
    const recovery = await pointsOf((bench) => killAt(bench, first));
    expect(recovery).toBeGreaterThanOrEqual(50);
    for (let point = 0; point < recovery; point += 1) {
      const bench = resetBench();
      try {
        await killAt(bench, first);
        await killAt(bench, point);
        await expectNothingLost(bench, `after kills at points ${first} and ${point}`);
      } finally {
        bench.close();
      }
    }
  }, 120_000);
});

describe('a reset whose nvidia-smi may have outlived gpuctl', () => {
  it('has its services started at once, and its settings judged only when it must have ended', async () => {
    const bench = resetBench();
    try {
      const point = await firstPointAfterReset(await pointsOf(nothing));
      await expect(passOn(bench, { mortal: mortality(point) })).rejects.toThrow(Killed);
      await passOn(bench);
      expect(bench.host.services['dcgm.service']?.active).toBe(true);
      expect([bench.host.board.powerLimitW, bench.ledger.history().resetDebts?.length]).toEqual([700, 4]);
      bench.host.now += QUARTER_MS;
      await passOn(bench);
      expect([bench.host.board.powerLimitW, bench.ledger.history().resetDebts]).toEqual([250, []]);
    } finally {
      bench.close();
    }
  });
});

/** Where most is owed: the board was reset, its persistence is off and the services are stopped. Found by halving, since what has happened stays so. */
async function firstPointAfterReset(points: number): Promise<number> {
  let [before, after] = [0, points - 1];
  while (before < after) {
    const middle = Math.floor((before + after) / 2);
    if (await isResetBefore(middle)) after = middle;
    else before = middle + 1;
  }
  expect(await isResetBefore(after)).toBe(true);
  return after;
}

async function isResetBefore(point: number): Promise<boolean> {
  const bench = resetBench();
  try {
    await killAt(bench, point);
    return bench.host.resets.length > 0;
  } finally {
    bench.close();
  }
}
