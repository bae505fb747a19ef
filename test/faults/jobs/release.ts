import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newGpu, newMig } from '../../hostsim/new-world.ts';
import { eventsIn, problemsOf } from '../check.ts';
import { linesOf, type Stage } from '../stage.ts';
import type { Readied } from './kill-job.ts';

/** Besides what every stage has: a board that asks for a reset and is split, which an admin is told. */
export async function readyRelease(stage: Stage): Promise<Readied> {
  const { host } = stage;
  host.updateWorld(({ gpus }) => { gpus.push(newGpu(4, { recovery: 'Reset', mig: [newMig(4, 0)] })); });
  const posted: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    incoming.on('end', () => {
      posted.push(Buffer.concat(chunks).toString('utf8'));
      outgoing.end();
    });
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  stage.configure({ notify: { admin: [{ webhook: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }] } });
  const wasPosted = (action: unknown): number => posted.filter((body) => body.includes(`"event.action":"${String(action)}"`)).length;
  let before = 0;
  return {
    async between() {
      before = linesOf(stage).length;
      return [];
    },
    async problems(outcome) {
      server.closeAllConnections();
      server.close();
      // What the killed pass told nobody of any more lasts, or is in what the next one says of that pass.
      const alerts = new Set(eventsIn(linesOf(stage).slice(before)).filter((event) => event['gpuctl.alert'] === true).map((event) => event['event.action']));
      return [
        ...await problemsOf(outcome),
        ...[...alerts, 'gpu.reset.withheld'].filter((action) => wasPosted(action) === 0).map((action) => `no admin was told of ${String(action)}`),
        // Once more where the pass was killed before it remembered that it had told, or while it did.
        ...(wasPosted('gpu.reset.withheld') > 2 ? ['the admin was told again and again'] : []),
      ];
    },
  };
}
