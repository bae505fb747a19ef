import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CASES } from '../faults/cases.ts';
import { killPoints, runAll, runFault, runKill, type Verdict } from '../faults/run.ts';
import { type Ground, layGround } from '../faults/stage.ts';

/** Each mostly waits. */
const AT_ONCE = 4;
const KILLS = 8;

let ground: Ground;
beforeAll(async () => { ground = await layGround(); });
afterAll(() => ground.dispose());

function failed(verdicts: readonly Verdict[]): readonly Verdict[] {
  return verdicts.filter(({ problems }) => problems.length > 0);
}

// The long form, with every fault and every step: `npm run proof:faults`.
describe('a pass that is disturbed at one call out of it', () => {
  it('harms nobody, says so, and the next pass does what was left to do, once', async () => {
    const quick = CASES.filter((each) => each.quick === true);
    const verdicts = await runAll(quick.map((each) => () => runFault(ground, each)), AT_ONCE);
    expect(verdicts.length).toBeGreaterThanOrEqual(10);
    expect(failed(verdicts)).toEqual([]);
  }, 300_000);
});

describe('a pass that is killed', () => {
  it('at any step of all that it changes harms nobody, and the next pass tells what was in flight and does what was left, once', async () => {
    const points = await killPoints(ground);
    expect(points.length).toBeGreaterThan(60);
    // Right before a signal, a reset and what is written of them, whatever else.
    const chosen = points.filter(({ step }, at) => step.startsWith('kill ') || / -r -i /.test(step) || at % Math.ceil(points.length / KILLS) === 3);
    const verdicts = await runAll(chosen.map((each) => () => runKill(ground, each)), AT_ONCE);
    expect(verdicts.length).toBeGreaterThanOrEqual(KILLS);
    expect(failed(verdicts)).toEqual([]);
  }, 300_000);
});
