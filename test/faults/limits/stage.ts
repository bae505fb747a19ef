import { cpSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerOptions } from '../../hostsim/dockerd.ts';
import { engineProxy, type EngineProxy } from '../../hostsim/engine-proxy.ts';
import { startHost, type ConfigOverrides, type Host } from '../../hostsim/host.ts';
import type { GpuctlOptions, GpuctlResult } from '../../hostsim/gpuctl-call.ts';
import type { Ground } from '../stage.ts';

/** `due`: runs past its limit, and both warnings were given by earlier passes. `fresh`: the same, and nothing was said yet. `leftover`: to be removed. `quiet`: within its limits. */
export type Kind = 'due' | 'fresh' | 'leftover' | 'quiet';

const JOBS = { due: 'enforce-runtime', fresh: 'enforce-runtime', leftover: 'cleanup-containers', quiet: 'sample' } as const;

/** One simulated host on the ground's engine, with one container of its own that a limit is about; no limit is about any other. */
export interface LimitStage {
  readonly ground: Ground;
  readonly host: Host;
  readonly proxy: EngineProxy;
  readonly kind: Kind;
  /** The container's. */
  readonly id: string;
  /** Its owner's, a user of the system who has no other container meanwhile. */
  readonly uid: number;
  /** The stage's own configuration with these changes. `impatient`: with short deadlines. */
  configure(more: ConfigOverrides, impatient?: 'impatient'): void;
  pass(options?: GpuctlOptions): Promise<GpuctlResult>;
  /** Its state by the engine itself; null: it is gone. */
  state(): Promise<string | null>;
  dispose(): Promise<void>;
}

/** Users that every system has and nobody is. */
const OWNERS = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')).flatMap(([name = '', , uid]) => (Number(uid) > 0 && Number(uid) < 100 ? [{ name, uid: Number(uid) }] : []));

let stages = 0;

export async function openLimitStage(ground: Ground, kind: Kind, given: ContainerOptions = {}): Promise<LimitStage> {
  const { engine } = ground;
  const number = (stages += 1);
  const { name: owner, uid } = OWNERS[number % OWNERS.length] ?? { name: 'root', uid: 0 };
  const type = `case-${number}`;
  const uuid = `GPU-${(0x1000 + number).toString(16).padStart(8, '0')}-aaaa-4bbb-8ccc-0123456789ab`;
  const host = startHost({ gpus: [{}, {}, {}, {}, { uuid }], engineHost: engine.host });
  cpSync(ground.state, host.stateDir, { recursive: true });
  const proxy = await engineProxy({ sandbox: host.sandbox, target: engine.socketPath });
  const settings = settingsFor(type, kind);
  const configure = (more: ConfigOverrides, impatient?: 'impatient'): void => {
    host.configure({ ...settings, ...more, engine: { host: proxy.host, timeout: impatient === undefined ? '20s' : '2s' } });
  };
  configure({});
  const id = await engine.run({ name: type, gpus: [uuid], labels: { 'gpuctl.owner': owner, 'gpuctl.type': type }, ...given });
  if (kind === 'leftover') await engine.kill(id).then(() => engine.wait(id));
  // Its limit is a second.
  await delay(1000);
  const stage: LimitStage = {
    ground, host, proxy, kind, id, uid, configure,
    pass: (options) => host.gpuctl([JOBS[kind]], { timeoutMs: 90_000, withoutEvents: true, ...options }),
    state: () => engine.inspect(id).then(({ State: { Status } }) => Status, () => null),
    async dispose() {
      await proxy.close();
      await host.dispose();
      if (await stage.state() !== null) await engine.rm(id);
    },
  };
  if (kind === 'due') await warnTwice(stage);
  return stage;
}

function settingsFor(type: string, kind: Kind): ConfigOverrides {
  return {
    nvidia_smi: { timeout: '20s' },
    limits: {
      trust_labels: ['owner', 'type'],
      default: { idle_timeout: 'never', max_runtime: 'never', gpu_hold_after_stop: 'never', container_hold_after_stop: 'never', stop_grace: '1s' },
      types: { docker: { max_runtime: 'never' }, ...(kind !== 'quiet' && { [type]: { max_runtime: '1s', gpu_hold_after_stop: '0s', container_hold_after_stop: '1s' } }) },
    },
    warnings: { runtime: ['40%', '70%'] },
    notify: { owner: [] },
  };
}

async function warnTwice(stage: LimitStage): Promise<void> {
  for (const step of ['warned', 'final']) {
    const { exitCode, stderr } = await stage.pass();
    const told = existsSync(stage.host.eventsPath) && stage.host.events().some((event) => event['event.action'] === `container.runtime.${step}` && event['container.id'] === stage.id);
    if (!told) throw new Error(`the container was not ${step}: ${exitCode} ${stderr}`);
  }
}
