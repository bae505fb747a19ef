import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Orphan } from '../hostsim/orphans.ts';
import { newMig } from '../hostsim/new-world.ts';
import { startRecorder, type Recorder } from './recorder.ts';
import { changesIn, deviceOf, eventsOf, fateOf, openScene, useEngine, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();
const LEFT_MIB = 8000;

/** A container that is gone, whose cgroup still takes processes. */
async function goneContainer(): Promise<string> {
  const id = await engine().run();
  await engine().rm(id);
  return id;
}

describe('processes whose container is gone', () => {
  let scene: Scene;
  let meek: Recorder;
  let stubborn: Recorder;
  let leftover: Orphan;
  let run: PassRun;

  beforeAll(async () => {
    scene = openScene(engine(), { gpus: 3 });
    const [one, two] = [await goneContainer(), await goneContainer()];
    meek = await startRecorder(scene.host, { cgroup: `docker/${one}`, obeys: true });
    stubborn = await startRecorder(scene.host, { cgroup: `docker/${two}`, obeys: false });
    scene.host.listOn(0, meek);
    scene.host.listOn(1, stubborn, { leavesMiB: LEFT_MIB });
    // Its container is not gone, only stopped, and its allocation is released in this very pass.
    leftover = await scene.orphan(2, { keep: true, container: { gpus: [scene.uuid(2)], labels: { 'gpuctl.type': 'api' } }, leavesMiB: LEFT_MIB });
    run = await scene.pass(['release-stale']);
  });
  afterAll(() => scene.dispose());

  it('are asked to end by one SIGTERM, and killed where they do not (S5)', () => {
    expect([meek, stubborn].map(({ terms }) => terms())).toEqual([1, 1]);
    expect([meek, stubborn, leftover].map((each) => each.isAlive())).toEqual([false, false, false]);
    for (const { pid } of [meek, stubborn]) expect(fateOf(run, pid)).toMatchObject({ verdict: 'act', reason: 'orphan-container-gone', outcome: { result: 'done' } });
    expect(fateOf(run, leftover.pid)).toMatchObject({ verdict: 'act', reason: 'orphan-container-stopped', outcome: { result: 'done' } });
    expect(eventsOf(run, 'gpu.orphan.found').map((event) => event['process.pid']).toSorted()).toEqual([meek.pid, stubborn.pid, leftover.pid].toSorted());
    expect(eventsOf(run, 'gpu.orphan.ended')).toHaveLength(3);
  });

  it('are looked at twice, the driver asked again after the confirmation time and before any signal (S5)', () => {
    // A look at the whole host asks for the index before the compute list; the second look asks for the compute list alone.
    const second = run.calls.findIndex(({ kind }, at) => kind === 'compute-apps' && run.calls[at - 1]?.['kind'] === 'compute-apps');
    const [before, after] = [Number(run.calls[second - 1]?.['at']), Number(run.calls[second]?.['at'])];
    expect(after - before).toBeGreaterThanOrEqual(1000);
    for (const { termAt } of [meek, stubborn]) expect(termAt()).toBeGreaterThanOrEqual(after);
    const kills = run.report.decisions.filter(({ verb, verdict }) => verb === 'kill' && verdict === 'act');
    expect(kills.map(({ evidence }) => Number(evidence['confirmedAfterMs']) >= 1000)).toEqual([true, true, true]);
  });

  it('cost their GPU a reset only where it stays dirty without them, and then exactly that GPU (S5)', () => {
    expect(changesIn(run.calls).toSorted()).toEqual([1, 2].map((index) => ['-r', '-i', scene.host.gpu(index).busId.toLowerCase()]));
    expect(scene.host.world().resets.map(({ gpu }) => gpu).toSorted()).toEqual([scene.uuid(1), scene.uuid(2)]);
    expect(eventsOf(run, 'gpu.reset.done').map((event) => event['gpu.uuid']).toSorted()).toEqual([scene.uuid(1), scene.uuid(2)]);
    expect([0, 1, 2].map((index) => deviceOf(run, scene.uuid(index)).verdict)).toEqual(['clean', 'clean', 'clean']);
    expect(run.exitCode).toBe(0);
  });

  it('are only reported by a health check without --repair', async () => {
    const id = await goneContainer();
    const third = await startRecorder(scene.host, { cgroup: `docker/${id}`, obeys: true });
    scene.host.listOn(0, third);
    const report = await scene.pass(['health-check']);
    expect([report.exitCode, third.isAlive(), third.terms(), changesIn(report.calls)]).toEqual([1, true, 0, []]);
    expect(report.report.findings.map(({ id: finding, subject }) => [finding, subject.pid])).toContainEqual(['gpu.orphan', third.pid]);
    const repaired = await scene.pass(['health-check', '--repair']);
    expect([repaired.exitCode, third.isAlive(), third.terms()]).toEqual([0, false, 1]);
  });
});

describe('an orphan on a GPU that somebody else refers to', () => {
  const mig = [newMig(3, 0), newMig(3, 1)];
  let scene: Scene;
  let orphans: readonly Orphan[];
  let computing: number;
  let run: PassRun;

  beforeAll(async () => {
    scene = openScene(engine(), { gpus: [{}, {}, {}, { mig }] });
    const { uuid } = scene;
    const trainer = await scene.computing(0, { name: 'trainer', gpus: [uuid(0)] });
    computing = await engine().initPid(trainer);
    await engine().run({ name: 'idle', gpus: [uuid(1)] });
    await scene.stopped({ name: 'within-hold', gpus: [uuid(2)] });
    await engine().run({ name: 'slice', gpus: [mig[1]?.uuid ?? ''] });
    orphans = await Promise.all([0, 1, 2].map((index) => scene.orphan(index, { process: { ignoreTerm: true }, leavesMiB: LEFT_MIB })));
    orphans = [...orphans, await scene.orphan(3, { leavesMiB: LEFT_MIB, mig: 0 })];
    run = await scene.pass(['release-stale']);
  });
  afterAll(() => scene.dispose());

  it('is ended, and nothing else is (S6)', () => {
    expect(orphans.map((orphan) => orphan.isAlive())).toEqual([false, false, false, false]);
    expect(run.report.decisions.filter(({ verb, verdict }) => verb === 'kill' && verdict === 'act').map(({ target }) => target.kind === 'process' && target.pid).toSorted()).toEqual(orphans.map(({ pid }) => pid).toSorted());
    expect(fateOf(run, computing)).toMatchObject({ verdict: 'leave', reason: 'running-container' });
  });

  it('costs that GPU no reset, though it stays dirty, whatever the state of the container that claims it (S6)', () => {
    expect([changesIn(run.calls), scene.host.world().resets]).toEqual([[], []]);
    for (const index of [0, 1, 2, 3]) expect(deviceOf(run, scene.uuid(index)).verdict).toBe('dirty');
    expect(run.exitCode).toBe(1);
  });

  it.each([[0, 'shared', 'trainer'], [1, 'shared', 'idle'], [2, 'shared', 'within-hold'], [3, 'mig', 'MIG']])('on GPU %i makes an alert that says %s and names %s (S6)', (index, reason, who) => {
    const [event, ...more] = eventsOf(run, 'gpu.reset.withheld').filter((each) => each['gpu.uuid'] === scene.uuid(index));
    expect(more).toEqual([]);
    expect(event).toMatchObject({ 'gpuctl.alert': true, 'event.kind': 'alert', 'log.level': 'warn', 'event.reason': reason, message: expect.stringContaining(who) as string });
    expect(run.report.findings.map(({ id, subject }) => [id, subject.gpu])).toContainEqual([`gpu.dirty.${reason}`, scene.uuid(index)]);
  });

  it('leaves a want behind, which is carried out when nobody refers to the GPU any more', async () => {
    const { Id } = (await engine().api('GET', '/containers/idle/json')) as { Id: string };
    await engine().rm(Id);
    const later = await scene.pass(['release-stale']);
    expect(changesIn(later.calls)).toEqual([['-r', '-i', scene.host.gpu(1).busId.toLowerCase()]]);
    expect(deviceOf(later, scene.uuid(1)).verdict).toBe('clean');
  });
});
