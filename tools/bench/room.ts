import { type Engine, startEngine } from '../../test/hostsim/dockerd.ts';
import { type Host, startHost } from '../../test/hostsim/host.ts';

export const GPUS = 8;

export interface Counts {
  /** Containers that run, each with one listed process. */
  readonly running: number;
  /** Containers that were created and never started: cheap to make, and as much work to ask about. */
  readonly created: number;
}

/** A simulated host with a real engine and this many containers, for as long as `work` takes. Needs root. */
export async function withContainers({ running, created }: Counts, work: (host: Host, engine: Engine, ids: readonly string[]) => Promise<void> | void): Promise<void> {
  const host = startHost({ gpus: GPUS });
  try {
    const engine = await startEngine({ sandbox: host.sandbox });
    host.configure({ engine: { host: engine.host }, limits: { default: { idle_timeout: '1h' } } });
    const ids: string[] = [];
    for (let n = 0; n < running; n += 1) {
      ids.push(await engine.run({ name: `job-${n}`, gpus: [host.gpu(n % GPUS).uuid], labels: { 'gpuctl.owner': `user${n}` } }));
      host.listOn(n % GPUS, await engine.initPid(ids[n] ?? ''), { usedMiB: 100 });
    }
    for (let n = 0; n < created; n += 1) ids.push(await engine.create({ gpus: [host.gpu(n % GPUS).uuid] }));
    host.makeSmiInstant();
    await work(host, engine, ids);
  } finally {
    await host.dispose();
  }
}
