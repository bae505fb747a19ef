import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limitPolicyOf } from '../../src/cli/limits.ts';
import { defaultConfig } from '../../src/config/defaults.ts';
import type { Config } from '../../src/config/types.ts';
import type { ContainerCounters, KeepAlive, WarningStage } from '../../src/model/activity.ts';
import type { InspectedContainer } from '../../src/model/container.ts';
import type { ContainerTarget } from '../../src/model/decision.ts';
import type { Gpu } from '../../src/model/device.ts';
import type { GpuctlEvent } from '../../src/model/event.ts';
import { complete } from '../../src/model/observation.ts';
import { misread, read, type Reading, unsupported } from '../../src/model/reading.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { checkIdle } from '../../src/passes/check-idle.ts';
import { cleanupContainers } from '../../src/passes/cleanup-containers.ts';
import { enforceRuntime } from '../../src/passes/enforce-runtime.ts';
import type { Job, PassParts } from '../../src/passes/pass.ts';
import type { PassReport } from '../../src/passes/report.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { sample } from '../../src/passes/sample.ts';
import { openLedger } from '../../src/record/ledger/open.ts';
import { idOf } from './host.ts';

/*
 * A host that lives through days in seconds: containers with a true activity, a wall clock that may be wrong, a scheduler
 * that may be dead for a while, and the real passes, rules and ledger on top. Times of the world are true milliseconds
 * since its beginning; what passes see is the wall clock.
 */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const BEGIN = Date.UTC(2026, 9, 1);

/** From, until, and what happened; true milliseconds. */
export interface Span {
  readonly from: number;
  readonly until: number;
}

export interface WorldContainer {
  readonly name: string;
  readonly n: number;
  readonly createdAt: number;
  /** When it was started, and when started again. */
  readonly starts: readonly number[];
  /** When somebody took it away; Infinity: never. */
  readonly removedAt: number;
  /** One core busy. */
  readonly cpu: readonly Span[];
  /** Its device busy, with nothing else to be seen of it. */
  readonly gpu: readonly Span[];
  readonly network: readonly Span[];
  /** Its counters cannot be read. */
  readonly unread: readonly Span[];
  readonly labels: Readonly<Record<string, string>>;
  readonly claims: boolean;
  readonly keeps: readonly { readonly at: number; readonly forMs: number }[];
}

export interface World {
  readonly days: number;
  readonly containers: readonly WorldContainer[];
  /** No pass runs. */
  readonly dead: readonly Span[];
  /** The wall clock is wrong by this much. */
  readonly wrong: readonly (Span & { readonly byMs: number })[];
  readonly reboots: readonly number[];
  readonly limitsConfigured: boolean;
  /** Not given: nothing is ever too much. */
  readonly budgets?: PassParts['budgets'];
  /** When an admin runs every pass with --over-budget. */
  readonly overBudget?: readonly Span[];
}

/** One thing that gpuctl did, with the pass that did it. */
export interface Deed {
  readonly what: 'stop' | 'remove' | WarningStage;
  readonly kind: 'idle' | 'runtime' | 'leftover';
  readonly n: number;
  readonly at: number;
  readonly startedAt: number | null;
  readonly pass: number;
  readonly job: Job;
}

export interface Lived {
  readonly deeds: readonly Deed[];
  /** True times of all passes. */
  readonly passes: readonly number[];
  /** What the breaker told, and when. */
  readonly trips: readonly { readonly at: number; readonly job: Job; readonly facts: GpuctlEvent['facts'] }[];
}

/** Every container is uid 1000's, and this is called with what he may read after each pass: of his own, and what everybody may. */
export type Reader = (pass: { readonly at: number; readonly job: Job; readonly why: object | undefined; readonly everybody: object | null }) => void;

export const exampleContainer: WorldContainer = {
  name: 'job', n: 1, createdAt: 0, starts: [0], removedAt: Infinity, cpu: [], gpu: [], network: [], unread: [], labels: {}, claims: true, keeps: [],
};

