import { describe, expect, it } from 'vitest';
import type { GpuctlEvent } from '../../../src/model/event.ts';
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
  expect(ledger.untoldActs('another'), `acts in flight ${when}`).toEqual([]);
  const told = toldOf(events);
  if (cutOff) expect(told, `what is told ${when}`).not.toEqual([]);
  expect(told, `what is told ${when}`).toEqual([...new Set(told)]);
  const count = (wanted: string): number => events.filter(({ action }) => action === wanted).length;
  const cut = events.flatMap(({ facts }) => (typeof facts?.['cutOff'] === 'string' && facts['acts'] === undefined ? [facts['cutOff']] : []));
  expect(cut, `passes told as cut off ${when}`).toEqual([...new Set(cut)]);
  expect(count('pass.ended') + new Set(events.flatMap(({ facts }) => facts?.['cutOff'] ?? [])).size, `each pass that was told to have begun is told the end of ${when}`).toBeGreaterThanOrEqual(count('pass.started'));
}

/** The names of the recoveries of acts and of resets that the events tell. */
function toldOf(events: readonly GpuctlEvent[]): readonly unknown[] {
  const recovered = events.filter(({ action }) => action === 'pass.recovered').map(({ facts }) => facts);
  const all = (list: unknown, key: string): readonly unknown[] => ((list ?? []) as readonly Readonly<Record<string, unknown>>[]).map((each) => each[key]);
  return recovered.flatMap((facts) => [...all(facts?.['resets'], 'recovery'), ...all(facts?.['acts'], 'act')]);
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
