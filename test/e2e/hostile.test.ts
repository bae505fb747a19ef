import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { engineProxy } from '../hostsim/engine-proxy.ts';
import type { GpuctlResult } from '../hostsim/gpuctl-call.ts';
import { type SimProcess, startProcess } from '../hostsim/processes.ts';
import { changesIn, deviceOf, eventsOf, fateOf, openScene, releasesIn, useEngine, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();

/** All that drives a terminal, but the line feed that ends a line. */
const DRIVES_A_TERMINAL = /[^\P{C}\n]|[\p{Zl}\p{Zp}]/u;

describe('host text that is made to hurt', () => {
  let scene: Scene;
  let canary: string;
  const terminalText = '\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e';
  let run: PassRun;
  let orphanPid: number;

  beforeAll(async () => {
    scene = openScene(engine(), { gpus: [{}, { recovery: 'Reset' }, {}] });
    const { host, uuid } = scene;
    canary = join(host.dir, 'canary');
    const shell = `$(touch ${canary})\`touch ${canary}\`; touch ${canary} | "'`;
    const python = `'''\n__import__('os').system('touch ${canary}')\n'''`;
    const terminal = '\u001b[2J\u001b]0;owned\u0007\u009b31m\u007f\u202e\u2028\r\n{"event.action":"forged"}\n';
    const sql = "'); DROP TABLE acts; DROP TABLE allocations; --";
    const evil = shell + python + sql + terminal;
    await engine().run({
      name: `x-${uuid(1)}`, runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: evil },
      labels: {
        'gpuctl.device': evil, 'ds01.gpu.uuids': `${uuid(0)}${shell},${shell}${uuid(1)}`, 'gpuctl.owner': evil, 'ds01.user': python, 'gpuctl.type': terminal,
        'gpuctl.protected': evil, 'devcontainer.local_folder': `/home/${shell}/x`, 'some.other.label': uuid(1), [evil.slice(0, 200)]: uuid(1), 'note': `${terminal}${'A'.repeat(2 ** 20)}`,
        '__proto__': uuid(1), 'constructor': uuid(1),
      },
    });
    // It is stopped and released; its name must not aim anything at GPU 2.
    await scene.stopped({ name: `y-${uuid(2)}`, gpus: [uuid(0)], labels: { 'gpuctl.type': 'api', 'gpuctl.owner': evil, 'note': uuid(2) } });
    const stray = await host.process({ name: terminal.slice(0, 12).replaceAll('\0', '') });
    host.listOn(0, stray, { name: `${evil}</process_name><pid>1</pid></process_info><process_info><pid>2` });
    const orphan = await scene.orphan(2);
    orphanPid = orphan.pid;
    host.updateGpu(2, (gpu) => { for (const each of gpu.processes) each.name = `${sql}${terminal}${'B'.repeat(4096)}`; });
    run = await scene.pass(['release-stale']);
  });
  afterAll(() => scene.dispose());

  it('is never carried out (S18)', async () => {
    expect(existsSync(canary)).toBe(false);
    // The name of the process that was ended lies in the ledger, and its tables are there.
    const { json } = await scene.host.gpuctl(['history', '--json']);
    expect(json).toContainEqual(expect.objectContaining({ what: 'ended a process', result: 'done', pid: orphanPid }));
    expect(json).toContainEqual(expect.objectContaining({ what: 'released a device', result: 'done' }));
  });

  it('does not keep the pass from doing all that is to be done (S18)', () => {
    expect(run.report.observed).toMatchObject({ nvidia_smi: 'complete', engine: 'complete', processes: 'complete' });
    expect(eventsOf(run, 'gpu.orphan.ended').map((event) => event['process.pid'])).toEqual([orphanPid]);
    expect(eventsOf(run, 'gpu.allocation.released')).toHaveLength(1);
    expect(deviceOf(run, scene.uuid(0)).processes).toHaveLength(1);
  });

  it('makes no claim by a name, by a label that is none of ours, or by a UUID within other text (S18)', () => {
    expect(deviceOf(run, scene.uuid(1)).claims).toEqual([]);
    expect(deviceOf(run, scene.uuid(2)).claims).toEqual([]);
    expect(deviceOf(run, scene.uuid(0)).claims.every(({ released }) => released)).toBe(true);
    // The GPU in the running container's name asked for a reset and gets it; the one in the released container's name did not.
    expect(changesIn(run.calls)).toEqual([['-r', '-i', scene.host.gpu(1).busId.toLowerCase()]]);
  });

  it('reaches no terminal and forges no event: not in a table, a document, an event or a message (S18)', async () => {
    const lines = readFileSync(scene.host.eventsPath, 'utf8');
    const outputs: GpuctlResult[] = [run];
    for (const args of [['health-check'], ['health-check', '--json'], ['health-check', '--events', '--dry-run', '--repair'], ['status'], ['allocations', '--all'], ['allocations', '--all', '--json'], ['config', 'show', '--container', `x-${scene.uuid(1)}`], ['free'], ['config', 'show', '--container', '\u009b31m'], ['health-check', '--device', '\u001b[31m\u009b']]) {
      outputs.push(await scene.host.gpuctl(args));
    }
    const shown = [['explain', scene.uuid(0)], ['explain', `x-${scene.uuid(1)}`], ['explain', terminalText], ['history'], ['history', '--json'], ['health-check', '--nagios'], ['doctor'], ['doctor', '--json'], ['why'], ['quarantine', 'list'], ['keep', terminalText]];
    const more = await Promise.all(shown.map((args) => scene.host.gpuctl(args)));
    expect(more.map(({ exitCode }) => exitCode)).not.toContain(70);
    expect(more.every(({ stdout, stderr }) => stdout + stderr !== '')).toBe(true);
    const texts = [lines, ...[...outputs, ...more].flatMap(({ stdout, stderr }) => [stdout, stderr])];
    expect(texts.filter((text) => DRIVES_A_TERMINAL.test(text)).map((text) => text.slice(Math.max(0, text.search(DRIVES_A_TERMINAL) - 60)).slice(0, 120))).toEqual([]);
    expect(outputs.map(({ exitCode }) => exitCode).filter((code) => code !== 0 && code !== 1)).toEqual([2, 2]);
    expect(scene.host.events().filter((event) => event['event.action'] === 'forged')).toEqual([]);
    expect(lines.split('\n').every((line) => Buffer.byteLength(line) < 8192)).toBe(true);
  });
});

