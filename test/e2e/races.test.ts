import { describe, expect, it, onTestFinished } from 'vitest';
import { engineProxy, type EngineProxy } from '../hostsim/engine-proxy.ts';
import { startRecorder, type Recorder } from './recorder.ts';
import { changesIn, eventsOf, fateOf, openScene, releasesIn, useEngine, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();
const NO_HOLD = { limits: { default: { gpu_hold_after_stop: '0' } } };

/** A scene whose gpuctl talks to the engine through a proxy, by which the test gets in between. */
async function openBetween(gpus: number): Promise<Scene & { readonly proxy: EngineProxy }> {
  const scene = openScene(engine(), { gpus, config: NO_HOLD });
  onTestFinished(() => scene.dispose());
  const proxy = await engineProxy({ sandbox: scene.host.sandbox, target: engine().socketPath });
  scene.host.configure({ engine: { host: proxy.host } });
  return { ...scene, proxy };
}

const stateOf = async (id: string): Promise<string> => (await engine().inspect(id)).State.Status;

describe('a stopped container', () => {
  it('that vanishes between the list and the look at it ends no pass: its allocation is gone, the others are handled (S16)', async () => {
    const scene = await openBetween(3);
    const other = await scene.stopped({ name: 'other', gpus: [scene.uuid(1)] });
    const vanishing = await scene.orphan(0, { keep: true, container: { name: 'vanishing', gpus: [scene.uuid(0)] } });
    const kept = await scene.computing(2, { name: 'kept', gpus: [scene.uuid(2)] });
    await scene.pass(['sample']);
    scene.proxy.rules = [{ path: new RegExp(`containers/${vanishing.containerId}/json`), times: 1, before: () => engine().rm(vanishing.containerId) }];
    const run = await scene.passWhileContainersChange(['release-stale']);
    expect(eventsOf(run, 'gpu.allocation.released').map((event) => [event['container.name'], event['event.reason']]).toSorted()).toEqual([['other', 'no-hold'], ['vanishing', 'gone']]);
    // What it left behind is an orphan of a container that this engine once had.
    expect([vanishing.isAlive(), fateOf(run, vanishing.pid)]).toMatchObject([false, { reason: 'orphan-container-gone', outcome: { result: 'done' } }]);
    expect([run.exitCode, run.report.observed.engine, await stateOf(other), await stateOf(kept)]).toEqual([0, 'complete', 'exited', 'running']);
  });

  it('that is started between the list and the look at it keeps its GPU and what runs in it (S16)', async () => {
    const scene = await openBetween(1);
    const id = await scene.stopped({ name: 'back', gpus: [scene.uuid(0)] });
    const leftover = await scene.host.process({ cgroup: `docker/${id}` });
    scene.host.listOn(0, leftover);
    scene.host.updateGpu(0, (gpu) => { gpu.recovery = 'Reset'; });
    scene.proxy.rules = [{ path: new RegExp(`containers/${id}/json`), times: 1, before: () => engine().start(id) }];
    const run = await scene.passWhileContainersChange(['release-stale']);
    expect([eventsOf(run, 'gpu.allocation.released'), changesIn(run.calls)]).toEqual([[], []]);
    expect([leftover.isAlive(), fateOf(run, leftover.pid)?.reason, await stateOf(id)]).toEqual([true, 'running-container', 'running']);
    expect(await releasesIn(scene.host)).toEqual({ [id]: null });
  });

  it('that is started right after the look at it is released for its old run only, and holds its GPU against a reset (S16)', async () => {
    const scene = await openBetween(1);
    const id = await scene.stopped({ name: 'back', gpus: [scene.uuid(0)] });
    scene.host.updateGpu(0, (gpu) => { gpu.recovery = 'Reset'; });
    // Each look at the whole host asks who the engine is before the list and after the inspects: the second question is the end of the first look.
    let asked = 0;
    scene.proxy.rules = [{ path: /info/, before: async () => { asked += 1; if (asked === 2) await engine().start(id); } }];
    const run = await scene.passWhileContainersChange(['release-stale']);
    expect(eventsOf(run, 'gpu.allocation.released')).toHaveLength(1);
    expect([changesIn(run.calls), await stateOf(id)]).toEqual([[], 'running']);
    expect(eventsOf(run, 'gpu.reset.withheld')).toMatchObject([{ 'event.reason': 'shared', 'gpuctl.alert': true }]);
    expect(await releasesIn(scene.host)).toEqual({ [id]: null });
  });
});

/** Has the driver been asked for its compute list alone? Only the second look does that. */
function isConfirming({ host }: Scene): boolean {
  return host.calls().slice(-2).every(({ kind }) => kind === 'compute-apps');
}

describe('a stopped container whose leftover process is being ended', () => {
  interface Restart { readonly obeys: boolean; readonly when: (scene: Scene, leftover: Recorder, asked: number) => boolean }

  /** The container starts at the first question about it for which `when` is true; `asked` counts those since the second look began. */
  async function endWhileRestarting({ obeys, when }: Restart): Promise<{ run: PassRun; leftover: Recorder }> {
    const scene = await openBetween(1);
    const id = await scene.stopped({ name: 'back', gpus: [scene.uuid(0)] });
    const leftover = await startRecorder(scene.host, { cgroup: `docker/${id}`, obeys });
    scene.host.listOn(0, leftover, { leavesMiB: 8000 });
    let [asked, started] = [0, false];
    scene.proxy.rules = [{ path: new RegExp(`containers/${id}/json`), before: async () => {
      asked += isConfirming(scene) ? 1 : 0;
      if (started || !when(scene, leftover, asked)) return;
      started = true;
      await engine().start(id);
    } }];
    const run = await scene.passWhileContainersChange(['release-stale']);
    expect([leftover.isAlive(), await stateOf(id), changesIn(run.calls)]).toEqual([true, 'running', []]);
    return { run, leftover };
  }

  it('is not touched when it starts between the two looks (S16)', async () => {
    const { run, leftover } = await endWhileRestarting({ obeys: true, when: (_, __, asked) => asked === 1 });
    expect([leftover.terms(), fateOf(run, leftover.pid)]).toMatchObject([0, { verdict: 'refuse', reason: 'looks-differ', outcome: null }]);
  });

  it('is not touched when it starts after the decision and before SIGTERM (S16)', async () => {
    const { run, leftover } = await endWhileRestarting({ obeys: true, when: (_, __, asked) => asked === 2 });
    expect([leftover.terms(), fateOf(run, leftover.pid)]).toMatchObject([0, { verdict: 'act', outcome: { result: 'refused', reason: 'looks-differ' } }]);
    expect(run.exitCode).toBe(4);
  });

  it('is not touched when it starts during the grace: SIGKILL is refused (S16)', async () => {
    const { run, leftover } = await endWhileRestarting({ obeys: false, when: (_, { terms }) => terms() > 0 });
    expect([leftover.terms(), fateOf(run, leftover.pid)]).toMatchObject([1, { verdict: 'act', outcome: { result: 'refused', reason: 'looks-differ' } }]);
    expect(eventsOf(run, 'gpu.orphan.survived')).toMatchObject([{ 'process.pid': leftover.pid, 'event.outcome': 'failure', 'gpuctl.alert': true }]);
    expect(run.exitCode).toBe(4);
  });
});
