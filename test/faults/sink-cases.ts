import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

/** Those who are told. */
export function sinkCases(): readonly FaultCase[] {
  const told = (fault: string, callOut: string, sink: (stage: Stage) => Promise<{ readonly sink: object; readonly close?: () => void }>, quick = false): FaultCase => ({
    callOut, fault, quick, expected: { nextExits: [0, 1] },
    arrange: async (stage) => {
      const { sink: admin, close } = await sink(stage);
      stage.configure({ notify: { admin: [admin] } });
      // Something to tell: a GPU that is missing.
      stage.host.fault({ kind: 'drop-gpu', gpu: stage.host.gpu(0).uuid });
      return { undo: () => { close?.(); stage.host.clearFaults(); stage.configure({}); } };
    },
  });
  const server = async (answer: (response: import('node:http').ServerResponse) => void): Promise<{ readonly sink: object; readonly close: () => void }> => {
    const listening = createServer((_, response) => { answer(response); }).listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const address = listening.address();
    return { sink: { webhook: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/hook` }, close: () => { listening.closeAllConnections(); listening.close(); } };
  };
  const program = async ({ host }: Stage, text: string | null, kind: 'exec' | 'mail'): Promise<{ readonly sink: object }> => {
    const path = join(host.dir, 'bin', 'sink');
    if (text !== null) { writeFileSync(path, `#!/bin/sh\n${text}\n`); chmodSync(path, 0o755); }
    return { sink: kind === 'exec' ? { exec: path } : { mail: 'admin@example.org', program: path } };
  };
  return [
    told('refused', 'webhook', async () => ({ sink: { webhook: 'http://127.0.0.1:1/hook' } })),
    told('hung', 'webhook', () => server(() => undefined), false),
    told('500', 'webhook', () => server((response) => { response.writeHead(500).end('no'); }), true),
    told('hangs up', 'webhook', () => server((response) => { response.destroy(); })),
    told('endless', 'webhook', () => server((response) => { response.writeHead(200); const more = setInterval(() => { response.write('x'.repeat(1000)); }, 50); response.on('close', () => { clearInterval(more); }); })),
    told('hung', 'exec', (stage) => program(stage, 'sleep 1000', 'exec')),
    told('hung, ignores SIGTERM', 'exec', (stage) => program(stage, 'trap "" TERM; while :; do sleep 1; done', 'exec')),
    told('fails', 'exec', (stage) => program(stage, 'cat >/dev/null; exit 3', 'exec')),
    told('does not read', 'exec', (stage) => program(stage, 'exit 0', 'exec')),
    told('absent', 'exec', (stage) => program(stage, null, 'exec')),
    told('absent', 'sendmail', (stage) => program(stage, null, 'mail')),
    told('hung', 'sendmail', (stage) => program(stage, 'sleep 1000', 'mail')),
  ];
}
