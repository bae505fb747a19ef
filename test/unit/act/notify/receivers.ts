import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { GpuctlEvent } from '../../../../src/model/event.ts';
import { type AdminParts } from '../../../../src/act/notify/admin.ts';
import type { OwedAlert, Told } from '../../../../src/passes/ports.ts';

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
  return { url: await listening(server), received, server };
}

/** A receiver of Slack's texts that answers as it was last told to. `taken`: what it took since it was last asked, without the title. */
export async function switched(): Promise<{ readonly url: string; answer(status: number): void; taken(): string }> {
  let status = 200;
  let took: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString('utf8'); });
    request.on('end', () => {
      if (status === 200) took.push(...(JSON.parse(body) as { text: string }).text.split('\n').slice(1).map((line) => line.replace('• ', '')));
      response.writeHead(status).end();
    });
  });
  const url = await listening(server);
  return { url, answer: (next) => { status = next; }, taken: () => { const lines = took.join('; '); took = []; return lines; } };
}

/** The address of a server of this test. */
async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => { server.closeAllConnections(); server.close(); });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/hook/secret`;
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
export function memory(): AdminParts['ledger'] & { rows: Told[]; debts: OwedAlert[] } {
  const ledger = {
    rows: [] as Told[],
    debts: [] as OwedAlert[],
    owed: () => ledger.debts,
    recordOwed: (alert: OwedAlert) => { ledger.debts = [...ledger.debts.filter(({ subject }) => subject !== alert.subject), alert]; },
    forgetOwed: (subjects: readonly string[]) => { ledger.debts = ledger.debts.filter(({ subject }) => !subjects.includes(subject)); },
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

export const conflict: GpuctlEvent = { action: 'gpu.allocation.conflict', alert: true, message: 'two live containers claim one device', gpu: { uuid: 'GPU-1' } };
export const ended: GpuctlEvent = { action: 'pass.ended', message: 'ended' };
