import { type ChildCall, type ChildResult, runChild } from '../callout/child.ts';
import { decideLatch, type HolderState } from '../decide/latch.ts';
import type { DriverView, ListedProcess } from '../model/device.ts';
import type { HungSmi, InventoryEntry } from '../model/lost.ts';
import { failed, observed, seen, type Gap, type Observed } from '../model/observation.ts';
import { isoTime } from '../model/time.ts';
import { observePciGpus } from '../observe/kernel/index.ts';
import { observeDriver, observeListed, observeProcessUse, type NvidiaSmi } from '../observe/nvidia-smi/index.ts';
import { readBootId } from '../observe/proc/self.ts';
import { readState } from '../observe/proc/state.ts';

/** A driver that answers at all does so within a second; one that is waking up its GPUs takes a few. */
const PROBE_MS = 10_000;

/** What stands before nvidia-smi and beside it. */
export interface Gate {
  /** Null: nvidia-smi may be asked; otherwise why not. Probes where this run may. */
  check(): Promise<Observed<never> | null>;
  /** A child outlived SIGKILL. */
  onHung(pid: number | null): void;
  /** Bus ids of the GPUs that the kernel's nvidia driver has taken. */
  busIds(): readonly string[];
}

export interface GateSetting {
  readonly smi: Pick<NvidiaSmi, 'path' | 'timeoutMs'>;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  readonly hung: () => HungSmi | null;
  /** Null: this run may not set the latch. */
  readonly set: ((hung: HungSmi) => void) | null;
  /** Null: this run may neither probe nor lift the latch. */
  readonly lift: (() => void) | null;
}

/** The latch on this host. */
export function gateOf(setting: GateSetting): Gate {
  return {
    check: () => checkLatch(setting),
    onHung: (pid) => { remember(setting, pid); },
    busIds: () => (observePciGpus() ?? []).filter(({ driver }) => driver === 'nvidia').map(({ pciBusId }) => pciBusId),
  };
}

export interface DriverSetting {
  readonly smi: NvidiaSmi;
  readonly gate: Gate;
  readonly inventory: () => readonly InventoryEntry[];
}

/** The three questions to the driver, and what is done to devices. */
export interface Driver {
  /** Runs a program; nvidia-smi no more once it hung, whatever it was to do, which is remembered as of a question. */
  call(call: ChildCall): Promise<ChildResult>;
  observeDriver(): Promise<Observed<DriverView>>;
  observeListed(): Promise<Observed<readonly ListedProcess[]>>;
  observeProcessUse(): ReturnType<typeof observeProcessUse>;
}

/**
 * nvidia-smi behind its latch. Once it did not answer in time, this run starts no other: it would wait as long. One that
 * could not even be ended is remembered besides, and no later run asks until it is gone and a probe is answered, or the
 * host has rebooted. One that SIGKILL ended leaves nothing behind, so the next run asks again.
 */
export function driverOf({ smi: plain, gate, inventory }: DriverSetting): Driver {
  const smi: NvidiaSmi = {
    ...plain,
    onHung: (pid) => { gate.onHung(pid); },
    candidates: () => [...gate.busIds(), ...inventory().map(({ pciBusId }) => pciBusId)],
  };
  let late: Observed<never> | null = null;
  let checked: Promise<Observed<never> | null> | null = null;
  let view: DriverView | null = null;
  const guarded = async <T>(read: () => Promise<Observed<T>>): Promise<Observed<T>> => {
    checked ??= gate.check();
    const answer = (await checked) ?? late ?? (await read());
    if (answer.state === 'failed' && (answer.code === 'timeout' || answer.code === 'hung')) late = answer;
    return answer;
  };
  return {
    call: async (call) => {
      if (call.file !== plain.path) return runChild(call);
      if (late !== null) return { exitCode: null, stdout: '', stderr: `it was not called: ${late.state === 'failed' ? late.why : ''}`, problem: 'timeout' };
      const result = await runChild(call);
      if (result.problem !== 'hung') return result;
      late = failed('hung', 'nvidia-smi did not end in time when it was to change a device, and outlived SIGKILL');
      gate.onHung(result.pid ?? null);
      return result;
    },
    observeDriver: async () => {
      const answer = await guarded(() => observeDriver(smi));
      view = seen(answer);
      return answer;
    },
    observeListed: async () => named(await guarded(() => observeListed(smi)), view, inventory),
    observeProcessUse: () => guarded(() => observeProcessUse(smi)),
  };
}

function remember({ set, now }: GateSetting, pid: number | null): void {
  const bootId = readBootId();
  if (set === null || bootId === null) return;
  const state = pid === null ? null : readState(pid);
  const startTicks = state === null || state === 'unreadable' ? null : state.startTicks;
  set({ since: now(), bootId, pid: startTicks === null ? null : pid, startTicks });
}

async function checkLatch(setting: GateSetting): Promise<Observed<never> | null> {
  const { lift } = setting;
  const hung = setting.hung();
  if (hung === null) return null;
  const holder = holderOf(hung);
  const decision = decideLatch({ hung, bootId: readBootId(), holder, mayProbe: lift !== null });
  if (decision === 'wait') return stillHung(hung, holder === 'lives' ? `its process ${hung.pid} is still there` : holder === 'unknown' ? 'it is not known whether its process is still there' : 'the next pass that records probes it');
  if (decision === 'probe' && !(await answersProbe(setting))) return stillHung(hung, 'a probe was not answered either');
  if (decision === 'lift' || decision === 'probe') lift?.();
  return null;
}

/** Any answer is one, whatever it says: the driver came back. A child that was ended by a signal did not say anything. */
async function answersProbe(setting: GateSetting): Promise<boolean> {
  const { path, timeoutMs } = setting.smi;
  const { problem, pid } = await runChild({ file: path, args: ['-L'], timeoutMs: Math.min(PROBE_MS, timeoutMs) });
  if (problem === 'hung') remember(setting, pid ?? null);
  return problem === null || problem === 'not-installed' || problem === 'not-permitted';
}

function holderOf({ pid, startTicks }: HungSmi): HolderState {
  if (pid === null) return 'unnamed';
  const state = readState(pid);
  if (state === 'unreadable') return 'unknown';
  // What nobody has waited for yet has ended all the same; if a thread of it is still in the driver, the probe shows that.
  const ended = state === null || state.runState === 'Z' || state.runState === 'X';
  return !ended && state.startTicks === startTicks ? 'lives' : 'gone';
}

function stillHung({ since }: HungSmi, why: string): Observed<never> {
  return failed('hung', `nvidia-smi has hung since ${isoTime(since)} and is not asked: ${why}`);
}

/** A gap by bus id, as one by UUID: of a GPU that was seen, or of one that the inventory knows to have been there. */
function named(listed: Observed<readonly ListedProcess[]>, view: DriverView | null, inventory: () => readonly InventoryEntry[]): Observed<readonly ListedProcess[]> {
  if (listed.state !== 'partial') return listed;
  const there = new Map([...inventory().map(({ pciBusId, gpuUuid }) => [pciBusId, gpuUuid] as const), ...(view?.gpus ?? []).map(({ pciBusId, uuid }) => [pciBusId, uuid] as const)]);
  return observed(listed.value, listed.missing.map(({ subject, why }): Gap => ({ subject: there.get(subject) ?? subject, why })));
}
