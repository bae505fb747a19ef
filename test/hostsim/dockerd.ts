import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { askEngine, callEngine } from './engine-api.ts';
import { IMAGE, importImage } from './engine-image.ts';
import { processStat } from './smi-device.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';

/** A thread that runs on another processor goes on for a moment after the signal. */
function stopWhole(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  const runs = (task: string): boolean => {
    try {
      return !/\) T /.test(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8'));
    } catch {
      return false;
    }
  };
  while (readdirSync(`/proc/${pid}/task`).some(runs));
}

/** `--gpus`: all, a number, or device ids. */
export type GpusOption = 'all' | number | readonly string[];

export interface ContainerOptions {
  readonly name?: string;
  readonly gpus?: GpusOption;
  /** `HostConfig.DeviceRequests` as they are, instead of `gpus`. */
  readonly deviceRequests?: readonly unknown[];
  /** `nvidia`, or the engine's default. */
  readonly runtime?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Device nodes of the host. */
  readonly devices?: readonly string[];
  readonly privileged?: boolean;
  readonly pidHost?: boolean;
  readonly user?: string;
  readonly binds?: readonly string[];
  readonly cmd?: readonly string[];
  /** More of `HostConfig`. */
  readonly hostConfig?: Readonly<Record<string, unknown>>;
}

/** What the tests read of `GET /containers/<id>/json`. */
export interface Inspection {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Status: string; readonly Running: boolean; readonly Pid: number; readonly StartedAt: string; readonly FinishedAt: string };
  readonly [key: string]: unknown;
}

/** A private Docker engine. Ids are full ids. */
export interface Engine {
  readonly dir: string;
  readonly sandbox: Sandbox;
  readonly socketPath: string;
  /** For `engine.host` or DOCKER_HOST. */
  readonly host: string;
  /** `/info`'s ID. */
  readonly id: string;
  readonly daemonPid: () => number;
  create(options?: ContainerOptions): Promise<string>;
  start(id: string): Promise<void>;
  /** Creates and starts. */
  run(options?: ContainerOptions): Promise<string>;
  stop(id: string, graceS?: number): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  kill(id: string, signal?: string): Promise<void>;
  /** By force, unless told otherwise. */
  rm(id: string, options?: { readonly force?: boolean }): Promise<void>;
  inspect(id: string): Promise<Inspection>;
  /** The container's first process, as a host pid; 0: not running. */
  initPid(id: string): Promise<number>;
  /** Resolves once the container does not run any more. */
  wait(id: string): Promise<void>;
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  /** SIGSTOP to the daemon: it accepts connections and never answers. */
  /** Returns when no thread of it runs any more. */
  hang(): void;
  resume(): void;
  /** SIGKILL to the daemon; containers and shims live on. The socket stays, without a listener. */
  crash(): Promise<void>;
  /** After a crash: the same daemon again. */
  restart(): Promise<void>;
  /** Crashes the daemon and starts it with an empty data folder on the same socket. `newId`: with another engine id as well. */
  restartWithOtherDataRoot(options?: { readonly newId?: boolean }): Promise<void>;
  dispose(): Promise<void>;
}

export interface EngineOptions {
  /** Where to live; default: a sandbox of its own, swept by dispose(). */
  readonly sandbox?: Sandbox;
  /** Containers live on while the daemon does not run, and it takes them over when it comes back. */
  readonly liveRestore?: boolean;
}

/** Starts dockerd with stub NVIDIA runtimes, its own containerd, key and folders, no networking, and one image. */
export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
  const owned = options.sandbox ?? makeSandbox();
  const dir = join(owned.dir, 'engine');
  mkdirSync(dir);
  writeStubs(dir);
  const daemon = { generation: 0, key: 0, child: null as ChildProcess | null, id: '' };
  const socketPath = join(dir, 'docker.sock');
  const boot = async (): Promise<void> => {
    daemon.child = spawnDaemon({ dir, sandboxDir: owned.dir, socketPath, generation: daemon.generation, key: daemon.key, liveRestore: options.liveRestore === true });
    owned.trackProcess(daemon.child.pid ?? -1, processStat(daemon.child.pid ?? -1)?.startTicks ?? -1);
    await untilAnswering(daemon.child, socketPath, dir);
    const info = await askEngine(socketPath, 'GET', '/info') as { ID: string };
    daemon.id = info.ID;
  };
  await boot();
  await importImage(socketPath, dir);
  const api = (method: string, path: string, body?: unknown): Promise<unknown> => askEngine(socketPath, method, path, body);
  const post = async (path: string): Promise<void> => { await api('POST', path); };
  const engine: Engine = {
    dir, sandbox: owned, socketPath, host: `unix://${socketPath}`,
    get id() { return daemon.id; },
    daemonPid: () => daemon.child?.pid ?? -1,
    api,
    async create(given = {}) {
      const query = given.name === undefined ? '' : `?name=${encodeURIComponent(given.name)}`;
      const { Id } = await api('POST', `/containers/create${query}`, createBody(given)) as { Id: string };
      owned.trackContainer(Id);
      return Id;
    },
    start: (id) => post(`/containers/${id}/start`),
    async run(given) {
      const id = await engine.create(given);
      await engine.start(id);
      return id;
    },
    stop: (id, graceS = 0) => post(`/containers/${id}/stop?t=${graceS}`),
    pause: (id) => post(`/containers/${id}/pause`),
    unpause: (id) => post(`/containers/${id}/unpause`),
    kill: (id, signal = 'SIGKILL') => post(`/containers/${id}/kill?signal=${signal}`),
    async rm(id, { force = true } = {}) { await api('DELETE', `/containers/${id}?force=${force}`); },
    inspect: async (id) => await api('GET', `/containers/${id}/json`) as Inspection,
    initPid: async (id) => (await engine.inspect(id)).State.Pid,
    wait: (id) => post(`/containers/${id}/wait`),
    hang: () => { stopWhole(engine.daemonPid()); },
    resume: () => { process.kill(engine.daemonPid(), 'SIGCONT'); },
    async crash() {
      const { child } = daemon;
      if (child === null || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.ref();
      child.kill('SIGKILL');
      await gone;
      await untilContainerdGone(join(owned.dir, `gen${daemon.generation}`));
    },
    restart: boot,
    async restartWithOtherDataRoot({ newId = false } = {}) {
      await engine.crash();
      daemon.generation += 1;
      if (newId) daemon.key += 1;
      await boot();
      await importImage(socketPath, join(dir, `image${daemon.generation}`));
    },
    async dispose() {
      if (options.sandbox === undefined) return owned.dispose();
      await engine.crash();
    },
  };
  return engine;
}

