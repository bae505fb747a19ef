import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { openEngine, type EngineProblem, type EngineReply } from '../../../../src/callout/engine.ts';
import { startFakeEngine, type FakeEngine } from './fake-engine.ts';

const ID = 'a'.repeat(64);
const open: FakeEngine[] = [];

async function fake(answer: RequestListener, headers?: Readonly<Record<string, string>>): Promise<FakeEngine> {
  const engine = await startFakeEngine(answer, headers);
  open.push(engine);
  return engine;
}

function json(body: unknown): RequestListener {
  return (_, response) => { response.end(JSON.stringify(body)); };
}

function problem(reply: EngineReply): EngineProblem {
  if (reply.ok) throw new Error(`an answer, where a problem was expected: ${JSON.stringify(reply.value)}`);
  return reply;
}

async function problemOf(answer: RequestListener, timeoutMs = 5000): Promise<EngineProblem> {
  const engine = await fake(answer);
  return problem(await openEngine({ host: engine.host, timeoutMs }).list());
}

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(open.splice(0).map((engine) => engine.close()));
});

describe('the engine that is asked', () => {
  test.each(['tcp://127.0.0.1:2375', 'ssh://host', 'http://h', 'npipe:////./pipe/docker_engine', '/var/run/docker.sock', 'unix://relative.sock', 'unix://', ''])('is never %j, which is no local socket', (host) => {
    expect(() => openEngine({ host, timeoutMs: 1 })).toThrowError(expect.objectContaining({ code: 'engine-not-local', exitCode: 2 }));
  });

  test.each(['tcp://192.0.2.1:2375', 'unix:///nowhere', 'http://'])('is the one given, even where DOCKER_HOST is %j', async (other) => {
    vi.stubEnv('DOCKER_HOST', other);
    const engine = await fake(json([]));
    expect(await openEngine({ host: engine.host, timeoutMs: 5000 }).list()).toEqual({ ok: true, value: [] });
  });
});

describe('the API version', () => {
  test('is taken from one _ping and used in every call after it', async () => {
    const engine = await fake(json({}));
    const client = openEngine({ host: engine.host, timeoutMs: 5000 });
    expect(await client.version()).toEqual({ ok: true, value: { kind: 'docker', api: '1.41' } });
    await Promise.all([client.info(), client.list()]);
    await client.inspect(ID);
    expect(engine.asked.toSorted()).toEqual(['/_ping', `/v1.41/containers/${ID}/json`, '/v1.41/containers/json?all=true', '/v1.41/info']);
  });

  test.each([['1.40', '1.40'], ['1.52', '1.52'], ['1.60', '1.52'], ['2.0', '1.52']])('of an engine that speaks %s is %s', async (offered, api) => {
    const engine = await fake(json({}), { 'Api-Version': offered });
    expect(await openEngine({ host: engine.host, timeoutMs: 5000 }).version()).toMatchObject({ ok: true, value: { api } });
  });

  test.each([['1.39', 'version-mismatch'], ['1.9', 'version-mismatch'], ['latest', 'malformed'], ['', 'malformed']])('%j is refused as %s', async (offered, code) => {
    const engine = await fake(json({}), { 'Api-Version': offered });
    expect(problem(await openEngine({ host: engine.host, timeoutMs: 5000 }).info()).code).toBe(code);
  });

  test('is asked for again after a failure, for the engine may have come up meanwhile', async () => {
    const headers: Record<string, string> = {};
    const engine = await fake(json([]), headers);
    const client = openEngine({ host: engine.host, timeoutMs: 5000 });
    expect(problem(await client.list()).code).toBe('malformed');
    headers['Api-Version'] = '1.44';
    expect((await client.list()).ok).toBe(true);
  });

  test('tells podman by its header', async () => {
    const engine = await fake(json({}), { 'Api-Version': '1.41', 'Libpod-Api-Version': '4.3.1' });
    expect(await openEngine({ host: engine.host, timeoutMs: 5000 }).version()).toMatchObject({ ok: true, value: { kind: 'podman' } });
  });
});

