import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ContainerOptions, startEngine, type Engine } from '../hostsim/dockerd.ts';
import { engineProxy, type EngineProxy } from '../hostsim/engine-proxy.ts';
import { processStat } from '../hostsim/smi-device.ts';
import { startHost, type ConfigOverrides, type Host } from '../hostsim/host.ts';
import type { SimProcess } from '../hostsim/processes.ts';

/** What answers at all answers in time, on a machine that is busy as well. */
const SETTINGS: ConfigOverrides = { nvidia_smi: { timeout: '20s' }, limits: { default: { gpu_hold_after_stop: '0' } } };

/** For what does not answer. */
const IMPATIENT: ConfigOverrides = { engine: { timeout: '1s' }, nvidia_smi: { timeout: '2s' } };

/** What every case finds: an engine with two containers that compute and one that ended, and a ledger that knows them. */
export interface Ground {
  readonly engine: Engine;
  /** First processes of the two live containers. */
  readonly live: readonly Alive[];
  readonly liveIds: readonly string[];
  readonly stale: string;
  /** A folder of state to begin with. */
  readonly state: string;
  dispose(): Promise<void>;
}

interface Alive { readonly pid: number; readonly startTicks: number }

/** One simulated host on it: live containers on GPUs 0 and 3, an orphan on 1, and 2 asks for a reset, with a stale allocation. */
export interface Stage {
  readonly ground: Ground;
  readonly host: Host;
  readonly proxy: EngineProxy;
  readonly orphan: SimProcess;
  /** A compute process of nobody, which is reported and left alone. */
  readonly stray: SimProcess;
  readonly resetUuid: string;
  /** Starts a container that this stage alone sees, and that ends with it. */
  run(options: ContainerOptions): Promise<string>;
  /** The same, but only created. */
  create(options: ContainerOptions): Promise<string>;
  /** The stage's own configuration with these changes. `impatient`: with short deadlines. */
  configure(more: ConfigOverrides, impatient?: 'impatient'): void;
  dispose(): Promise<void>;
}

export async function layGround(): Promise<Ground> {
  const engine = await startEngine();
  const uuid = (index: number): string => `GPU-000000${index.toString(16).padStart(2, '0')}-aaaa-4bbb-8ccc-0123456789ab`;
  const liveIds = [await engine.run({ name: 'live-a', gpus: [uuid(0)] }), await engine.run({ name: 'live-b', gpus: [uuid(3)] })];
  const stale = await engine.run({ name: 'stale', gpus: [uuid(2)] });
  await engine.kill(stale).then(() => engine.wait(stale));
  const live = await Promise.all(liveIds.map(async (id) => alive(await engine.initPid(id))));
  const bare = { engine, live, liveIds, stale, dispose: () => engine.dispose() };
  const state = join(engine.dir, 'state');
  const stage = await openStage({ ...bare, state });
  const first = await stage.host.gpuctl(['sample']);
  if (first.exitCode !== 0 && first.exitCode !== 1) throw new Error(`the first sample ended with ${first.exitCode}: ${first.stderr}`);
  cpSync(stage.host.stateDir, state, { recursive: true });
  await stage.dispose();
  return { ...bare, state };
}

function alive(pid: number): Alive {
  return { pid, startTicks: processStat(pid)?.startTicks ?? -1 };
}

export function isAlive({ pid, startTicks }: Alive): boolean {
  const stat = processStat(pid);
  return stat !== null && stat.startTicks === startTicks && stat.state !== 'Z';
}

export async function openStage(ground: Ground): Promise<Stage> {
  const { engine, state, live } = ground;
  const mine: string[] = [];
  const seen = new Set([...ground.liveIds, ground.stale]);
  const host = startHost({ gpus: [{}, {}, { recovery: 'Reset' }, {}], engineHost: engine.host });
  if (existsSync(state)) cpSync(state, host.stateDir, { recursive: true });
  const proxy = await engineProxy({ sandbox: host.sandbox, target: engine.socketPath });
  // Several stages share an engine, and each has its own containers on it.
  proxy.shows = (id) => seen.has(id) || mine.includes(id);
  const create = async (options: ContainerOptions): Promise<string> => {
    const id = await engine.create(options);
    mine.push(id);
    return id;
  };
  const configure = (more: ConfigOverrides, impatient?: 'impatient'): void => {
    const settings = { ...SETTINGS, ...(impatient === undefined ? { engine: {} } : IMPATIENT), ...more };
    host.configure({ ...settings, engine: { host: proxy.host, ...(settings.engine as object) } });
  };
  configure({});
  for (const [at, index] of [0, 3].entries()) host.listOn(index, live[at] ?? -1);
  const orphan = await host.process({ name: 'orphan', cgroup: `docker/${randomBytes(32).toString('hex')}` });
  const stray = await host.process({ name: 'stray', cgroup: 'user.slice/user-1000.slice/session-1.scope' });
  host.listOn(1, orphan);
  host.listOn(0, stray);
  const resetUuid = host.gpu(2).uuid;
  return {
    ground, host, proxy, orphan, stray, resetUuid, configure, create,
    async run(options) {
      const id = await create(options);
      await engine.start(id);
      return id;
    },
    async dispose() {
      await Promise.all(mine.map((id) => engine.rm(id).catch(() => undefined)));
      await proxy.close();
      await host.dispose();
    },
  };
}

/** The lines of the events file, whatever they are. */
export function linesOf({ host }: Pick<Stage, 'host'>): readonly string[] {
  return existsSync(host.eventsPath) ? readFileSync(host.eventsPath, 'utf8').split('\n').filter(Boolean) : [];
}
