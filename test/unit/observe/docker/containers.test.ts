import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEngine, type EngineClient } from '../../../../src/callout/engine.ts';
import { inspectContainers, listContainers, observeAnswers, type ContainerList } from '../../../../src/observe/docker/index.ts';
import { startFakeEngine, type FakeEngine } from './fake-engine.ts';

/** An engine of so many containers whose answers each test bends. */
const ids = Array.from({ length: 20 }, (_, at) => at.toString(16).padStart(2, '0').repeat(32));
const [first = '', second = ''] = ids;
const gone = 'f'.repeat(64);

let server: FakeEngine;
let client: EngineClient;
let info: unknown;
let rows: unknown;
/** What to answer for an id instead of its inspect. */
let bent: Map<string, RequestListener>;
let inFlight: number;
let mostInFlight: number;

const readVisibleDevices = (): null => null;

function inspectOf(id: string): object {
  return {
    Id: id, Name: `/c-${id.slice(0, 4)}`, Created: '2026-11-22T01:00:00Z',
    State: { Status: 'exited', Running: false, Pid: 0, StartedAt: '2026-11-22T01:00:01Z', FinishedAt: '2026-11-22T01:00:02Z' },
    Config: {}, HostConfig: { Privileged: false },
  };
}

function status(code: number, body: unknown): RequestListener {
  return (_, response) => { response.writeHead(code).end(JSON.stringify(body)); };
}

const answer: RequestListener = (request, response) => {
  const path = (request.url ?? '').replace(/^\/v[\d.]+/, '');
  const id = /^\/containers\/([0-9a-f]{64})\/json$/.exec(path)?.[1];
  if (path === '/info') response.end(JSON.stringify(info));
  else if (path === '/containers/json?all=true') response.end(JSON.stringify(rows));
  else if (id === undefined) status(404, { message: 'page not found' })(request, response);
  else {
    inFlight += 1;
    mostInFlight = Math.max(mostInFlight, inFlight);
    response.on('close', () => { inFlight -= 1; });
    const other = bent.get(id) ?? (ids.includes(id) ? status(200, inspectOf(id)) : status(404, { message: `No such container: ${id}` }));
    setImmediate(() => { other(request, response); });
  }
};

beforeEach(async () => {
  info = { ID: 'ENGINE-A', ServerVersion: '29.0.0', DefaultRuntime: 'runc' };
  rows = ids.map((Id) => ({ Id, Names: [`/c-${Id.slice(0, 4)}`], State: 'exited' }));
  bent = new Map();
  [inFlight, mostInFlight] = [0, 0];
  server = await startFakeEngine(answer);
  client = openEngine({ host: server.host, timeoutMs: 1000 });
});

afterEach(() => server.close());

async function list(): Promise<ContainerList> {
  const found = await listContainers(client);
  if (found.state !== 'complete') throw new Error(`no list: ${JSON.stringify(found)}`);
  return found.value;
}

