import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JOBS } from '../../src/schedule/jobs.ts';
import { CASES } from '../faults/cases.ts';
import { type KillPoint, killPoints, runKill } from '../faults/kills.ts';
import { runAll, runFault, type Verdict } from '../faults/run.ts';
import { type Ground, layGround } from '../faults/stage.ts';

/** Each mostly waits. */
const AT_ONCE = 4;
/** Which place of each job is taken, besides those that are always. */
const SEED = 20_261_122;

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

/** Right before a signal and a reset, and while the engine stops or removes something, whatever else. */
function isAlwaysTaken({ step, half, nth }: KillPoint): boolean {
  return nth === 1 && (step === 'kill SIGTERM' || / -r -i /.test(step) || (half && /^(?:POST|DELETE) .*containers/.test(step)));
}

describe('a pass of any job of the schedule that is killed', () => {
  it('at any step of all that it changes harms nobody, and the next pass tells what was in flight and does what was left, once', async () => {
    const points: KillPoint[][] = [];
    await Promise.all(JOBS.map(async ({ name }, at) => { points[at] = [...await killPoints(ground, name)]; }));
    for (const each of points) expect(each.length).toBeGreaterThan(50);
    const chosen = points.flatMap((each) => each.filter((point, at) => at === SEED % each.length || isAlwaysTaken(point)));
    const verdicts = await runAll(chosen.map((each) => () => runKill(ground, each)), AT_ONCE);
    expect(verdicts.length).toBeGreaterThanOrEqual(JOBS.length + 3);
    expect(failed(verdicts)).toEqual([]);
  }, 300_000);
});
