import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { cgroupRoots } from '../hostsim/cgroups.ts';
import { buildDemoHost } from '../hostsim/demo-world.ts';
import { startEngine, type Engine } from '../hostsim/dockerd.ts';
import { callEngine } from '../hostsim/engine-api.ts';
import { engineProxy, type ProxyRule } from '../hostsim/engine-proxy.ts';
import { makeOrphan } from '../hostsim/orphans.ts';
import { commandLine, pidsNaming, shimsOf } from '../hostsim/process-table.ts';

// Real daemons start here, on machines that do other things besides.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const UUID = 'GPU-00000000-aaaa-4bbb-8ccc-0123456789ab';
const cgroupOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
const containerGroups = (id: string): string[] => cgroupRoots().map((root) => join(root, 'docker', id)).filter((group) => existsSync(group));
const namespaceOf = (pid: number): string => spawnSync('readlink', [`/proc/${pid}/ns/pid`], { encoding: 'utf8' }).stdout;

describe('a private engine', () => {
  let engine: Engine;
  beforeAll(async () => { engine = await startEngine(); });
  afterAll(() => engine.dispose());

  it('starts containers that ask for GPUs, in every way there is to ask', async () => {
    const asked = await engine.run({ name: 'asked', gpus: [UUID] });
    const all = await engine.run({ gpus: 'all' });
    const two = await engine.run({ gpus: 2 });
    const byEnv = await engine.run({ runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: UUID }, labels: { 'gpuctl.owner': 'alice' } });
    const requests = async (id: string): Promise<unknown> => ((await engine.inspect(id))['HostConfig'] as { DeviceRequests: unknown }).DeviceRequests;
    expect(await requests(asked)).toMatchObject([{ Count: 0, DeviceIDs: [UUID], Capabilities: [['gpu']] }]);
    expect(await requests(all)).toMatchObject([{ Count: -1 }]);
    expect(await requests(two)).toMatchObject([{ Count: 2 }]);
    expect(readFileSync(`/proc/${await engine.initPid(byEnv)}/environ`, 'utf8')).toContain(`NVIDIA_VISIBLE_DEVICES=${UUID}`);
    for (const id of [asked, all, two, byEnv]) expect((await engine.inspect(id)).State.Status).toBe('running');
  });

  it('has containers in the states that tests need', async () => {
    const status = async (id: string): Promise<string> => (await engine.inspect(id)).State.Status;
    expect(await status(await engine.create())).toBe('created');
    const id = await engine.run({ name: 'stateful' });
    await engine.pause(id);
    expect(await status(id)).toBe('paused');
    await engine.unpause(id);
    await engine.stop(id);
    expect([await status(id), await engine.initPid(id)]).toEqual(['exited', 0]);
    await engine.rm(id, { force: false });
    expect((await callEngine(engine.socketPath, 'GET', `/containers/${id}/json`)).status).toBe(404);
  });

  it('leaves an orphan alive when its container is removed: in the cgroup, in the host\'s namespace, with no shim', async () => {
    const orphan = await makeOrphan(engine, { process: { name: 'python3' } });
    expect(orphan.isAlive()).toBe(true);
    expect((await callEngine(engine.socketPath, 'GET', `/containers/${orphan.containerId}/json`)).status).toBe(404);
    expect(cgroupOf(orphan.pid)).toContain(`/docker/${orphan.containerId}`);
    expect(namespaceOf(orphan.pid)).toBe(namespaceOf(process.pid));
    expect(shimsOf(orphan.containerId)).toEqual([]);
    const stopped = await makeOrphan(engine, { keep: true });
    expect((await engine.inspect(stopped.containerId)).State.Status).toBe('exited');
    expect(stopped.isAlive()).toBe(true);
  });

  it('can hang and go on', async () => {
    engine.hang();
    onTestFinished(() => { engine.resume(); });
    const answer = callEngine(engine.socketPath, 'GET', '/_ping').then(() => 'answered');
    expect(await Promise.race([answer, new Promise((resolve) => { setTimeout(resolve, 200, 'silent'); })])).toBe('silent');
    engine.resume();
    expect(await answer).toBe('answered');
  });
});