describe('the container list', () => {
  test.each<[string, unknown]>([
    ['an id is short', [{ Id: 'abc', Names: ['/x'], State: 'running' }]],
    ['an id holds a path', [{ Id: `../${'a'.repeat(61)}`, Names: ['/x'], State: 'running' }]],
    ['a row is null', [null]],
    ['it is an object', { message: 'ok' }],
  ])('has failed where %s', async (_, text) => {
    rows = text;
    expect(await listContainers(client)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  test.each<[string, unknown]>([['does not say its id', { ID: '' }], ['says a number for its id', { ID: 7 }], ['says nothing', null]])('has failed where the engine %s', async (_, text) => {
    info = text;
    expect(await listContainers(client)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  test('takes a container that has lost its name, and one that has aliases', async () => {
    rows = [{ Id: first, Names: null, State: 'removing' }, { Id: second, Names: ['/other/alias', '/own'], State: 'odd' }];
    expect((await list()).containers).toEqual([{ id: first, name: '', state: 'removing' }, { id: second, name: 'own', state: 'unknown' }]);
  });
});

describe('podman', () => {
  test('has no lasting id, by its header or by its own field', async () => {
    info = { ID: 'new-at-every-call', ServerVersion: '4.3.1', BuildahVersion: '1.28.2', DefaultRuntime: null };
    expect(await inspectContainers(client, { list: await list(), namedIds: [], readVisibleDevices })).toMatchObject({ state: 'complete', value: { kind: 'podman', engineId: null } });
  });
});

describe('inspecting', () => {
  test('asks once for each container and each named id', async () => {
    const view = await inspectContainers(client, { list: await list(), namedIds: [gone, first, gone], readVisibleDevices });
    expect(view).toMatchObject({ state: 'complete', value: { engineId: 'ENGINE-A', answers: [{ containerId: gone, answer: 'not-found', name: null }] } });
    expect(view.state === 'complete' && view.value.containers.map((each) => each.id)).toEqual(ids);
    const asked = server.asked.filter((path) => /[0-9a-f]{64}/.test(path));
    expect(asked).toHaveLength(ids.length + 1);
    expect(new Set(asked).size).toBe(asked.length);
  });

  test('has eight questions open at a time, and never more', async () => {
    const { promise: full, resolve } = Promise.withResolvers<void>();
    for (const id of ids) {
      bent.set(id, (request, response) => {
        if (inFlight >= 8) resolve();
        full.then(() => { status(200, inspectOf(id))(request, response); });
      });
    }
    expect(await inspectContainers(client, { list: await list(), namedIds: [], readVisibleDevices })).toMatchObject({ state: 'complete' });
    expect(mostInFlight).toBe(8);
  });

  test('leaves out a container that has gone since the list, and answers for it where a process names it', async () => {
    bent.set(first, status(404, { message: `No such container: ${first}` }));
    const view = await inspectContainers(client, { list: await list(), namedIds: [first], readVisibleDevices });
    expect(view).toMatchObject({ state: 'complete', value: { answers: [{ containerId: first, answer: 'not-found' }] } });
    expect(view.state === 'complete' && view.value.containers.map((each) => each.id)).toEqual(ids.slice(1));
  });

  test.each<[string, object, boolean]>([
    ['of the NVIDIA runtime', { Runtime: 'nvidia' }, false],
    ['that asks for devices', { DeviceRequests: [{ Driver: '', Count: 1, DeviceIDs: null, Capabilities: [['gpu']] }] }, false],
    ['in which the variable means nothing', {}, true],
  ])('counts a container %s as uninspected where its environment does not answer, if that may name more devices', async (_, hostConfig, inspected) => {
    bent.set(first, status(200, { ...inspectOf(first), State: { Status: 'running', Running: true, Pid: 7 }, HostConfig: { Privileged: false, ...hostConfig } }));
    const view = await inspectContainers(client, { list: await list(), namedIds: [], readVisibleDevices: async () => ({ why: 'no answer' }) });
    expect(view.state).toBe(inspected ? 'complete' : 'partial');
    const containers = view.state === 'failed' ? [] : view.value.containers;
    expect(containers).toHaveLength(ids.length);
    expect(containers[0]).toMatchObject(inspected ? { id: first, inspected, effectiveVisibleDevices: null } : { id: first, inspected, why: 'the environment of its process 7: no answer', heldUpBy: 7 });
    expect(containers.slice(1).every((each) => each.inspected)).toBe(true);
  });

  test.each<[string, RequestListener]>([
    ['500', status(500, { message: 'container lock' })],
    ['404 that is not the engine speaking of a container', status(404, { message: 'page not found' })],
    ['404 without a body', (_, response) => { response.writeHead(404).end(); }],
    ['garbage', (_, response) => { response.end('{"Id":'); }],
    ['a body of the wrong shape', status(200, { Id: first })],
    ['another container', status(200, inspectOf(second))],
    ['silence', () => { /* until the deadline */ }],
  ])('makes a container uninspected, and the view partial, on %s; the others are still there', async (_, listener) => {
    bent.set(first, listener);
    const view = await inspectContainers(client, { list: await list(), namedIds: [], readVisibleDevices });
    expect(view).toMatchObject({ state: 'partial', missing: [{ subject: first, why: expect.stringMatching(/./) }] });
    const containers = view.state === 'partial' ? view.value.containers : [];
    expect(containers[0]).toMatchObject({ inspected: false, id: first, name: `c-${first.slice(0, 4)}`, state: 'exited' });
    expect(containers.filter((each) => each.inspected)).toHaveLength(ids.length - 1);
    // The same trouble is no answer about a process either.
    expect(await observeAnswers(client, [first])).toEqual([{ containerId: first, answer: 'failed', name: null }]);
  });

  test('gives up an engine that leaves question after question unanswered', async () => {
    for (const id of ids) bent.set(id, () => { /* silence */ });
    const view = await inspectContainers(client, { list: await list(), namedIds: [], readVisibleDevices });
    expect(server.asked.filter((path) => /[0-9a-f]{64}/.test(path)).length).toBeLessThanOrEqual(16);
    expect(view.state === 'partial' && view.missing.map((gap) => gap.subject)).toEqual(ids);
  });

  test('has failed where another engine answers at the end', async () => {
    const before = await list();
    info = { ID: 'ENGINE-B', ServerVersion: '29.0.0', DefaultRuntime: 'runc' };
    expect(await inspectContainers(client, { list: before, namedIds: [gone], readVisibleDevices })).toMatchObject({ state: 'failed', code: 'untrusted' });
  });
});
