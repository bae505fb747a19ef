import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openEngine, type EngineClient } from '../../../src/callout/engine.ts';
import type { DriverView, Gpu, GpuProcessList } from '../../../src/model/device.ts';
import { complete, failed, type Observed } from '../../../src/model/observation.ts';
import { absent } from '../../../src/model/reading.ts';
import { createObserver, type ObserverParts } from '../../../src/observe/host.ts';
import { initPid, startPrivateEngine, type PrivateEngine } from './docker/private-engine.ts';

const run = ['run', '-d', '--network', 'none', '--pull', 'never'];
const unasked = 'f'.repeat(64);
let docker: PrivateEngine;
let client: EngineClient;
let containerId: string;
let init: number;

beforeAll(async () => {
  docker = await startPrivateEngine();
  client = openEngine({ host: docker.host, timeoutMs: 20_000 });
  containerId = docker.docker(...run, '--name', 'live', 'bb:1', 'sleep', '3000');
  init = initPid(docker, 'live');
}, 60_000);
afterAll(() => docker.stop(), 60_000);

function driverWith(...pids: readonly number[]): Observed<DriverView> {
  return complete({ driverVersion: null, attachedGpus: 2, gpus: [gpuWith({ state: 'known', processes: pids.map((pid) => ({ pid, type: 'C' as const, name: 'x', usedMiB: 1, gpuInstanceId: null, computeInstanceId: null })) }), gpuWith({ state: 'unknown', why: 'swallowed' })] });
}

function gpuWith(processes: GpuProcessList): Gpu {
  return {
    uuid: 'GPU-00000000-0000-0000-0000-000000000000', index: 0, pciBusId: '00000000:3b:00.0', minorNumber: 0, name: 'x', migCurrent: absent, migPending: absent, migDevices: [],
    totalMiB: absent, usedMiB: absent, utilizationPercent: absent, displayActive: absent, persistence: absent, computeMode: absent, eccCurrent: absent, eccPending: absent,
    powerLimitW: absent, recovery: absent, repairPending: absent, remapFailed: absent, temperatureC: absent, processes, faults: [],
  };
}

function observerWith(parts: Partial<ObserverParts>): ReturnType<typeof createObserver> {
  return createObserver({ hostname: 'gpu01', now: () => 42, observeDriver: async () => driverWith(), observeListed: async () => complete([]), engine: client, ...parts });
}

/** Calls `spy` with the name of each question before it is asked. */
function watched(spy: (question: string) => void): EngineClient {
  return {
    host: client.host,
    version: () => client.version(),
    info: () => { spy('info'); return client.info(); },
    list: () => { spy('list'); return client.list(); },
    inspect: (id) => { spy('inspect'); return client.inspect(id); },
  };
}

/** An engine whose id changes after its first answer. */
function swapped(): EngineClient {
  let asked = 0;
  return {
    ...watched(() => { /* nothing */ }),
    info: async () => {
      const reply = await client.info();
      asked += 1;
      return reply.ok ? { ok: true, value: { ...(reply.value as object), ID: `ENGINE-${asked}` } } : reply;
    },
  };
}

/** `cgroup.procs` of every hierarchy of a process: version 1, version 2, and both side by side. */
function cgroupFilesOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n').filter((line) => line.includes('/docker')).map((line) => {
    const [, controllers = '', path = ''] = line.split(':');
    const unified = existsSync('/sys/fs/cgroup/unified') ? 'unified' : '';
    return join('/sys/fs/cgroup', controllers === '' ? unified : controllers.replace(/^name=/, ''), path, 'cgroup.procs');
  });
}

