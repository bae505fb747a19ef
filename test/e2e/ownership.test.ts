import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { HostOptions } from '../hostsim/host.ts';
import type { ContainerOptions } from '../hostsim/dockerd.ts';
import { newMig } from '../hostsim/new-world.ts';
import { processStat } from '../hostsim/smi-device.ts';
import { changesIn, deviceOf, eventsOf, fateOf, openScene, useEngine, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();
/** Every device asks for a reset, so that only somebody who refers to it keeps it from one. */
const SICK = { recovery: 'Reset' } as const;

function open(options: HostOptions): Scene {
  const scene = openScene(engine(), options);
  onTestFinished(() => scene.dispose());
  return scene;
}

function killsIn({ report }: PassRun): readonly unknown[] {
  return report.decisions.filter(({ verb, verdict }) => verb === 'kill' && verdict === 'act');
}

describe('a release on one GPU', () => {
  it('does not touch the container that computes on another, even while the released GPU is reset (S3)', async () => {
    const scene = open({ gpus: [SICK, SICK] });
    const { host, uuid } = scene;
    const live = await scene.computing(0, { name: 'live', gpus: [uuid(0)] });
    const stale = await scene.stopped({ name: 'stale', gpus: [uuid(1)], labels: { 'gpuctl.type': 'api' } });
    const pid = await engine().initPid(live);
    const before = processStat(pid);
    const run = await scene.pass(['release-stale']);
    expect(eventsOf(run, 'gpu.allocation.released').map((event) => event['container.id'])).toEqual([stale]);
    expect(changesIn(run.calls)).toEqual([['-r', '-i', host.gpu(1).busId.toLowerCase()]]);
    expect([killsIn(run), processStat(pid)?.startTicks]).toEqual([[], before?.startTicks]);
    expect(eventsOf(run, 'gpu.reset.withheld').map((event) => event['gpu.uuid'])).toEqual([uuid(0)]);
    expect(deviceOf(run, uuid(1)).claims).toMatchObject([{ released: true }]);
  });
});

describe('a released GPU with a process of a running container', () => {
  const env = (value: string): ContainerOptions => ({ runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: value } });
  type Claimer = (uuids: readonly [string, string], indices: readonly [number, number]) => ContainerOptions;
  /** How a container refers to two GPUs; it computes on the first of them only. */
  const ways: readonly (readonly [how: string, source: string, claim: Claimer])[] = [
    ['claims it by a label of one UUID', 'label', ([a, b]) => ({ labels: { 'ds01.gpu.uuid': a, 'gpuctl.device': b } })],
    ['claims it by a label of several UUIDs', 'label', ([a, b]) => ({ labels: { 'ds01.gpu.uuids': `${a}, ${b}` } })],
    ['claims it by the third spelling of that label', 'label', ([a, b]) => ({ labels: { 'ds01.gpu_slot': `${b},${a}` } })],
    ['claims it in its environment', 'environment', ([a, b]) => env(`${a},${b}`)],
    ['claims it in its environment by number', 'environment', (_, [a, b]) => env(`${b},${a}`)],
    ['was started with --gpus device=…', 'device-request', (uuids) => ({ gpus: uuids })],
    ['asks for it in the second of two requests', 'device-request', ([a, b]) => ({ deviceRequests: [b, a].map((id) => ({ DeviceIDs: [id], Capabilities: [['gpu']] })) })],
    ['is paused', 'label', ([a, b]) => ({ labels: { 'gpuctl.devices': `${a},${b}` } })],
    ['does not claim it at all', 'live-process', () => ({})],
  ];
  let scene: Scene;
  let run: PassRun;
  let pids: readonly number[];
  const pair = (at: number): readonly [string, string] => [scene.uuid(2 * at), scene.uuid(2 * at + 1)];

  beforeAll(async () => {
    scene = openScene(engine(), { gpus: Array.from({ length: 2 * ways.length }, () => SICK) });
    const ids: string[] = [];
    for (const [at, [how, , claim]] of ways.entries()) {
      await scene.stopped({ gpus: pair(at), labels: { 'gpuctl.type': 'api' } });
      ids.push(await scene.computing(2 * at, { name: `live-${at}`, ...claim(pair(at), [2 * at, 2 * at + 1]) }));
      if (how === 'is paused') await engine().pause(ids[at] ?? '');
    }
    pids = await Promise.all(ids.map((id) => engine().initPid(id)));
    run = await scene.pass(['release-stale']);
  });
  afterAll(async () => {
    await engine().unpause(`live-${ways.findIndex(([how]) => how === 'is paused')}`);
    await scene.dispose();
  });

  it.each(ways.map(([how, source], at) => [how, source, at] as const))('is neither cleared nor reset where the container %s (S4)', (how, source, at) => {
    const pid = pids[at] ?? 0;
    const [computing, claimed] = pair(at);
    const claims = (uuid: string): readonly unknown[] => deviceOf(run, uuid).claims.filter(({ released }) => !released).map(({ container, source: by }) => [container.name, container.state, by]);
    const withheld = (uuid: string): unknown => eventsOf(run, 'gpu.reset.withheld').find((event) => event['gpu.uuid'] === uuid);
    expect(eventsOf(run, 'gpu.allocation.released').map((event) => event['gpu.uuid'])).toEqual(expect.arrayContaining([computing, claimed]));
    expect(fateOf(run, pid)).toEqual({ verdict: 'leave', reason: 'running-container', outcome: null });
    expect(claims(computing)).toContainEqual([`live-${at}`, how === 'is paused' ? 'paused' : 'running', source]);
    expect(withheld(computing)).toMatchObject({ 'gpuctl.alert': true, 'event.reason': 'shared' });
    if (source === 'live-process') return;
    // The container's other GPU has no process on it; the claim alone protects it.
    expect(claims(claimed)).toContainEqual([`live-${at}`, how === 'is paused' ? 'paused' : 'running', source]);
    expect(withheld(claimed)).toMatchObject({ 'gpuctl.alert': true, 'event.reason': 'shared' });
  });

  it('is not reset, while the one GPU to which nobody refers is (S4)', () => {
    expect(changesIn(run.calls)).toEqual([['-r', '-i', scene.host.gpu(2 * ways.length - 1).busId.toLowerCase()]]);
    expect([killsIn(run), run.exitCode]).toEqual([[], 1]);
  });
});