export const exampleWorld: World = { days: 1, containers: [exampleContainer], dead: [], wrong: [], reboots: [], limitsConfigured: true };

/** Start of the minute of each job, and what it runs. */
const MINUTES: readonly (readonly [number, Job])[] = [
  ...[2, 7, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57].map((minute) => [minute, 'sample'] as const),
  [20, 'check-idle'], [35, 'enforce-runtime'], [50, 'cleanup-containers'],
];
const STORIES = { sample, 'check-idle': checkIdle, 'enforce-runtime': enforceRuntime, 'cleanup-containers': cleanupContainers } as const;

const covers = (spans: readonly Span[], at: number): boolean => spans.some(({ from, until }) => from <= at && at < until);
const overlap = (spans: readonly Span[], from: number, until: number): number => spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.until, until) - Math.max(span.from, from)), 0);

export const config: Config = defaultConfig();

/** Lives through the whole world, pass by pass. */
export async function live(world: World, reader?: Reader): Promise<Lived> {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'gpuctl-month-'));
  const state = { true: 0, pass: 0, job: 'sample' as Job, everybody: null as object | null };
  const wall = (at: number): number => BEGIN + at + (world.wrong.find((span) => covers([span], at))?.byMs ?? 0);
  const now = (): number => wall(state.true);
  const ledger = openLedger({ file: join(dir, 'ledger.db'), now, mode: 'write' });
  const stopped = new Map<number, number>();
  const removed = new Set<number>();
  const deeds: Deed[] = [];
  const passes: number[] = [];
  const trips: Lived['trips'][number][] = [];
  const alive = (): readonly WorldContainer[] => world.containers.filter((each) => each.createdAt <= state.true && state.true < each.removedAt && !removed.has(each.n));
  const seen = (each: WorldContainer): InspectedContainer => inspected(each, { world, at: state.true, stoppedAt: stopped.get(each.n) ?? null, wall });
  const deed = (what: Deed['what'], kind: Deed['kind'], target: ContainerTarget): void => {
    const container = world.containers.find((each) => idOf(each.n) === target.containerId);
    if (container !== undefined) deeds.push({ what, kind, n: container.n, at: state.true, startedAt: target.startedAt, pass: state.pass, job: state.job });
  };
  const kind = (): 'idle' | 'runtime' => (state.job === 'enforce-runtime' ? 'runtime' : 'idle');
  const { recordWarning } = ledger.limits;
  const parts: PassParts = {
    host: 'gpu01', stopping: () => null, actor: null, ownerOf: () => 'somebody', ledger,
    sink: { emit: ({ action, facts }) => { if (action === 'breaker.tripped') trips.push({ at: state.true, job: state.job, facts }); } },
    ...(reader !== undefined && { users: { uidOf: () => 1000, requests: { take: () => ({ requests: [], refused: [] }) }, exports: { writePublic: (value) => { state.everybody = value; }, writeWhys: (byUid) => { reader({ at: state.true, job: state.job, why: byUid.get(1000), everybody: state.everybody }); } } } }),
    clock: { now, monotonicMs: () => state.true, sleep: async () => {}, boot: () => bootClock(world, state.true) },
    observer: { observe: async () => snapshotAt(alive().map((each) => ({ each, container: seen(each) })), { world, at: state.true, takenAt: now() }), look: notAsked, glance: notAsked },
    budgets: world.budgets ?? { stop: { count: 1000, sharePercent: null }, remove: { count: 1000, sharePercent: null } },
    policy: {
      permit: { uids: new Set(), units: [], names: [] }, deviceLabels: [], confirmAfterMs: 2000, toleranceMiB: 1024,
      rulesOf: () => ({ gpuHoldAfterStopMs: 0, createdTimeoutMs: null, protected: false, infrastructure: false }),
      reset: { policy: 'never', cooldownMs: 0, maxPerDay: 1 },
      limits: limitPolicyOf({ config, configured: { limits: world.limitsConfigured, leftovers: false } }, { nameOf: () => null, uidOf: () => null, groupsOf: () => [] }),
    },
    limits: {
      ledger: { ...ledger.limits, recordWarning: (warning) => { recordWarning(warning); deed(warning.stage, warning.kind, { kind: 'container', containerId: warning.containerId, containerName: '', startedAt: warning.startedAt, owner: null }); } },
      activity: { counters: async (containers) => containers.flatMap((each) => alive().filter((one) => idOf(one.n) === each.id).map((one) => countersAt(one, seen(one), { world, at: state.true }))) },
      actor: {
        stopContainer: async (target) => {
          deed('stop', kind(), target);
          const one = alive().find((each) => idOf(each.n) === target.containerId);
          if (one !== undefined) stopped.set(one.n, state.true);
          return { result: 'done', reason: null, detail: '' };
        },
        removeContainer: async (target) => {
          deed('remove', 'leftover', target);
          const one = alive().find((each) => idOf(each.n) === target.containerId);
          if (one !== undefined) removed.add(one.n);
          return { result: 'done', reason: null, detail: '' };
        },
      },
      notifier: null,
      nextRun: async () => null,
    },
  };
  for (const [at, job] of scheduleOf(world)) {
    state.true = at; state.pass += 1; state.job = job;
    for (const wish of wishesAt(world, { since: passes.at(-1) ?? -1, at, wall })) ledger.limits.recordKeepAlive(wish);
    passes.push(at);
    const story = STORIES[job as keyof typeof STORIES];
    const report: PassReport = await runPass(parts, { id: `pass-${String(state.pass).padStart(6, '0')}`, job, dryRun: false, acts: true, records: true, overBudget: covers(world.overBudget ?? [], at), devices: [] }, story);
    if (report.exit === 70) throw new Error('a bug');
  }
  ledger.close();
  rmSync(dir, { recursive: true });
  return { deeds, passes, trips };
}