describe('an engine that cannot be reached', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-socket-'));
  afterAll(() => { rmSync(folder, { recursive: true }); });

  test('is not-installed where there is no socket', async () => {
    expect(problem(await openEngine({ host: `unix://${folder}/none`, timeoutMs: 5000 }).list()).code).toBe('not-installed');
  });

  test('is refused where nothing listens', async () => {
    writeFileSync(join(folder, 'sock'), '');
    expect(problem(await openEngine({ host: `unix://${folder}/sock`, timeoutMs: 5000 }).list()).code).toBe('refused');
  });

  test('is an error where the path is too long for a socket', async () => {
    expect(problem(await openEngine({ host: `unix:///${'x'.repeat(300)}`, timeoutMs: 5000 }).list()).ok).toBe(false);
  });

  test.skipIf(process.getuid?.() !== 0)('is not-permitted where the user may not use the socket', async () => {
    const engine = await fake(json([]));
    process.seteuid?.(65534);
    try {
      expect(problem(await openEngine({ host: engine.host, timeoutMs: 5000 }).list()).code).toBe('not-permitted');
    } finally {
      process.seteuid?.(0);
    }
  });
});

describe('an answer that is not one', () => {
  test.each<[string, RequestListener, object]>([
    ['500', (_, response) => { response.writeHead(500).end('{"message":"server on fire"}'); }, { code: 'error', status: 500, why: 'HTTP 500: server on fire' }],
    ['403 of a socket proxy', (_, response) => { response.writeHead(403).end('<h1>Forbidden</h1>'); }, { code: 'not-permitted', status: 403 }],
    ['a redirect, which is not followed', (_, response) => { response.writeHead(307, { location: 'ftp://192.0.2.1/' }).end(); }, { code: 'error', status: 307 }],
    ['garbage', (_, response) => { response.end('<html>'); }, { code: 'malformed' }],
    ['nothing', (_, response) => { response.end(); }, { code: 'malformed' }],
    ['204', (_, response) => { response.writeHead(204).end(); }, { code: 'error', status: 204 }],
    ['a body cut in the middle of a chunk', (_, response) => { response.write('[{"Id":'); response.socket?.end('5\r\nab'); }, { code: 'malformed' }],
    ['a body shorter than its Content-Length', (request, response) => { response.writeHead(200, { 'content-length': 100 }).write('[]', () => { request.socket.end(); }); }, { code: 'malformed' }],
    ['a body longer than its Content-Length', (request) => { request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[{"Id":"x"}]'); }, { code: 'malformed' }],
    ['no HTTP at all', (request) => { request.socket.end('SSH-2.0-OpenSSH_9.2\r\n'); }, { code: 'malformed' }],
    ['a closed connection', (request) => { request.socket.destroy(); }, { code: 'malformed' }],
  ])('%s is a problem', async (_, answer, expected) => {
    expect(await problemOf(answer)).toMatchObject({ ok: false, ...expected });
  });

  const listed = (id: string, note: string): string => JSON.stringify({ Id: id, Names: [`/${id.slice(0, 4)}`], Image: 'x', Labels: { note, 'a"\\': '\\"[{]}' }, State: 'running', Mounts: [{ Type: 'bind' }] });
  const sent = (parts: readonly string[], chunkBytes: number): RequestListener => (_, response) => {
    const whole = Buffer.from(parts.join(''));
    for (let at = 0; at < whole.length; at += chunkBytes) response.write(whole.subarray(at, at + chunkBytes));
    response.end();
  };

  test('but the list of containers may be as long as their labels make it: of a long one ids, names and states are kept', async () => {
    const ids = Array.from({ length: 24 }, (_, n) => n.toString(16).padStart(64, '0'));
    const noted = ids.map((id, n) => listed(id, n === 7 ? 'x'.repeat(5 * 1024 * 1024) : `${'\\"{['.repeat(100_000)}${'y'.repeat(600_000)}`));
    const engine = await fake(sent(['[', noted.join(','), ']\n'], 65_521));
    const reply = await openEngine({ host: engine.host, timeoutMs: 30_000 }).list();
    expect(noted.join('').length).toBeGreaterThan(16 * 1024 * 1024);
    // The one that is longer than any by itself may be in any state.
    expect(reply).toEqual({ ok: true, value: ids.map((id, n) => ({ Id: id, Names: [`/${id.slice(0, 4)}`], ...(n !== 7 && { State: 'running' }) })) });
  });

  test.each<[string, readonly string[]]>([
    ['is cut off', ['[', listed(ID, 'x'.repeat(17 * 1024 * 1024)), ',{"Id":']],
    ['has one that does not begin with its id', ['[{"Labels":"', 'x'.repeat(17 * 1024 * 1024), '"}]']],
    ['has one that is not JSON', ['[', listed(ID, 'x'.repeat(17 * 1024 * 1024)), ',{nothing}]']],
  ])('nor is a long list one that %s', async (_, parts) => {
    expect(await problemOf(sent(parts, 1_000_003), 30_000)).toMatchObject({ code: 'malformed' });
  });

  test('an inspect beyond 8 MiB is given up, and only that one', async () => {
    const engine = await fake((request, response) => { response.end(JSON.stringify({ Id: ID, Config: { Env: [request.url?.includes(ID) === true ? 'x'.repeat(8 * 1024 * 1024) : ''] } })); });
    const client = openEngine({ host: engine.host, timeoutMs: 30_000 });
    expect(await client.inspect(ID)).toMatchObject({ ok: false, code: 'malformed', why: expect.stringContaining('longer than') });
    expect(await client.inspect('b'.repeat(64))).toMatchObject({ ok: true });
  });

  test('is given up beyond 64 MiB', async () => {
    const block = Buffer.alloc(1024 * 1024, ' ');
    const why = await problemOf((_, response) => {
      const more = (): void => { while (response.write(block) && !response.destroyed) { /* until it is full */ } };
      response.on('drain', more);
      more();
    }, 30_000);
    expect(why).toMatchObject({ code: 'malformed', why: expect.stringContaining('longer than') });
  });

  test('quotes no more than a line of what the engine said', async () => {
    expect((await problemOf((_, response) => { response.writeHead(500).end('x'.repeat(100_000)); })).why.length).toBeLessThan(250);
  });
});

describe('a deadline', () => {
  test.each<[string, RequestListener]>([
    ['never answers', () => { /* silence */ }],
    ['stops in the middle of its body', (_, response) => { response.write('[{'); }],
    ['sends a byte now and then', (_, response) => { const timer = setInterval(() => response.write(' '), 10); response.on('close', () => { clearInterval(timer); }); }],
  ])('ends a call to an engine that %s, and closes the connection', async (_, answer) => {
    const engine = await fake(answer);
    const client = openEngine({ host: engine.host, timeoutMs: 100 });
    expect(problem(await client.list()).code).toBe('timeout');
    await vi.waitUntil(async () => (await engine.openConnections()) === 0);
  });

  test('leaves nothing behind that keeps a process alive', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpuctl-hung-'));
    const server = createServer().listen(join(folder, 'sock'));
    await vi.waitUntil(() => server.listening);
    const source = `import { openEngine } from ${JSON.stringify(new URL('../../../../src/callout/engine.ts', import.meta.url).pathname)};
      console.log((await openEngine({ host: 'unix://${folder}/sock', timeoutMs: 200 }).list()).code);`;
    const child = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], { encoding: 'utf8', timeout: 20_000 });
    server.close();
    rmSync(folder, { recursive: true });
    expect(child).toMatchObject({ status: 0, signal: null, stdout: 'timeout\n' });
  });
});

test('an id that is not a full one is a bug of the caller, and is not sent', async () => {
  const engine = await fake(json({}));
  await expect(openEngine({ host: engine.host, timeoutMs: 5000 }).inspect('../images')).rejects.toThrow(TypeError);
  expect(engine.asked).toEqual(['/_ping']);
});
