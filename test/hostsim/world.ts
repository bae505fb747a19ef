import { mkdirSync, readFileSync, renameSync, rmdirSync, statSync, writeFileSync } from 'node:fs';

/**
 * The simulated driver's memory: one JSON file a host. The tests write it, the simulated nvidia-smi renders it and, at
 * a reset or a change of persistence mode, writes it too. Memory is in MiB, instants in milliseconds since 1970 UTC.
 */
export interface World {
  /** Picks the shape of every answer: `535.274.02`, `590.48.01`, … */
  driver: string;
  /** What `attached_gpus` says; default: as many as there are. */
  attached?: number;
  gpus: WorldGpu[];
  faults: Fault[];
  /** Where invocations are appended, one JSON object a line; default: `calls.jsonl` beside the world file. */
  log?: string;
  /** Every reset that succeeded, in order. */
  resets: WorldReset[];
}

export interface WorldReset { gpu: string; at: number; args: string[] }

export type Architecture = 'Volta' | 'Turing' | 'Ampere' | 'Hopper';

export interface WorldGpu {
  uuid: string;
  /** As CUDA and `--query-gpu=index` number it. */
  index: number;
  /** The n of /dev/nvidia<n>. */
  minor: number;
  /** Eight-digit domain, upper case, as the driver prints it: `00000000:3B:00.0`. */
  busId: string;
  name: string;
  architecture: Architecture;
  totalMiB: number;
  /** What an idle device uses; processes come on top. */
  usedMiB: number;
  /** Null: MIG is off. An empty list: MIG is on, without instances. */
  mig: WorldMig[] | null;
  /** `pending_mig`, where it differs from the current mode. */
  migPending?: boolean;
  processes: WorldProcess[];
  /** Live processes that have the device node open without being listed: they make a reset "in use". */
  holders: WorldHolder[];
  /** `active` and `primary`: the display's GPU; `primary` refuses a reset. */
  display: 'none' | 'active' | 'primary';
  persistence: boolean;
  computeMode: string;
  /** Current power limit; a reset puts it back to the default. */
  powerLimitW: number;
  /** As `gpu_recovery_action` words it: None, Reset, Reboot, Drain P2P, Drain and Reset. Older drivers say it in their terms. */
  recovery: string;
  /** A row remap (page retirement before Ampere) waits for a reset. */
  repairPending: boolean;
  remapFailed: boolean;
  /** Other texts than the usual ones, by the path of their element below <gpu>: `ecc_errors/volatile/dram_uncorrectable`. A reset takes back what it would. */
  readings?: Record<string, string>;
  /** Memory that no process owns and that only a reset gives back. */
  stickyMiB: number;
  utilization: number;
  temperatureC: number;
}

export interface WorldMig {
  uuid: string;
  /** `1g.10gb` */
  profile: string;
  gi: number;
  ci: number;
  totalMiB: number;
  usedMiB: number;
}

export interface WorldProcess {
  pid: number;
  type: 'C' | 'G' | 'C+G' | 'M+C' | 'M+C+G';
  name: string;
  /** Null: printed as N/A. */
  usedMiB: number | null;
  /** What pmon says of it; null: no sample. Not given: what the whole GPU has, or no sample of an idle one. */
  smPercent?: number | null;
  /** Field 22 of /proc/PID/stat; where given, a re-used pid is not mistaken for this process. */
  startTicks?: number;
  /** Position in the GPU's `mig` list. */
  mig?: number;
  /** Listed for ever, alive or not. */
  ghost?: boolean;
  /** Still listed as a zombie (its memory is not freed yet). */
  listedAsZombie?: boolean;
  /** What its end leaves in use until a reset. */
  leavesMiB?: number;
}

export interface WorldHolder {
  pid: number;
  startTicks?: number;
  /** Lets go at `nvidia-smi -pm 0`, as nvidia-persistenced does. */
  persistence?: boolean;
}

