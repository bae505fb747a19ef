import { endProcesses } from '../../src/act/end-processes.ts';
import type { Config } from '../../src/config/types.ts';
import type { Policy } from '../../src/decide/assess.ts';
import type { Budget } from '../../src/decide/breaker.ts';
import { learnFrom } from '../../src/decide/learn.ts';
import type { GpuTarget, ProcessTarget, Verb } from '../../src/model/decision.ts';
import type { GpuctlEvent } from '../../src/model/event.ts';
import type { Allocation, History } from '../../src/model/history.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { PassOptions, PassParts } from '../../src/passes/pass.ts';
import type { ActResult, Actor, Clock, InFlightAct, Ledger, Observer } from '../../src/passes/ports.ts';
import { type EventContext, renderEvent } from '../../src/record/events.ts';
import { type HostState, lookAt, snapshotOf } from './host.ts';
import { policyOf } from './rules.ts';

/** What was done to the host, at the very moment. */
export type Act =
  | { readonly kind: 'signal'; readonly target: ProcessTarget; readonly signal: 'SIGTERM' | 'SIGKILL' }
  | { readonly kind: 'reset'; readonly target: GpuTarget; readonly before: Snapshot };

export interface BenchOptions {
  readonly host: HostState;
  readonly history: History;
  readonly config: Config;
  readonly now: number;
  /** Called before the n-th question to the host (0, 1, …) and before each sleep: the host as it is from then on. */
  readonly change?: (host: HostState, n: number) => HostState;
  /** Called right before each act is done. */
  readonly onAct?: (act: Act, bench: Bench) => void;
  /** Called before every call of any port; may throw, as a kill would. */
  readonly onCall?: (port: string) => void;
  /** Processes that ignore SIGTERM, and processes that survive SIGKILL. */
  readonly stubborn?: (pid: number) => 'no' | 'term' | 'kill';
  readonly resetFails?: boolean;
  readonly stopping?: () => string | null;
  readonly ledger?: Ledger;
  readonly budgets?: Readonly<Partial<Record<Verb, Budget>>>;
  /** The events file of the host, line by line, which outlives a pass; not given: nobody knows what it holds. */
  readonly lines?: string[];
  /** How long an observation takes, milliseconds. */
  readonly observationMs?: number;
}

/** A host, a clock and a memory in this process: the ports of a pass, and all that went through them. */
export interface Bench {
  readonly parts: PassParts;
  readonly acts: readonly Act[];
  readonly events: readonly GpuctlEvent[];
  readonly calls: readonly string[];
  readonly host: HostState;
  readonly now: number;
  readonly ledger: Ledger;
}

const LINE: EventContext = { host: 'gpu01', pass: 'pass', job: 'release-stale', dryRun: false, version: '0', now: () => 0 };

const NO_LIMIT: Budget = { count: 10_000, sharePercent: null };
const unlimited: Readonly<Partial<Record<Verb, Budget>>> = { kill: NO_LIMIT, reset: NO_LIMIT, release: NO_LIMIT };

export function benchOf(options: BenchOptions): Bench {
  let { host, now } = options;
  let asked = 0;
  const acts: Act[] = [];
  const events: GpuctlEvent[] = [];
  const calls: string[] = [];
  const call = (port: string): void => { calls.push(port); options.onCall?.(port); };
  const change = (): void => { host = options.change?.(host, asked) ?? host; asked += 1; };
  const ledger = watched(options.ledger ?? memoryLedger(options.history), (method) => { call(`ledger.${method}`); });
  const clock: Clock = {
    now: () => now,
    monotonicMs: () => now,
    sleep: async (ms) => { call('clock.sleep'); now += ms; change(); },
  };
  const observer: Observer = {
    observe: async () => { call('observer.observe'); change(); now += options.observationMs ?? 50; return snapshotOf(host, now); },
    look: async (pids, containerIds) => { call('observer.look'); change(); return lookAt(host, { pids, containerIds, takenAt: now, glance: false }); },
    glance: async (pids, containerIds) => { call('observer.glance'); change(); return lookAt(host, { pids, containerIds, takenAt: now, glance: true }); },
  };
  const act = (one: Act): void => {
    call(`actor.${one.kind}`);
    options.onAct?.(one, bench);
    acts.push(one);
  };
  const actor: Actor = {
    endProcesses: (targets, checks) => endProcesses({
      clock, termGraceMs: options.config.orphans.termGraceMs, stopping: () => (options.stopping?.() ?? null) !== null,
      stateOf: (pid) => {
        const process = host.processes.find((each) => each.pid === pid && each.presence === 'present');
        return process === undefined ? null : { startTicks: process.startTicks, runState: process.runState };
      },
      signal: (pid, signal) => {
        const target = targets.find((each) => each.pid === pid);
        if (target === undefined) throw new Error(`a signal to ${pid}, which is no target`);
        act({ kind: 'signal', target, signal });
        const stubborn = options.stubborn?.(pid) ?? 'no';
        const survives = stubborn === 'kill' || (stubborn === 'term' && signal === 'SIGTERM');
        if (!survives) host = { ...host, processes: host.processes.filter((each) => each.pid !== pid) };
      },
    }, targets, checks),
    resetGpu: async (target, before): Promise<ActResult> => {
      act({ kind: 'reset', target, before });
      if (options.resetFails === true) return { result: 'failed', reason: null, detail: 'In use by another client' };
      host = { ...host, gpus: host.gpus.map((gpu) => (gpu.uuid === target.uuid ? { ...gpu, recovery: { kind: 'value', value: 'none' }, repairPending: 'no', unexplainedMiB: 3 } : gpu)) };
      return { result: 'done', reason: null, detail: 'it came back as it was' };
    },
  };
  const policy: Policy = policyOf(options.config);
  const bench: Bench = {
    parts: {
      host: 'gpu01', clock, observer, ledger, policy, actor, budgets: options.budgets ?? unlimited, ownerOf: () => null, stopping: options.stopping ?? (() => null),
      sink: {
        emit: (event) => { call('sink.emit'); events.push(event); options.lines?.push(renderEvent(event, LINE)); },
        ...(options.lines === undefined ? {} : { holds: (text: string) => options.lines?.some((line) => line.includes(text)) === true }),
      },
    },
    acts, events, calls, ledger,
    get host() { return host; },
    get now() { return now; },
  };
  return bench;
}

