import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { stringify } from 'yaml';
import { putInCgroup } from './cgroups.ts';
import { readLines, startGpuctl, type GpuctlLine, type GpuctlOptions, type GpuctlResult, type RunningGpuctl } from './gpuctl-call.ts';
import { writeInstantSmi } from './instant-smi.ts';
import { DEFAULT_DRIVER, newWorld } from './new-world.ts';
import { startProcess, type ProcessOptions, type SimProcess } from './processes.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';
import { readWorld, updateWorld, writeWorld, type CallKind, type Fault, type World, type WorldGpu, type WorldProcess } from './world.ts';

const NODE = join(import.meta.dirname, '..', '..', 'node_modules', '.bin', 'node');

/** Part of a configuration file: maps merge key by key, everything else replaces. */
export interface ConfigOverrides { readonly [key: string]: unknown }

export interface HostOptions {
  readonly driver?: string;
  /** How many clean GPUs, or what is particular about each. Default 2. */
  readonly gpus?: number | readonly Partial<WorldGpu>[];
  /** `unix://…`; default: a socket that does not exist. */
  readonly engineHost?: string;
  readonly config?: ConfigOverrides;
  /** Make /dev/nvidia<n> with the driver's device number and minor numbers that no other host uses. */
  readonly deviceNodes?: boolean;
}

/** A GPU as its index or its UUID names it. */
export type GpuRef = number | string;

export interface Host {
  readonly dir: string;
  readonly worldPath: string;
  readonly configPath: string;
  readonly eventsPath: string;
  readonly stateDir: string;
  readonly smiPath: string;
  readonly sandbox: Sandbox;
  world(): World;
  gpu(ref: GpuRef): WorldGpu;
  updateWorld<T>(change: (world: World) => T): T;
  updateGpu(ref: GpuRef, change: (gpu: WorldGpu) => void): void;
  /** Adds faults to what nvidia-smi does from now on. */
  fault(...faults: Fault[]): void;
  clearFaults(): void;
  /** Every invocation of nvidia-smi so far, or those of one kind. */
  calls(kind?: CallKind): readonly GpuctlLine[];
  /** Adds lines of the kernel itself to the host's log, which begins empty. */
  kernelLog(...lines: readonly string[]): void;
  /** As if it were not installed. */
  removeSmi(): void;
  /** Freezes nvidia-smi's present answers; each then costs a few milliseconds. */
  makeSmiInstant(calls?: readonly (readonly string[])[]): void;
  /** Writes the configuration anew: the host's defaults with these changes. */
  configure(overrides: ConfigOverrides): void;
  process(options?: ProcessOptions): Promise<SimProcess>;
  /** Into this path of every hierarchy. */
  putInCgroup(pid: number, path: string): void;
  /** Lets the driver list a process on this GPU for as long as it lives. */
  listOn(ref: GpuRef, process: Pick<SimProcess, 'pid' | 'startTicks'> | number, entry?: Partial<WorldProcess>): void;
  /** Starts a process that has the GPU's node open without computing on it. Needs `deviceNodes`. */
  holdNode(ref: GpuRef, options?: ProcessOptions & { readonly persistence?: boolean }): Promise<SimProcess>;
  nodePath(ref: GpuRef): string;
  gpuctl(args: readonly string[], options?: GpuctlOptions): Promise<GpuctlResult>;
  startGpuctl(args: readonly string[], options?: GpuctlOptions): RunningGpuctl;
  /** All lines of the events file. */
  events(): readonly GpuctlLine[];
  dispose(): Promise<void>;
}

/** Makes a simulated host: a world, its nvidia-smi, a configuration and places for state, all in one folder of its own. */
export function startHost(options: HostOptions = {}): Host {
  const sandbox = makeSandbox();
  const { dir } = sandbox;
  const at = (name: string): string => join(dir, name);
  const worldPath = at('world.json');
  for (const folder of ['bin', 'run', 'state']) mkdirSync(at(folder), { mode: 0o755 });
  chmodSync(dir, 0o755);
  const world = newWorld(options.driver ?? DEFAULT_DRIVER, options.gpus ?? 2);
  if (options.deviceNodes === true) makeNodes(sandbox, world);
  writeWorld(worldPath, world);
  writeFileSync(at('kmsg'), '');
  // Any user may run nvidia-smi.
  writeFileSync(at('calls.jsonl'), '');
  chmodSync(at('calls.jsonl'), 0o666);
  writeSmi(dir, worldPath);
  const update = <T>(change: (world: World) => T): T => updateWorld(worldPath, change);
  const host: Host = {
    dir, worldPath, sandbox,
    configPath: at('config.yaml'), eventsPath: at('events.jsonl'), stateDir: at('state'), smiPath: at('bin/nvidia-smi'),
    world: () => readWorld(worldPath),
    gpu: (ref) => gpuIn(readWorld(worldPath), ref),
    updateWorld: update,
    updateGpu: (ref, change) => { update((now) => { change(gpuIn(now, ref)); }); },
    fault: (...faults) => { update((now) => { now.faults.push(...faults); }); },
    clearFaults: () => { update((now) => { now.faults = []; }); },
    calls: (kind) => readLines(at('calls.jsonl')).filter((call) => kind === undefined || call['kind'] === kind),
    kernelLog: (...lines) => { writeKernelLog(at('kmsg'), lines); },
    removeSmi: () => { rmSync(at('bin/nvidia-smi')); },
    makeSmiInstant: (calls) => { writeInstantSmi(dir, worldPath, calls); },
    configure: (overrides) => { writeConfig(dir, merge(defaults(dir, options), overrides)); },
    process: (given) => startProcess(sandbox, given),
    putInCgroup: (pid, path) => { putInCgroup(sandbox, pid, path); },
    listOn: (ref, process, entry = {}) => { host.updateGpu(ref, (gpu) => { gpu.processes.push(worldProcess(process, entry)); }); },
    holdNode: (ref, given) => holdNode(host, ref, given),
    nodePath: (ref) => `/dev/nvidia${host.gpu(ref).minor}`,
    gpuctl: (args, given) => startGpuctl(dir, args, given).done,
    startGpuctl: (args, given) => startGpuctl(dir, args, given),
    events: () => readLines(at('events.jsonl')),
    dispose: () => sandbox.dispose(),
  };
  host.configure({});
  return host;
}

