import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { GpuctlEvent } from '../../../../src/model/event.ts';
import { type AdminParts } from '../../../../src/act/notify/admin.ts';
import type { Told } from '../../../../src/passes/ports.ts';

export interface Received {
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An HTTP server on the loopback. `answer`: a status, or null for one that never answers. */
export async function receiver(answer: number | null, location?: string): Promise<{ readonly url: string; readonly received: Received[]; readonly server: Server }> {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    request.on('end', () => {
      received.push({ method: request.method, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      if (answer !== null) response.writeHead(answer, location === undefined ? {} : { location }).end('thanks');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => { server.closeAllConnections(); server.close(); });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/hook/secret`, received, server };
}

/** A program of this shell script in a folder of the test's own. */
export function program(script: string): { readonly path: string; readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-notify-'));
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
  const path = join(dir, 'program');
  writeFileSync(path, `#!/bin/sh\nDIR='${dir}'\n${script}\n`);
  chmodSync(path, 0o755);
  return { path, dir };
}

/** A memory of notices that a test can look into. */
export function memory(): AdminParts['ledger'] & { rows: Told[] } {
  const ledger = {
    rows: [] as Told[],
    told: () => ledger.rows,
    recordTold: (told: readonly Told[]) => {
      ledger.rows = [...ledger.rows.filter((row) => !told.some((each) => each.sink === row.sink && each.subject === row.subject)), ...told];
    },
    forgetTold: (told: readonly Pick<Told, 'sink' | 'subject'>[]) => {
      ledger.rows = ledger.rows.filter((row) => !told.some((each) => each.sink === row.sink && each.subject === row.subject));
    },
  };
  return ledger;
}

export const conflict: GpuctlEvent = { action: 'gpu.allocation.conflict', message: 'two live containers claim one device', gpu: { uuid: 'GPU-1' } };
export const ended: GpuctlEvent = { action: 'pass.ended', message: 'ended' };