describe('a snapshot', () => {
  test('has the process of a container, its shim, and the container', async () => {
    const { host, takenAt, driver, processes, engine } = await observerWith({ observeDriver: async () => driverWith(init, 4_000_005) }).observe();
    expect([host, takenAt, driver.state]).toEqual(['gpu01', 42, 'complete']);
    expect(processes).toMatchObject({ state: 'complete', value: { listed: [{ state: 'present', pid: init, cgroups: expect.arrayContaining([expect.stringContaining(containerId)]) }, { state: 'absent', pid: 4_000_005 }] } });
    expect(processes.state === 'complete' && processes.value.shims.flatMap((shim) => shim.containerIds)).toContain(containerId);
    expect(engine).toMatchObject({ state: 'complete', value: { kind: 'docker', engineId: expect.stringMatching(/./), containers: [{ id: containerId, name: 'live', state: 'running', pid: init }], answers: [] } });
  });

  test('asks for the list once the driver has answered, and inspects only after the processes were read', async () => {
    const order: string[] = [];
    const worker = spawn('busybox', ['sleep', '100'], { stdio: 'ignore' });
    const ended = once(worker, 'exit');
    const engine = watched((question) => {
      if (question === 'inspect' && !order.includes('inspect')) worker.kill('SIGKILL');
      order.push(question);
    });
    const observeDriver = async (): Promise<Observed<DriverView>> => {
      await delay(50);
      order.push('driver');
      return driverWith(worker.pid ?? 0);
    };
    const snapshot = await observerWith({ engine, observeDriver, now: () => order.push('now') }).observe();
    await ended;
    expect(order.toSpliced(order.indexOf('info'), 1)).toEqual(['driver', 'now', 'list', 'inspect', 'info', 'now']);
    expect(snapshot.processes).toMatchObject({ value: { listed: [{ state: 'present', pid: worker.pid }] } });
  });

  test("has the engine's answer about a container that is gone and left a process behind", async () => {
    const id = docker.docker(...run, '--name', 'lost', 'bb:1', 'sleep', '3000');
    const orphan = spawn('busybox', ['sleep', '100'], { stdio: 'ignore', detached: true });
    for (const file of cgroupFilesOf(initPid(docker, 'lost'))) writeFileSync(file, String(orphan.pid));
    docker.docker('rm', '-f', 'lost');
    try {
      const { processes, engine } = await observerWith({ observeDriver: async () => driverWith(orphan.pid ?? 0) }).observe();
      expect(processes).toMatchObject({ value: { listed: [{ state: 'present', pid: orphan.pid, pidNamespace: 'host', cgroups: expect.arrayContaining([expect.stringContaining(id)]) }] } });
      expect(processes.state !== 'failed' && processes.value.shims.flatMap((shim) => shim.containerIds)).not.toContain(id);
      expect(engine).toMatchObject({ state: 'complete', value: { answers: [{ containerId: id, answer: 'not-found', name: null }] } });
    } finally {
      orphan.kill('SIGKILL');
    }
  });

  test('keeps what the other sources say where one has failed', async () => {
    const nowhere = openEngine({ host: 'unix:///nowhere/docker.sock', timeoutMs: 1000 });
    const snapshot = await observerWith({ engine: nowhere, observeDriver: async () => failed('timeout', 'hung') }).observe();
    expect(snapshot).toMatchObject({ driver: { state: 'failed' }, processes: { state: 'complete', value: { listed: [] } }, engine: { state: 'failed', code: 'not-installed' } });
  });

  test('has no engine where another one took over in the middle', async () => {
    expect((await observerWith({ engine: swapped() }).observe()).engine).toMatchObject({ state: 'failed', code: 'untrusted' });
  });
});

describe('a look', () => {
  test('has the processes, then the answers, and the list of the driver', async () => {
    const listed = [{ gpuUuid: 'GPU-x', pid: init }];
    const look = await observerWith({ observeListed: async () => complete(listed) }).look([init, 4_000_006], [containerId, unasked]);
    expect(look).toMatchObject({
      takenAt: 42, bootId: expect.stringMatching(/-/), ownPids: expect.arrayContaining([process.pid, 1]), listed: { state: 'complete', value: listed },
      processes: [{ state: 'present', pid: init, pidNamespace: 'other' }, { state: 'absent', pid: 4_000_006 }], shims: { state: 'complete' },
      engine: { state: 'complete', value: { kind: 'docker', engineId: expect.stringMatching(/./) } },
      answers: [{ containerId, answer: 'running', name: 'live' }, { containerId: unasked, answer: 'not-found', name: null }],
    });
    expect(look.shims.state === 'complete' && look.shims.value.flatMap((shim) => shim.containerIds)).toContain(containerId);
  });

  test('has an answer about the container of whoever calls himself the shim of one that is asked about, and of nobody else', async () => {
    const shims = complete([{ pid: 7, containerIds: [unasked], inContainers: [containerId] }, { pid: 8, containerIds: ['e'.repeat(64)], inContainers: ['d'.repeat(64)] }]);
    const look = (): ReturnType<NonNullable<ObserverParts['proc']>['look']> => Promise.resolve({ bootId: 'x', ownPids: [1], processes: [], shims });
    const proc = { look } as unknown as NonNullable<ObserverParts['proc']>;
    expect((await observerWith({ proc }).glance([], [unasked])).answers).toMatchObject([{ containerId: unasked, answer: 'not-found' }, { containerId, answer: 'running' }]);
  });

  test('reads the processes before it asks about their containers', async () => {
    const worker = spawn('busybox', ['sleep', '100'], { stdio: 'ignore' });
    const ended = once(worker, 'exit');
    const look = await observerWith({ engine: watched((question) => { if (question === 'inspect') worker.kill('SIGKILL'); }) }).look([worker.pid ?? 0], [unasked]);
    await ended;
    expect(look.processes).toMatchObject([{ state: 'present', pid: worker.pid }]);
  });

  test('has no answer where the engine does not', async () => {
    const look = await observerWith({ engine: openEngine({ host: 'unix:///nowhere/docker.sock', timeoutMs: 1000 }) }).look([process.pid], [unasked]);
    expect(look).toMatchObject({ processes: [{ state: 'present' }], engine: { state: 'failed', code: 'not-installed' }, answers: [{ containerId: unasked, answer: 'failed' }] });
  });

  test('believes no answer where another engine took over in the middle', async () => {
    expect(await observerWith({ engine: swapped() }).look([], [unasked])).toMatchObject({ engine: { state: 'failed', code: 'untrusted' }, answers: [{ containerId: unasked, answer: 'failed' }] });
  });

  test('is a glance where the driver is left alone', async () => {
    const observeListed = vi.fn<ObserverParts['observeListed']>();
    const glance = await observerWith({ observeListed }).glance([init], [containerId]);
    expect(observeListed).not.toHaveBeenCalled();
    expect(glance).toMatchObject({ listed: { state: 'failed' }, processes: [{ state: 'present', pid: init }], answers: [{ answer: 'running' }] });
  });
});