describe('a user who may create any container', () => {
  let scene: Scene;
  let run: PassRun;
  let bob: string;
  let squatter: string;
  const orphans: SimProcess[] = [];

  /** A process of root in a container, on the host's pid namespace, that looks as a shim of this container looks. */
  const pretendShim = async (id: string): Promise<string> => {
    const script = 'printf "#!/bin/sh\nsleep 100000\n" >/containerd-shim; chmod +x /containerd-shim; exec /containerd-shim "$@"';
    const container = await engine().run({ pidHost: true, cmd: ['sh', '-c', script, 'sh', '-namespace', 'moby', '-id', id] });
    const pid = await engine().initPid(container);
    await vi.waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'containerd-shim\n', { timeout: 20_000 });
    return container;
  };

  beforeAll(async () => {
    scene = openScene(engine(), { gpus: 3 });
    const { host, uuid } = scene;
    bob = await engine().run({ name: 'bob-cpu-only', labels: { 'gpuctl.owner': 'bob' } });
    const shields = { 'gpuctl.protected': 'true', 'gpuctl.infrastructure': 'true', 'gpuctl.owner': 'root', 'gpuctl.keep_until': '2999-01-01T00:00:00Z' };
    const gone = await engine().run({ name: 'mine', labels: shields });
    const stopped = await engine().run({ name: 'rested', labels: shields });
    expect((await scene.pass(['sample'])).exitCode).toBe(0);
    orphans.push(await startProcess(engine().sandbox, { name: 'sh) S 0 0 (x', cgroup: `docker/${gone}` }));
    orphans.push(await startProcess(engine().sandbox, { name: 'nvidia-persiste', cgroup: `docker/${stopped}` }));
    await engine().rm(gone);
    await engine().kill(stopped).then(() => engine().wait(stopped));
    // The name lives again, in a container that claims the orphan's device besides.
    await engine().run({ name: 'mine', gpus: [uuid(0)], labels: shields });
    await pretendShim(gone);
    await pretendShim(stopped);
    // In the cgroup of somebody else's container, on a device that he has nothing to do with.
    squatter = await engine().run({ name: 'squatter', hostConfig: { CgroupParent: `/docker/${bob}` } });
    for (const [at, orphan] of orphans.entries()) host.listOn(at, orphan, { usedMiB: 4000 });
    host.listOn(2, await engine().initPid(squatter));
    // A list of more than 16 MiB.
    for (let n = 0; n < 18; n += 1) await engine().create({ labels: { note: 'x'.repeat(2 ** 20) } });
    run = await scene.pass(['release-stale']);
  });
  afterAll(async () => {
    await scene.dispose();
    for (const orphan of orphans) await orphan.end();
  });

  it('cannot save his orphan: neither by labels, nor by a name, nor by a container of that name, nor by a process that calls itself its shim (S18)', () => {
    expect(orphans.map(({ pid }) => fateOf(run, pid))).toMatchObject([
      { verdict: 'act', reason: 'orphan-container-gone', outcome: { result: 'done' } }, { verdict: 'act', reason: 'orphan-container-stopped', outcome: { result: 'done' } },
    ]);
    expect(orphans.map((orphan) => orphan.isAlive())).toEqual([false, false]);
  });

  it('cannot blind a pass: neither by a shim of what is gone, nor by a list of containers that is too long to be kept (S18)', () => {
    expect(run.report.observed).toMatchObject({ nvidia_smi: 'complete', engine: 'complete', processes: 'complete' });
    expect(eventsOf(run, 'observe.failed')).toEqual([]);
  });

  it('cannot make another’s container hold a device, and so be subject to limits, from within its cgroup (S18)', () => {
    expect([...new Set(deviceOf(run, scene.uuid(2)).claims.map(({ container }) => container.id))]).toEqual([squatter]);
    expect(run.report.devices.flatMap(({ claims }) => claims.filter(({ container }) => container.id === bob))).toEqual([]);
  });

  it('keeps his own container from being looked at by making it huge, and nothing else: it is named, and may claim any device (S18)', async () => {
    const huge = await engine().create({ name: 'huge', env: { A: 'x'.repeat(9 * 2 ** 20) } });
    const seen = await scene.pass(['health-check']);
    expect([seen.exitCode, seen.report.observed.engine]).toEqual([1, 'partial']);
    expect(eventsOf(seen, 'observe.partial')).toMatchObject([{ 'gpuctl.missing': [{ subject: huge, why: expect.stringContaining('longer than') as string }] }]);
    expect(seen.report.devices.map(({ claims }) => claims.some(({ container }) => container.id === huge))).toEqual([true, true, true]);
  });
});