describe('a released GPU with a container on all GPUs', () => {
  it.each<[string, ContainerOptions]>([['--gpus all', { gpus: 'all' }], ['its environment', { runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: 'all' } }]])('is neither cleared nor reset where that is so by %s (S4)', async (_, claim) => {
    const scene = open({ gpus: [SICK, SICK] });
    await scene.stopped({ gpus: [scene.uuid(0), scene.uuid(1)], labels: { 'gpuctl.type': 'api' } });
    const live = await scene.computing(0, { name: 'live', ...claim });
    const run = await scene.pass(['release-stale']);
    expect(eventsOf(run, 'gpu.allocation.released')).toHaveLength(2);
    expect(fateOf(run, await engine().initPid(live))).toMatchObject({ verdict: 'leave', reason: 'running-container' });
    expect([killsIn(run), changesIn(run.calls), run.exitCode]).toEqual([[], [], 1]);
    expect(eventsOf(run, 'gpu.reset.withheld').map((event) => event['event.reason'])).toEqual(['shared', 'shared']);
  });
});

describe('a process that is no container\'s', () => {
  it('is never ended, and keeps its GPU from a reset: a permitted user, a display, services of the driver, MPS (S8)', async () => {
    const scene = open({ gpus: [SICK, { ...SICK, display: 'active' }, SICK, SICK, SICK, { ...SICK, display: 'active' }], config: { orphans: { permit: { users: ['nobody'] } } } });
    const { host, uuid } = scene;
    const someone = 54_321;
    const processes = [
      { gpu: 0, process: await host.process({ name: 'python3', uid: 65_534 }) },
      { gpu: 1, process: await host.process({ name: 'Xorg' }), type: 'G' },
      { gpu: 2, process: await host.process({ name: 'nv-hostengine', uid: someone, cgroup: 'system.slice/nvidia-dcgm.service' }) },
      { gpu: 3, process: await host.process({ name: 'nvidia-persistenced', uid: someone, cgroup: 'system.slice/nvidia-persistenced.service' }) },
      { gpu: 4, process: await host.process({ name: 'nvidia-cuda-mps-server' }) },
    ] as const;
    for (const { gpu, process, ...entry } of processes) host.listOn(gpu, process, entry);
    const run = await scene.pass(['release-stale']);
    expect(processes.map(({ process }) => process.isAlive())).toEqual([true, true, true, true, true]);
    for (const { process } of processes) expect(fateOf(run, process.pid)).toEqual({ verdict: 'leave', reason: 'host-permitted', outcome: null });
    expect([killsIn(run), changesIn(run.calls), eventsOf(run, 'gpu.stray.reported')]).toEqual([[], [], []]);
    const withheld = eventsOf(run, 'gpu.reset.withheld');
    expect(withheld.map((event) => event['gpu.uuid']).toSorted()).toEqual([0, 1, 2, 3, 4, 5].map(uuid));
    const blockers = withheld.find((event) => event['gpu.uuid'] === uuid(5))?.['gpuctl.blockers'];
    expect(blockers).toMatchObject([{ kind: 'display-active', hard: true }]);
  });

  it('is reported, and not ended either, where it only has the name of a permitted one (S8)', async () => {
    const scene = open({ gpus: [SICK, SICK] });
    const { host, uuid } = scene;
    const named = await Promise.all(['nvidia-cuda-mps-server', 'nv-hostengine'].map((name) => host.process({ name, uid: 54_321 })));
    named.forEach((process, index) => { host.listOn(index, process); });
    const run = await scene.pass(['release-stale']);
    expect(named.map((process) => process.isAlive())).toEqual([true, true]);
    for (const { pid } of named) expect(fateOf(run, pid)).toMatchObject({ verdict: 'leave', reason: 'host-stray' });
    expect(eventsOf(run, 'gpu.stray.reported').map((event) => [event['process.pid'], event['gpu.uuid']])).toEqual(named.map(({ pid }, index) => [pid, uuid(index)]));
    expect([run.exitCode, changesIn(run.calls)]).toEqual([1, []]);
  });

  it('is left alone as the client of an MPS server that has other clients, though its container is gone (S8)', async () => {
    const scene = open({ gpus: 2 });
    const { host } = scene;
    const live = await engine().run({ name: 'live' });
    host.listOn(0, await engine().initPid(live), { type: 'M+C' });
    const [among, alone] = [await scene.orphan(0), await scene.orphan(1)];
    host.updateWorld((world) => { for (const each of world.gpus.flatMap(({ processes }) => processes)) each.type = 'M+C'; });
    const run = await scene.pass(['release-stale']);
    expect([among.isAlive(), alone.isAlive()]).toEqual([true, false]);
    expect(fateOf(run, among.pid)).toMatchObject({ verdict: 'refuse', reason: 'mps-client', outcome: null });
    expect(eventsOf(run, 'gpu.stray.reported')).toMatchObject([{ 'process.pid': among.pid, 'event.reason': 'mps-client', 'gpuctl.alert': true }]);
    expect(run.exitCode).toBe(1);
  });
});