function gpuIn(world: World, ref: GpuRef): WorldGpu {
  const gpu = world.gpus.find(({ index, uuid }) => index === ref || uuid === ref);
  if (gpu === undefined) throw new Error(`this world has no GPU ${ref}`);
  return gpu;
}

function worldProcess(process: Pick<SimProcess, 'pid' | 'startTicks'> | number, entry: Partial<WorldProcess>): WorldProcess {
  const identity = typeof process === 'number' ? { pid: process } : { pid: process.pid, startTicks: process.startTicks };
  return { type: 'C', name: 'python3', usedMiB: 1024, ...identity, ...entry };
}

async function holdNode(host: Host, ref: GpuRef, given: ProcessOptions & { readonly persistence?: boolean } = {}): Promise<SimProcess> {
  const { persistence = false, ...options } = given;
  const holder = await host.process({ name: 'holder', ...options, holdsOpen: [host.nodePath(ref)] });
  host.updateGpu(ref, (gpu) => { gpu.holders.push({ pid: holder.pid, startTicks: holder.startTicks, ...(persistence && { persistence }) }); });
  return holder;
}

/** As the device gives it: one record a line, each with its number and its time since boot. */
function writeKernelLog(file: string, lines: readonly string[]): void {
  const before = readFileSync(file, 'utf8').split('\n').length - 1;
  const usec = process.hrtime.bigint() / 1000n;
  appendFileSync(file, lines.map((line, n) => `4,${before + n},${usec},-;${line}\n`).join(''));
}

/** The bundle saves the real nvidia-smi's stand-in a tenth of a second a call. */
function writeSmi(dir: string, worldPath: string): void {
  const bundle = join(dir, 'bin', 'fake-smi.cjs');
  buildSync({ entryPoints: [join(import.meta.dirname, 'fake-smi.ts')], bundle: true, platform: 'node', format: 'cjs', define: { 'import.meta.main': 'true' }, outfile: bundle, logLevel: 'error' });
  const smi = join(dir, 'bin', 'nvidia-smi');
  writeFileSync(smi, `#!/bin/sh\nHOSTSIM_WORLD='${worldPath}' exec '${NODE}' '${bundle}' "$@"\n`);
  chmodSync(smi, 0o755);
}

function makeNodes(sandbox: Sandbox, world: World): void {
  let minor = 64 + (process.pid % 64);
  for (const gpu of world.gpus) {
    while (!makeNode(sandbox, `/dev/nvidia${minor}`)) minor += 1;
    gpu.minor = minor;
    minor += 1;
  }
}

/** False: somebody has a node of that name. */
function makeNode(sandbox: Sandbox, path: string): boolean {
  if (existsSync(path)) return false;
  try {
    // The driver's own device number. There is no driver behind it here, so it can only be opened with O_PATH.
    execFileSync('mknod', ['-m', '666', path, 'c', '195', path.slice('/dev/nvidia'.length)], { stdio: 'pipe' });
  } catch (error) {
    if (existsSync(path)) return false;
    throw error;
  }
  sandbox.trackNode(path);
  return true;
}

/** Short waits, everything inside the folder. */
function defaults(dir: string, { engineHost = `unix://${join(dir, 'no-engine.sock')}`, config = {} }: HostOptions): ConfigOverrides {
  return merge({
    version: 1,
    engine: { host: engineHost },
    nvidia_smi: { path: join(dir, 'bin', 'nvidia-smi') },
    orphans: { confirm_after: '1s', term_grace: '1s' },
    events: { file: join(dir, 'events.jsonl') },
    metrics: { textfile: join(dir, 'gpuctl.prom') },
    state: { dir: join(dir, 'state') },
  }, config);
}

function isMap(value: unknown): value is ConfigOverrides {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function merge(base: ConfigOverrides, over: ConfigOverrides): ConfigOverrides {
  const pairs = Object.entries(over).map(([key, value]) => [key, isMap(value) && isMap(base[key]) ? merge(base[key], value) : value]);
  return { ...base, ...Object.fromEntries(pairs) };
}

function writeConfig(dir: string, config: ConfigOverrides): void {
  writeFileSync(join(dir, 'config.yaml'), stringify(config), { mode: 0o600 });
}