/** The boot clock is never wrong. */
function bootClock(world: World, at: number): { readonly bootId: string; readonly uptimeMs: number } {
  return { bootId: bootAt({ world, at }), uptimeMs: at - Math.max(-HOUR, ...world.reboots.filter((each) => each <= at)) };
}

const notAsked = async (): Promise<never> => { throw new Error('no process is ever asked about'); };

function scheduleOf({ days, dead }: World): readonly (readonly [number, Job])[] {
  const hours = Array.from({ length: days * 24 }, (_, hour) => hour * HOUR);
  return hours.flatMap((hour) => MINUTES.map(([minute, job]) => [hour + minute * MINUTE, job] as const)).filter(([at]) => !covers(dead, at)).toSorted(([a], [b]) => a - b);
}

function wishesAt({ containers }: World, { since, at, wall }: { readonly since: number; readonly at: number; readonly wall: (at: number) => number }): readonly KeepAlive[] {
  return containers.flatMap((each) => each.keeps.filter((keep) => keep.at > since && keep.at <= at).flatMap((keep) => {
    const start = lastStart(each, at, []);
    return start === null ? [] : [{ containerId: idOf(each.n), startedAt: BEGIN + start, uid: 1000, askedAt: wall(at), until: wall(at) + keep.forMs }];
  }));
}

/** A reboot starts what ran before it again. */
export function lastStart({ starts }: WorldContainer, at: number, reboots: readonly number[]): number | null {
  const first = Math.min(...starts);
  const all = [...starts, ...reboots.filter((each) => each > first)].filter((each) => each <= at);
  return all.length === 0 ? null : Math.max(...all);
}

interface Moment {
  readonly world: World;
  readonly at: number;
}