const CALL_KINDS = ['xml', 'list', 'query-gpu', 'compute-apps', 'pmon', 'reset', 'persistence', 'setting', 'other'] as const;
export type CallKind = (typeof CALL_KINDS)[number];

/** NVML's words for what is wrong with one GPU. */
export type NvmlError = 'lost' | 'reset-required' | 'unknown' | 'no-permission' | 'not-found' | 'power' | 'irq';

/** How a reset is refused. Hopper and later word it otherwise than the boards before. */
export type ResetRefusal = 'in-use' | 'unavailable' | 'not-supported' | 'no-permission' | 'lost' | 'unknown' | 'primary' | 'nvlink';

/** Where no `on` is given, a fault concerns every kind of call that it can concern; `times` counts down to no fault. */
export type Fault = { on?: CallKind[]; times?: number } & FaultKind;

type FaultKind =
  /** `unreapable`: killing it leaves a grandchild that holds the pipes open. */
  | { kind: 'hang'; style: 'plain' | 'ignores-term' | 'unreapable' }
  | { kind: 'truncate'; bytes: number }
  /** Instead of the answer: garbage, nothing, an error text with exit 0. */
  | { kind: 'print'; text: string; exitCode?: number }
  | { kind: 'exit'; code: ExitFault }
  /** The GPU is missing from the document; `attached_gpus` still counts it. */
  | { kind: 'drop-gpu'; gpu: string }
  /** XML shows an empty list and compute-apps a row of this error. No `gpu`: all. */
  | { kind: 'swallow-processes'; error: string; gpu?: string }
  /** Only compute-apps fails. */
  | { kind: 'compute-apps-error'; error: string; gpu?: string }
  /** `<processes>N/A</processes>` and a row of N/A. */
  | { kind: 'process-list-unsupported'; gpu?: string }
  /** One of the two sources does not show the processes. */
  | { kind: 'disagree'; hideFrom: 'xml' | 'compute-apps'; gpu?: string }
  /** The handle cannot be had (≤ 555: no document; newer: a line before it), every property fails, or the measured ones do. */
  | { kind: 'sick-gpu'; gpu: string; error: NvmlError; style: 'handle' | 'property' | 'readings' }
  | { kind: 'refuse-reset'; as: ResetRefusal; gpu?: string }
  /** The reset says it succeeded, but the board came back otherwise. */
  | { kind: 'reset-loses'; what: 'uuid' | 'persistence' | 'gpu' | 'nothing-repaired'; gpu?: string };

export type ExitFault = 2 | 3 | 4 | 6 | 8 | 9 | 11 | 12 | 15 | 17 | 18 | 19 | 255;

/** Reads the world; throws what JSON.parse and the file system throw. */
export function readWorld(path: string): World {
  return JSON.parse(readFileSync(path, 'utf8')) as World;
}

/** Changes the world under a lock, so that a test and any number of simulated nvidia-smi may write at once. */
export function updateWorld<T>(path: string, change: (world: World) => T): T {
  return withLock(`${path}.lock`, () => {
    const world = readWorld(path);
    const result = change(world);
    writeWorld(path, world);
    return result;
  });
}

/** Replaces the file in one step: a reader sees the old world or the new one. */
export function writeWorld(path: string, world: World): void {
  const next = `${path}.${process.pid}`;
  writeFileSync(next, JSON.stringify(world, null, 1));
  renameSync(next, path);
}

/** A holder that was killed would block for ever; no change takes this long. */
const STALE_LOCK_MS = 5000;

function withLock<T>(lock: string, body: () => T): T {
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      dropIfStale(lock);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  try {
    return body();
  } finally {
    rmdirSync(lock);
  }
}

function dropIfStale(lock: string): void {
  try {
    if (Date.now() - statSync(lock).mtimeMs > STALE_LOCK_MS) rmdirSync(lock);
  } catch {
    // Gone meanwhile: its holder has let go.
  }
}
