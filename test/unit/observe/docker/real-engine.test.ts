import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openEngine } from '../../../../src/callout/engine.ts';
import type { Container, EngineView } from '../../../../src/model/container.ts';
import { inspectContainers, listContainers, observeAnswers, type ContainerList } from '../../../../src/observe/docker/index.ts';
import { readEnviron } from '../../../../src/observe/proc/index.ts';
import { initPid, startPrivateEngine, type PrivateEngine } from './private-engine.ts';

const run = ['run', '-d', '--network', 'none', '--pull', 'never'];
const readVisibleDevices = (pid: number): ReturnType<typeof readEnviron> => readEnviron(pid, 'NVIDIA_VISIBLE_DEVICES');
const hostile = { quote: `'"$(reboot)\`id\``, newline: 'a\nb', escape: '\u001B]0;x\u0007', uuid: 'GPU-00000000-0000-0000-0000-000000000000', big: 'x'.repeat(1024 * 1024) };
let engine: PrivateEngine;
const idOf: Record<string, string> = {};

beforeAll(async () => {
  engine = await startPrivateEngine();
  idOf['running'] = engine.docker(...run, '--name', 'running', '-e', 'NVIDIA_VISIBLE_DEVICES=0,1', '-v', '/usr/share:/data:ro', '--device', '/dev/null', 'bb:1', 'sleep', '3000');
  idOf['paused'] = engine.docker(...run, '--name', 'paused', 'bb:1', 'sleep', '3000');
  engine.docker('pause', 'paused');
  idOf['created'] = engine.docker('create', '--network', 'none', '--name', 'created', '--privileged', '--gpus', '"device=GPU-x,1"', 'bb:1', 'true');
  idOf['exited'] = engine.docker(...run, '--name', 'exited', 'bb:1', 'true');
  idOf['restarting'] = engine.docker(...run, '--name', 'restarting', '--restart', 'always', 'bb:1', 'false');
  idOf['hostile'] = await engine.create({ Image: 'bb:1', Cmd: ['true'], Labels: hostile });
  idOf['masked'] = engine.docker('create', '--network', 'none', '--name', 'ab'.repeat(32), 'bb:1', 'true');
  await vi.waitUntil(() => engine.docker('inspect', '-f', '{{.State.Status}}', 'restarting') === 'restarting', { timeout: 30_000 });
  await vi.waitUntil(() => engine.docker('inspect', '-f', '{{.State.Status}}', 'exited') === 'exited', { timeout: 30_000 });
}, 60_000);

afterAll(() => engine.stop(), 60_000);

async function list(timeoutMs = 20_000): Promise<ContainerList> {
  const found = await listContainers(openEngine({ host: engine.host, timeoutMs }));
  if (found.state !== 'complete') throw new Error(`no list: ${JSON.stringify(found)}`);
  return found.value;
}

async function view(found: ContainerList, namedIds: readonly string[] = []): Promise<EngineView> {
  const seen = await inspectContainers(openEngine({ host: engine.host, timeoutMs: 20_000 }), { list: found, namedIds, readVisibleDevices });
  if (seen.state !== 'complete') throw new Error(`no view: ${JSON.stringify(seen)}`);
  return seen.value;
}

async function container(name: string): Promise<Container | undefined> {
  return (await view(await list())).containers.find((each) => each.id === idOf[name]);
}

describe('a real Docker engine', () => {
  test.each(['created', 'running', 'paused', 'exited'])('shows a container that is %s as such', async (state) => {
    expect(await container(state)).toMatchObject({ inspected: true, name: state, state, image: 'bb:1' });
  });

  test('shows a container between two tries as restarting, without a pid', async () => {
    await vi.waitUntil(async () => {
      const seen = await container('restarting');
      return seen?.inspected === true && seen.state === 'restarting' && seen.pid === null;
    }, { timeout: 30_000 });
  }, 40_000);

  test('tells what a running container was given, and what its init really sees', async () => {
    expect(await container('running')).toMatchObject({
      pid: initPid(engine, 'running'), runtime: 'runc', privileged: false, deviceNodes: ['/dev/null'], bindSources: ['/usr/share'], mountTargets: ['/data'],
      env: expect.arrayContaining(['NVIDIA_VISIBLE_DEVICES=0,1']), effectiveVisibleDevices: '0,1', finishedAt: null,
    });
  });

  test('tells a device request as it was written, and that a created container never started', async () => {
    expect(await container('created')).toMatchObject({ pid: null, startedAt: null, finishedAt: null, privileged: true, deviceRequests: [{ count: 0, deviceIds: ['GPU-x', '1'], capabilities: [['gpu']] }] });
  });

  test('gives times of this moment', async () => {
    const seen = await container('exited');
    const [createdAt = null, ...later] = seen?.inspected === true ? [seen.createdAt, seen.startedAt, seen.finishedAt] : [];
    expect(Math.abs(Date.now() - (createdAt ?? 0))).toBeLessThan(120_000);
    // Of a run this short the engine may write an end that is some milliseconds before the start.
    expect(later).toHaveLength(2);
    for (const at of later) expect((at ?? 0) - (createdAt ?? 0)).toSatisfy((age: number) => age >= 0 && age < 60_000);
  });

  test('may carry any label', async () => {
    // A mebibyte of one is not kept.
    const { big: _, ...kept } = hostile;
    const seen = await container('hostile');
    expect(seen?.inspected === true && seen.labels).toEqual(kept);
  });

  test('answers for an id that it never had with not-found, and with the state of one that it has', async () => {
    const named = ['1'.repeat(64), idOf['exited'] ?? '', idOf['paused'] ?? ''];
    expect((await observeAnswers(openEngine({ host: engine.host, timeoutMs: 20_000 }), named)).map((each) => each.answer)).toEqual(['not-found', 'exited', 'paused']);
    expect((await view(await list(), named)).answers).toEqual([{ containerId: '1'.repeat(64), answer: 'not-found', name: null }]);
  });

  test('finds containers by name too, so an answer about a container that is only named like the id is no answer', async () => {
    expect(await observeAnswers(openEngine({ host: engine.host, timeoutMs: 20_000 }), ['ab'.repeat(32)])).toEqual([{ containerId: 'ab'.repeat(32), answer: 'failed', name: null }]);
  });

  test('may lose a container between the list and the inspects', async () => {
    const id = engine.docker('create', '--network', 'none', 'bb:1', 'true');
    const before = await list();
    engine.docker('rm', id);
    const after = await view(before, [id]);
    expect(before.containers.map((each) => each.id)).toContain(id);
    expect(after.containers.map((each) => each.id)).not.toContain(id);
    expect(after.answers).toEqual([{ containerId: id, answer: 'not-found', name: null }]);
  });

  test('that hangs costs one deadline', async () => {
    const before = await list();
    engine.signal('SIGSTOP');
    try {
      const hung = openEngine({ host: engine.host, timeoutMs: 200 });
      expect(await listContainers(hung)).toMatchObject({ state: 'failed', code: 'timeout' });
      expect(await inspectContainers(hung, { list: before, namedIds: [], readVisibleDevices })).toMatchObject({ state: 'failed', code: 'timeout' });
    } finally {
      engine.signal('SIGCONT');
    }
    expect((await list()).containers).toHaveLength(before.containers.length);
  });
});
