import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEngine } from '../../../src/callout/engine.ts';

let folder: string;
const servers: Server[] = [];
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'gpuctl-kept-')); });
afterEach(() => {
  for (const server of servers.splice(0)) { server.closeAllConnections(); server.close(); }
  rmSync(folder, { recursive: true });
});

interface Served {
  /** How many connections were made so far. */
  readonly connections: () => number;
  /** Paths asked for but `_ping`, without the version. */
  readonly asked: readonly string[];
}

type Answer = (socket: Socket, response: ServerResponse, body: string) => void;
const plain: Answer = (_, response, body) => { response.end(body); };

/** An engine of this id on the folder's socket; whoever listened there before goes on with the connections that he has. */
async function serve(id: string, answer = plain): Promise<Served> {
  const path = join(folder, 'sock');
  const asked: string[] = [];
  let connections = 0;
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const url = request.url?.replace(/^\/v1\.41/, '') ?? '';
    if (url === '/_ping') { response.writeHead(200, { 'api-version': '1.41' }).end('OK'); return; }
    asked.push(url);
    answer(request.socket, response, JSON.stringify(url === '/info' ? { ID: id } : { by: id }));
  });
  server.on('connection', () => { connections += 1; });
  servers.push(server);
  server.listen(`${path}.new`);
  await once(server, 'listening');
  renameSync(`${path}.new`, path);
  return { connections: () => connections, asked };
}

const client = (): ReturnType<typeof openEngine> => openEngine({ host: `unix://${folder}/sock`, timeoutMs: 5000 });
const id = (n: number): string => n.toString(16).padStart(64, '0');

describe('connections to an engine', () => {
  test('are kept from one container to the next', async () => {
    const { connections } = await serve('A');
    const engine = client();
    await engine.list();
    const before = connections();
    for (let n = 0; n < 20; n += 1) expect(await engine.inspect(id(n))).toEqual({ ok: true, value: { by: 'A' } });
    expect(connections()).toBe(before);
  });

  test('are no more than eight, however many containers are asked for at once', async () => {
    const { connections } = await serve('A');
    const engine = client();
    await engine.version();
    const before = connections();
    await Promise.all(Array.from({ length: 40 }, (_, n) => engine.inspect(id(n))));
    expect(connections() - before).toBeLessThanOrEqual(8);
  });

  test('are new from the question on who answers: an engine that was replaced is not asked any more', async () => {
    const old = await serve('A');
    const engine = client();
    await engine.inspect(id(1));
    const asked = old.asked.length;
    await serve('B');
    expect(await engine.info()).toEqual({ ok: true, value: { ID: 'B' } });
    expect(await engine.inspect(id(2))).toEqual({ ok: true, value: { by: 'B' } });
    expect(old.asked).toHaveLength(asked);
  });

  test('do not cut off what is still being asked when they are replaced', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<null>();
    await serve('A', (_, response, body) => { void (body.includes('by') ? held : Promise.resolve()).then(() => { response.end(body); }); });
    const engine = client();
    const waiting = engine.inspect(id(1));
    expect(await engine.info()).toEqual({ ok: true, value: { ID: 'A' } });
    release(null);
    expect(await waiting).toEqual({ ok: true, value: { by: 'A' } });
  });

  test('that were closed while they waited are no fault: the question is put once more on a new one', async () => {
    const used = new Set<Socket>();
    const { asked } = await serve('A', (socket, response, body) => {
      if (used.has(socket)) { socket.destroy(); return; }
      used.add(socket);
      response.end(body);
    });
    const engine = client();
    expect(await engine.inspect(id(1))).toEqual({ ok: true, value: { by: 'A' } });
    expect(await engine.inspect(id(2))).toEqual({ ok: true, value: { by: 'A' } });
    expect(asked).toHaveLength(3);
  });

  test('that break when they are new are a fault, and the question is not put again', async () => {
    const { asked } = await serve('A', (socket) => { socket.destroy(); });
    expect(await client().inspect(id(1))).toMatchObject({ ok: false, code: 'malformed' });
    expect(asked).toHaveLength(1);
  });

  test('keep no process alive', async () => {
    await serve('A');
    const source = `import { openEngine } from ${JSON.stringify(join(import.meta.dirname, '../../../src/callout/engine.ts'))};
      const engine = openEngine({ host: 'unix://${folder}/sock', timeoutMs: 60_000 });
      console.log((await engine.inspect('${id(1)}')).ok);`;
    const { promise, resolve } = Promise.withResolvers<readonly [string, number | null]>();
    const asking = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 });
    let said = '';
    asking.stdout.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    asking.on('close', (code) => { resolve([said, code]); });
    expect(await promise).toEqual(['true\n', 0]);
  });
});
