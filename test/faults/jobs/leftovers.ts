import { setTimeout as delay } from 'node:timers/promises';
import { anyProblems, eventsIn } from '../check.ts';
import { linesOf, type Stage } from '../stage.ts';
import { QUIET_LIMITS, type Readied, statesOf, toldOf, toldProblems, untouched } from './kill-job.ts';

/** One that was never started and one that has stopped for longer than it may; one that is protected and one within its hold. */
export async function readyLeftovers(stage: Stage): Promise<Readied> {
  const { ground: { engine }, host } = stage;
  host.makeSmiInstant();
  stage.configure({ leftovers: { created_timeout: '1s' }, limits: { default: QUIET_LIMITS, types: { brief: { container_hold_after_stop: '1s' } } } });
  const gpus = [host.gpu(1).uuid];
  const stopped = async (type: string): Promise<string> => {
    const id = await stage.run({ gpus, labels: { 'gpuctl.type': type } });
    await engine.kill(id).then(() => engine.wait(id));
    return id;
  };
  const [created, ended, kept, shielded] = await Promise.all([stage.create({ gpus }), stopped('brief'), stopped('docker'), stage.create({ gpus, labels: { 'gpuctl.protected': 'true' } })]);
  await delay(1200);
  const guarded = async (): Promise<readonly string[]> => {
    const states = await statesOf(stage, [kept, shielded]);
    return states.join() === 'exited,created' ? [] : [`what was to be kept is ${states.join()}`];
  };
  return {
    between: guarded,
    async problems(outcome) {
      const events = eventsIn(linesOf(stage));
      const states = await statesOf(stage, [created, ended]);
      return [
        ...await anyProblems(outcome), ...untouched(outcome), ...await guarded(),
        ...(states.join() === 'gone,gone' ? [] : [`the leftovers are ${states.join()}`]),
        ...[created, ended].flatMap((id) => toldProblems('the removal', toldOf(events, { id, action: 'container.removed', verb: 'remove' }))),
      ];
    },
  };
}