/** A ledger that tells each call before it happens. */
function watched(ledger: Ledger, tell: (method: string) => void): Ledger {
  return new Proxy(ledger, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      return (...args: unknown[]): unknown => { tell(name); return Reflect.apply(value, target, args); };
    },
  });
}

export function passOptions(more: Partial<PassOptions> = {}): PassOptions {
  return { id: 'pass-2', job: 'release-stale', dryRun: false, acts: true, records: true, overBudget: false, devices: [], ...more };
}

/** What a ledger of this process was told about one act. */
export interface KeptAct extends InFlightAct {
  readonly number: number;
  ended: boolean;
  reported: boolean;
}

/** A ledger that lives as long as the test, with the meaning of the port and nothing else. */
export function memoryLedger(history: History): Ledger & { readonly kept: readonly KeptAct[] } {
  let memory = history;
  const kept: KeptAct[] = [];
  const sameRun = (a: Pick<Allocation, 'containerId' | 'startedAt' | 'gpuUuid' | 'migUuid'>, b: Allocation): boolean =>
    a.containerId === b.containerId && a.startedAt === b.startedAt && a.gpuUuid === b.gpuUuid && a.migUuid === b.migUuid;
  return {
    kept,
    setAside: null,
    history: () => memory,
    beginPass: () => {},
    endPass: () => {},
    untoldActs: (passId) => kept.filter((act) => !act.ended && !act.reported && act.passId !== passId),
    markActsTold: (_, numbers) => { for (const number of numbers) { const act = kept[number - 1]; if (act !== undefined) act.reported = true; } },
    beginAct: (passId, verb, target, at) => kept.push({ passId, verb, target, at, number: kept.length + 1, ended: false, reported: false }),
    endAct: (number) => { const act = kept[number - 1]; if (act !== undefined) act.ended = true; },
    recordObservation: (engine, claims, owners, at) => {
      const learned = learnFrom(memory, { engine, claims, owners, at });
      memory = learned.history;
      return learned.opened;
    },
    acceptEngine: (engineId) => { memory = { ...memory, engineId }; },
    recordMemory: (samples) => { memory = { ...memory, memory: [...memory.memory, ...samples] }; },
    release: (allocation, releaseReason, releasedAt) => { memory = { ...memory, allocations: memory.allocations.map((each) => (sameRun(allocation, each) && each.releasedAt === null ? { ...each, releasedAt, releaseReason } : each)) }; },
    wantReset: (want) => { memory = { ...memory, resetWants: [...memory.resetWants.filter(({ gpuUuid }) => gpuUuid !== want.gpuUuid), want] }; },
    withdrawReset: (gpuUuid) => { memory = { ...memory, resetWants: memory.resetWants.filter((want) => want.gpuUuid !== gpuUuid) }; },
    recordReset: (gpuUuid, succeeded, at) => { memory = { ...memory, resets: [...memory.resets, { gpuUuid, succeeded, at }] }; },
    quarantine: (gpuUuid) => { memory = { ...memory, quarantined: [...new Set([...memory.quarantined, gpuUuid])] }; },
    close: () => {},
  };
}