describe('two engines', () => {
  it('have ids of their own, and neither knows the other\'s containers', async () => {
    const [one, two] = await Promise.all([startEngine(), startEngine()]);
    onTestFinished(async () => { await Promise.all([one.dispose(), two.dispose()]); });
    expect(one.id).not.toBe(two.id);
    const foreign = await two.run();
    expect((await callEngine(one.socketPath, 'GET', `/containers/${foreign}/json`)).status).toBe(404);
    expect(shimsOf(foreign)).toHaveLength(1);
    expect(namespaceOf(await two.initPid(foreign))).not.toBe(namespaceOf(process.pid));
  });
});

describe('an engine that comes back with another data folder', () => {
  it('keeps its id, forgets its containers, and they live on under their shims', async () => {
    const engine = await startEngine();
    onTestFinished(() => engine.dispose());
    const before = engine.id;
    const id = await engine.run({ gpus: [UUID] });
    const pid = await engine.initPid(id);
    await engine.restartWithOtherDataRoot();
    expect(engine.id).toBe(before);
    expect((await callEngine(engine.socketPath, 'GET', `/containers/${id}/json`)).status).toBe(404);
    expect(cgroupOf(pid)).toContain(id);
    expect(shimsOf(id)).toHaveLength(1);
    await engine.restartWithOtherDataRoot({ newId: true });
    expect(engine.id).not.toBe(before);
    expect(await engine.initPid(await engine.run())).toBeGreaterThan(0);
  });
});

describe('a proxy before the engine', () => {
  it('answers with errors, cuts answers short, hangs up and calls back, as its rules say', async () => {
    const engine = await startEngine();
    onTestFinished(() => engine.dispose());
    const proxy = await engineProxy({ sandbox: engine.sandbox, target: engine.socketPath });
    const list = async (rule?: ProxyRule): Promise<unknown> => {
      proxy.rules = rule === undefined ? [] : [rule];
      return await callEngine(proxy.socketPath, 'GET', '/containers/json').then(({ status, body }) => `${status} ${body.trim()}`, () => 'broken');
    };
    const path = /containers\/json/;
    expect(await list()).toBe('200 []');
    expect(await list({ path, answer: { status: 500 } })).toBe('500 {"message":"injected"}');
    expect(await list({ path, answer: { truncateAt: 1 } })).toBe('broken');
    expect(await list({ path, answer: 'close' })).toBe('broken');
    expect(await list({ path: /nothing/, answer: 'close' })).toBe('200 []');
    let started = '';
    expect(await list({ path, times: 1, before: async () => { started = await engine.run({ name: 'meanwhile' }); } })).toContain('"/meanwhile"');
    expect(proxy.requests.filter((line) => line === 'GET /containers/json')).toHaveLength(6);
    expect(started).toHaveLength(64);
    await proxy.close();
  });
});

describe('the host of the demonstration', () => {
  it('shows two live containers, an orphan, a stopped container and a MIG GPU, and cleans up after itself', async () => {
    const demo = await buildDemoHost();
    onTestFinished(() => demo.dispose());
    const { host, engine, orphan, containers } = demo;
    const apps = spawnSync(host.smiPath, ['--query-compute-apps=pid', '--format=csv,noheader'], { encoding: 'utf8' }).stdout.trim().split('\n').map(Number);
    expect(apps).toEqual([await engine.initPid(containers.training), await engine.initPid(containers.notebook), orphan.pid, await engine.initPid(containers.slice)]);
    expect((await engine.inspect(containers.finished)).State.Status).toBe('exited');
    expect(spawnSync(host.smiPath, ['-L'], { encoding: 'utf8' }).stdout.match(/MIG-/g)).toHaveLength(2);
    const used = (): string => spawnSync(host.smiPath, ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-i', '2'], { encoding: 'utf8' }).stdout;
    await orphan.end();
    expect(used()).toBe('6204\n');
    expect(spawnSync(host.smiPath, ['-r', '-i', host.gpu(2).busId]).status).toBe(0);
    expect(used()).toBe('4\n');
    const daemon = engine.daemonPid();
    await demo.dispose();
    expect(commandLine(daemon)).toBe('');
    expect([...Object.values(containers), orphan.containerId].flatMap(containerGroups)).toEqual([]);
    expect(existsSync(host.dir)).toBe(false);
    expect(pidsNaming(host.dir)).toEqual([]);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(host.dir);
  });
});
