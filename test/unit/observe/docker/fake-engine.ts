import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A server on a local socket that answers as the test says, to imitate an engine in trouble. */
export interface FakeEngine {
  readonly host: string;
  /** Paths asked for, in order. */
  readonly asked: readonly string[];
  readonly openConnections: () => Promise<number>;
  readonly close: () => Promise<void>;
}

/** `answer` gets everything but `_ping`, which says `headers` (API 1.41 unless given). */
export async function startFakeEngine(answer: RequestListener, headers: Readonly<Record<string, string>> = { 'Api-Version': '1.41' }): Promise<FakeEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-fake-'));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (request.url === '/_ping') response.writeHead(200, headers).end('OK');
    else answer(request, response);
  });
  server.listen(join(folder, 'engine.sock'));
  await once(server, 'listening');
  return {
    host: `unix://${join(folder, 'engine.sock')}`,
    asked,
    openConnections: () => new Promise((resolve, reject) => { server.getConnections((error, count) => { if (error === null) resolve(count); else reject(error); }); }),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