/** Its containerd dies with it, but a little later; a daemon that starts meanwhile would take it for its own and wait in vain. */
async function untilContainerdGone(home: string): Promise<void> {
  const file = join(home, 'exec', 'containerd', 'containerd.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8'));
  const isAlive = (): boolean => (processStat(pid)?.state ?? 'Z') !== 'Z';
  while (isAlive()) await delay(5);
  rmSync(file, { force: true });
}

/** What the NVIDIA toolkit would be: the hook swallows its input, the runtime is runc. */
function writeStubs(dir: string): void {
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  const stub = (name: string, script: string): void => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  stub('nvidia-container-runtime-hook', 'cat >/dev/null\nexit 0');
  stub('nvidia-container-runtime', 'exec runc "$@"');
  // A privileged container gets every capability, and does not start on a machine that lacks one; test machines may lack this one.
  stub('modest-runtime', `if [ $((0x$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status) >> 24 & 1)) = 0 ]; then
	for arg; do [ "$last" = --bundle ] && sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$arg/config.json"; last=$arg; done
fi
exec runc "$@"`);
}

interface DaemonPlace { readonly dir: string; readonly sandboxDir: string; readonly socketPath: string; readonly generation: number; readonly key: number; readonly liveRestore: boolean }

function spawnDaemon({ dir, sandboxDir, socketPath, generation, key, liveRestore }: DaemonPlace): ChildProcess {
  // The sweep looks for containers in gen*/data of the sandbox.
  const home = join(sandboxDir, `gen${generation}`);
  mkdirSync(home, { recursive: true });
  const config = join(dir, `daemon-${key}.json`);
  // Docker 20.10 takes its engine id from this key, later ones from a file in the data folder.
  writeFileSync(config, JSON.stringify({ 'deprecated-key-path': join(dir, `key-${key}.json`), 'live-restore': liveRestore }));
  const log = openSync(join(dir, 'dockerd.log'), 'a');
  const args = [
    `--config-file=${config}`, `--host=unix://${socketPath}`,
    `--data-root=${join(home, 'data')}`, `--exec-root=${join(home, 'exec')}`, `--pidfile=${join(home, 'docker.pid')}`,
    '--iptables=false', '--ip6tables=false', '--bridge=none', '--storage-driver=vfs',
    `--add-runtime=nvidia=${join(dir, 'bin', 'nvidia-container-runtime')}`,
    `--add-runtime=modest=${join(dir, 'bin', 'modest-runtime')}`,
  ];
  const child = spawn('dockerd', args, { detached: true, stdio: ['ignore', log, log], env: { ...process.env, PATH: `${join(dir, 'bin')}:/usr/sbin:/usr/bin:/sbin:/bin` } });
  child.on('error', () => undefined);
  child.unref();
  return child;
}

const START_MS = 30_000;

async function untilAnswering(child: ChildProcess, socketPath: string, dir: string): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const ping = existsSync(socketPath) ? await callEngine(socketPath, 'GET', '/_ping').catch(() => null) : null;
    if (ping?.status === 200) return;
    if (child.pid === undefined) throw new Error('dockerd is not installed (package docker.io)');
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      throw new Error(`dockerd did not start:\n${readFileSync(join(dir, 'dockerd.log'), 'utf8').slice(-2000)}`);
    }
    await delay(20);
  }
}

function createBody(given: ContainerOptions): unknown {
  const { env = {}, labels = {}, devices = [], cmd = ['sleep', '100000'] } = given;
  return {
    Image: IMAGE,
    Cmd: cmd,
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    Labels: labels,
    ...(given.user !== undefined && { User: given.user }),
    HostConfig: {
      NetworkMode: 'none',
      ...(given.privileged === true && { Privileged: true, Runtime: 'modest' }),
      ...(given.runtime !== undefined && { Runtime: given.runtime }),
      ...(given.pidHost === true && { PidMode: 'host' }),
      ...(given.binds !== undefined && { Binds: given.binds }),
      Devices: devices.map((path) => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rwm' })),
      DeviceRequests: given.deviceRequests ?? (given.gpus === undefined ? [] : [deviceRequest(given.gpus)]),
      ...given.hostConfig,
    },
  };
}

/** As the command line sends `--gpus`. */
function deviceRequest(gpus: GpusOption): unknown {
  const [Count, DeviceIDs] = gpus === 'all' ? [-1, null] : typeof gpus === 'number' ? [gpus, null] : [0, gpus];
  return { Driver: '', Count, DeviceIDs, Capabilities: [['gpu']], Options: {} };
}