describe('one container on two devices', () => {
  it('claims both, in whatever way it refers to them, and in whatever state it is (S11)', async () => {
    const mig = [newMig(2, 0), newMig(2, 1)];
    const scene = open({ gpus: [{}, {}, { mig }] });
    const two = [scene.uuid(0), scene.uuid(1)];
    const slices = mig.map(({ uuid }) => uuid);
    const ways: Record<string, ContainerOptions> = {
      ids: { gpus: two },
      count: { gpus: 2 },
      numbers: { gpus: ['0', '1'] },
      requests: { deviceRequests: two.map((id) => ({ DeviceIDs: [id], Capabilities: [['gpu']] })) },
      environment: { runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: two.join(',') } },
      labels: { labels: { 'ds01.gpu.uuids': two.join(',') } },
      slots: { labels: { 'ds01.gpu.allocated': '0,1' } },
    };
    for (const [name, options] of Object.entries(ways)) await engine().run({ name, ...options });
    await engine().create({ name: 'created', gpus: two });
    await scene.stopped({ name: 'exited', gpus: two });
    await engine().run({ name: 'slices', gpus: slices });
    const run = await scene.pass(['status']);
    const claimants = (index: number): readonly string[] => [...new Set(deviceOf(run, scene.uuid(index)).claims.map(({ container }) => container.name))].toSorted();
    const expected = [...Object.keys(ways), 'created', 'exited'].toSorted();
    expect([claimants(0), claimants(1), claimants(2)]).toEqual([expected, expected, ['slices']]);
    expect(new Set(deviceOf(run, scene.uuid(2)).claims.map((claim) => claim.mig))).toEqual(new Set(slices));
    expect((await scene.host.gpuctl(['free'])).stdout).toBe('');
  });
});