function inspected(each: WorldContainer, { world, at, stoppedAt, wall }: Moment & { readonly stoppedAt: number | null; readonly wall: (at: number) => number }): InspectedContainer {
  const start = lastStart(each, at, world.reboots);
  const over = stoppedAt !== null && (start === null || stoppedAt >= start);
  const state = start === null ? 'created' : over ? 'exited' : 'running';
  return {
    inspected: true, id: idOf(each.n), name: each.name, image: 'bb', state, pid: state === 'running' ? 1000 + each.n : null,
    createdAt: wall(each.createdAt), startedAt: start === null ? null : BEGIN + start, finishedAt: over ? wall(stoppedAt) : null,
    labels: each.labels, env: [], runtime: null, privileged: false, deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null,
    deviceRequests: each.claims ? [{ driver: '', count: 0, deviceIds: [uuidOf(each.n)], capabilities: [['gpu']] }] : [],
  };
}

function uuidOf(n: number): string {
  return `GPU-${n.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
}

function bootAt({ world, at }: Moment): string {
  return `boot-${world.reboots.filter((each) => each <= at).length}`;
}

/** Counters since the start of this run: they begin anew with it. */
function countersAt(each: WorldContainer, container: InspectedContainer, { world, at }: Moment): ContainerCounters {
  const start = lastStart(each, at, world.reboots) ?? at;
  const reading = (value: number): Reading<number> => (covers(each.unread, at) ? misread('no') : read(value));
  return { containerId: container.id, startedAt: container.startedAt, cpuNs: reading(overlap(each.cpu, start, at) * 1e6), networkBytes: reading(overlap(each.network, start, at) * 1000) };
}

const NONE: Omit<Gpu, 'uuid' | 'index' | 'pciBusId' | 'minorNumber' | 'utilizationPercent' | 'processes'> = { migDevices: [], name: 'A100', totalMiB: read(80_000), usedMiB: unsupported, displayActive: read(false), persistence: read(true), computeMode: read('Default'), eccCurrent: read(true), eccPending: read(true), powerLimitW: read(400), recovery: read('none'), repairPending: read(false), remapFailed: read(false), temperatureC: read(30), faults: [], migCurrent: unsupported, migPending: unsupported };

/** A device for each container, and so many that nobody claims that demand is not high. */
function snapshotAt(pairs: readonly { readonly each: WorldContainer; readonly container: InspectedContainer }[], { world, at, takenAt }: Moment & { readonly takenAt: number }): Snapshot {
  const running = pairs.filter(({ container }) => container.state === 'running');
  const gpus = Array.from({ length: Math.ceil(world.containers.length * 1.3) + 1 }, (_, index): Gpu => {
    const mine = running.find(({ each }) => each.n === index);
    return {
      ...NONE, uuid: uuidOf(index), index, pciBusId: `00000000:${index.toString(16).padStart(2, '0')}:00.0`, minorNumber: index,
      utilizationPercent: read(mine !== undefined && covers(mine.each.gpu, at) ? 90 : 0),
      processes: { state: 'known', processes: mine === undefined || !mine.each.claims ? [] : [{ pid: 1000 + mine.each.n, type: 'C', name: 'python', usedMiB: 100, gpuInstanceId: null, computeInstanceId: null }] },
    };
  });
  return {
    host: 'gpu01', takenAt,
    driver: complete({ driverVersion: '550', attachedGpus: gpus.length, gpus }),
    engine: complete({ kind: 'docker', engineId: 'E', version: '1', containers: pairs.map(({ container }) => container), answers: [] }),
    processes: complete({
      bootId: bootAt({ world, at }), ownPids: [1], holders: [], shims: [],
      listed: running.map(({ each }) => ({ state: 'present', pid: 1000 + each.n, startTicks: 1, runState: 'S', parentPid: 1, uid: 0, command: 'python', cgroups: [`/docker/${idOf(each.n)}`], pidNamespace: 'other' })),
    }),
  };
}