describe('two passes at once', () => {
  it('are one: the second says so, exits 75 and looks at nothing, whatever its configuration file (S18)', async () => {
    const scene = openScene(engine(), { gpus: 1 });
    onTestFinished(() => scene.dispose());
    const { host } = scene;
    const stale = await scene.stopped({ name: 'stale', gpus: [scene.uuid(0)], labels: { 'gpuctl.type': 'api' } });
    const proxy = await engineProxy({ sandbox: host.sandbox, target: engine().socketPath });
    host.configure({ engine: { host: proxy.host } });
    const [arrived, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    proxy.rules = [{ path: new RegExp(`containers/${stale}/json`), times: 1, before: async () => { arrived.resolve(); await gate.promise; } }];
    const first = host.startGpuctl(['release-stale', '--json']);
    await arrived.promise;
    // The first has heard nvidia-smi and waits for the engine.
    const before = [host.calls().length, proxy.requests.length];
    const other = join(host.dir, 'other.yaml');
    writeFileSync(other, readFileSync(host.configPath), { mode: 0o600 });
    for (const args of [['release-stale'], ['health-check', '--repair'], ['run-all'], ['sample'], ['release-stale', '--config', other]]) {
      const second = await host.gpuctl(args);
      expect([args, second.exitCode, second.stderr]).toEqual([args, 75, expect.stringContaining('lock')]);
      expect(second.events).toMatchObject([{ 'event.action': 'pass.refused', 'event.reason': 'locked' }]);
    }
    expect([host.calls().length, proxy.requests.length]).toEqual(before);
    gate.resolve();
    expect(await first.done).toMatchObject({ exitCode: 0 });
    expect(await releasesIn(host)).toEqual({ [stale]: 'no-hold' });
  });

  it('are none after the first was killed: the lock dies with it', async () => {
    const scene = openScene(engine(), { gpus: 1, config: { nvidia_smi: { timeout: '30s' } } });
    onTestFinished(() => scene.dispose());
    scene.host.fault({ kind: 'hang', style: 'plain' });
    const first = scene.host.startGpuctl(['release-stale']);
    while (scene.host.calls().length === 0) await new Promise((resolve) => { setTimeout(resolve, 10); });
    first.child.kill('SIGKILL');
    expect((await first.done).signal).toBe('SIGKILL');
    scene.host.clearFaults();
    expect((await scene.pass(['release-stale'])).exitCode).toBe(0);
  });
});

describe('a configuration with a mistake', () => {
  it.each([
    ['a bare number', 'gpu_hold_after_stop', '15'],
    ['an unknown unit', 'max_runtime', '2 fortnights'],
    ['a word', 'idle_timeout', 'soon'],
    ['a negative one', 'stop_grace', '-60s'],
  ])('in a duration (%s) refuses the run with file, line and key, and acts on nothing (S17)', async (_, key, value) => {
    const scene = openScene(engine(), { gpus: [{ recovery: 'Reset' }] });
    onTestFinished(() => scene.dispose());
    const { host } = scene;
    await scene.stopped({ name: 'stale', gpus: [scene.uuid(0)], labels: { 'gpuctl.type': 'api' } });
    const proxy = await engineProxy({ sandbox: host.sandbox, target: engine().socketPath });
    host.configure({ engine: { host: proxy.host } });
    const sound = readFileSync(host.configPath, 'utf8');
    writeFileSync(host.configPath, `${sound}limits:\n  default:\n    ${key}: ${value}\n`, { mode: 0o600 });
    const run = await host.gpuctl(['release-stale']);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(`${host.configPath}:${sound.split('\n').length + 2}`);
    expect(run.stderr).toContain(`limits.default.${key}`);
    expect([run.stdout, host.calls(), proxy.requests, existsSync(join(host.stateDir, 'ledger.db'))]).toEqual(['', [], [], false]);
    expect(run.events).toMatchObject([{ 'event.action': 'config.rejected', 'gpuctl.alert': true, 'gpuctl.mistakes': [expect.stringContaining(key)] }]);
  });
});

describe('one key that a user has of his own', () => {
  it('leaves him the other limits of his group (S17)', async () => {
    const scene = openScene(engine(), {
      config: { limits: { trust_labels: ['owner'], groups: { researcher: { members: ['alice', 'bob'], max_runtime: '48h', idle_timeout: '1h', idle_checks: 4 } }, users: { alice: { idle_timeout: '2h' } } } },
    });
    onTestFinished(() => scene.dispose());
    const limits = async (owner: string): Promise<Record<string, unknown>> => {
      await engine().run({ name: `of-${owner}`, labels: { 'ds01.user': owner } });
      const { exitCode, json } = await scene.host.gpuctl(['config', 'show', '--container', `of-${owner}`, '--json']);
      expect(exitCode).toBe(0);
      const { values } = json as { values: { key: string; value: unknown; from: string }[] };
      return Object.fromEntries(values.map(({ key, value, from }) => [key, `${String(value)} by ${from}`]));
    };
    expect(await limits('alice')).toMatchObject({ idle_timeout: '2h by user alice', max_runtime: '48h by group researcher', idle_checks: '4 by group researcher', gpu_hold_after_stop: '15m by default' });
    expect(await limits('bob')).toMatchObject({ idle_timeout: '1h by group researcher', max_runtime: '48h by group researcher' });
    expect(await limits('mallory')).toMatchObject({ idle_timeout: '30m by default', max_runtime: '24h by default', idle_checks: '3 by default' });
  });
});
