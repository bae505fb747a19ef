import fc, { type Arbitrary } from 'fast-check';
import { defaultConfig } from '../../src/config/defaults.ts';
import type { Config } from '../../src/config/types.ts';
import type { Container, ContainerState, InspectedContainer } from '../../src/model/container.ts';
import { misread, read, unsupported } from '../../src/model/reading.ts';
import type { Allocation, History } from '../../src/model/history.ts';
import type { Shim } from '../../src/model/process.ts';
import { tried } from '../tally.ts';
import { claimOn, type ClaimKind, CLAIM_KINDS, HOSTILE_TEXTS } from './generate-claims.ts';
import { BOOT, ENGINE, gpuUuid, type GpuState, type HostState, idOf, idsIn, migUuid, noTrouble, OTHER_ENGINE, plainContainer, type ProcessState, type Trouble } from './host.ts';

/*
 * Whole hosts, biased so that the interesting cases occur: processes whose container is gone, devices that are dirty and
 * free, allocations past their hold. A test holds these frequencies, since a property about acts that never occur says nothing.
 */

const NOW = Date.UTC(2026, 10, 22, 9, 5);
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** Ids that no container of the list has: the engine once had these … */
export const GONE_KNOWN = [idOf(80), idOf(81), idOf(82)];
/** … and never had these. */
export const GONE_STRANGE = [idOf(90), idOf(91)];

export interface World {
  readonly host: HostState;
  readonly history: History;
  readonly config: Config;
  readonly now: number;
}

/** `usually` most of the time, else one of the others. */
function mostly<T>(usually: T, others: readonly T[], weight = 9): Arbitrary<T> {
  return fc.oneof({ weight, arbitrary: fc.constant(usually) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
}

function gpuState(n: number): Arbitrary<GpuState> {
  return fc.record({
    index: mostly<number | null>(n, [null], 40),
    minorNumber: mostly<number | null>(n, [null], 40),
    mig: mostly<GpuState['mig']>('no', ['yes', 'yes', 'unsupported', 'absent', 'error'], 4),
    migPending: mostly<GpuState['migPending']>('no', ['yes', 'absent', 'error'], 30),
    migCount: fc.integer({ min: 1, max: 4 }),
    migNamed: mostly(true, [false], 6),
    display: mostly<GpuState['display']>('no', ['yes', 'absent', 'unsupported', 'error'], 12),
    recovery: fc.oneof(
      { weight: 12, arbitrary: fc.constant(read('none' as const)) },
      { weight: 5, arbitrary: fc.constant(read('reset' as const)) },
      { weight: 2, arbitrary: fc.constantFrom(read('drain-and-reset' as const), read('reboot' as const), read('drain-p2p' as const), read('other' as const), unsupported, misread('Unknown Error')) },
    ),
    repairPending: mostly<GpuState['repairPending']>('no', ['yes', 'absent', 'unsupported', 'error'], 8),
    unexplainedMiB: fc.constantFrom(3, 3, 3, 1024, 1025, 4096, 30_000, null),
    listUnknown: mostly<string | null>(null, ['-q -x and --query-compute-apps differ'], 12),
    faults: mostly<readonly string[]>([], [['Unknown Error'], ['GPU is lost'], ['GPU requires reset']], 30),
  }).map(({ migCount, migNamed, ...rest }): GpuState => ({
    ...rest,
    uuid: gpuUuid(n),
    pciBusId: `00000000:${(n + 16).toString(16)}:00.0`,
    migDevices: rest.mig !== 'yes' ? [] : Array.from({ length: migCount }, (_, at) => ({
      uuid: migNamed ? migUuid(n, at) : null, index: at, profile: '1g.10gb', gpuInstanceId: at + 7, computeInstanceId: 0, totalMiB: read(9728), usedMiB: read(10),
    })),
  }));
}

const settled: readonly ContainerState[] = ['exited', 'exited', 'exited', 'dead', 'created'];
const alive: readonly ContainerState[] = ['running', 'running', 'running', 'paused', 'restarting', 'removing', 'unknown'];
const AGES_MS = [-HOUR, 0, 1000, MINUTE, 14 * MINUTE, 15 * MINUTE, 16 * MINUTE, 31 * MINUTE, 20 * HOUR];

interface ContainerSpec {
  readonly state: ContainerState;
  readonly inspected: boolean;
  readonly claims: readonly { readonly kind: ClaimKind; readonly gpu: number; readonly mig: number }[];
  readonly stoppedFor: number | null;
  readonly createdFor: number | null;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly privileged: boolean;
}

const containerSpec: Arbitrary<ContainerSpec> = fc.record({
  state: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...settled) }, { weight: 2, arbitrary: fc.constantFrom(...alive) }),
  inspected: mostly(true, [false], 40),
  claims: fc.array(fc.record({ kind: fc.constantFrom(...CLAIM_KINDS), gpu: fc.nat(15), mig: fc.nat(3) }), { maxLength: 2 }),
  stoppedFor: mostly<number | null>(16 * MINUTE, [...AGES_MS, null], 1),
  createdFor: mostly<number | null>(HOUR, [...AGES_MS, null], 1),
  name: mostly('job', HOSTILE_TEXTS, 6),
  labels: mostly<Readonly<Record<string, string>>>({}, [{ 'gpuctl.protected': 'true' }, { 'ds01.protected': 'yes' }, { 'gpuctl.type': 'api' }, { 'gpuctl.type': 'devcontainer' }, { 'gpuctl.type': 'forever' }], 5),
  privileged: mostly(false, [true], 10),
});

function containerOf(spec: ContainerSpec, n: number, gpus: readonly GpuState[], now: number): Container {
  const id = idOf(n);
  if (!spec.inspected) return { inspected: false, id, name: spec.name, state: spec.state, why: 'its inspect is malformed' };
  const started = spec.state === 'created' ? null : now - 24 * HOUR + n;
  const base = plainContainer(id, {
    name: `${spec.name}-${n}`, state: spec.state, pid: alive.includes(spec.state) && spec.state !== 'restarting' ? 500 + n : null,
    createdAt: spec.createdFor === null ? null : now - spec.createdFor, startedAt: started,
    finishedAt: spec.stoppedFor === null || alive.includes(spec.state) ? null : now - spec.stoppedFor,
    labels: spec.labels, privileged: spec.privileged,
  });
  return spec.claims.reduce<InspectedContainer>((container, { kind, gpu, mig }) => claimOn(container, kind, gpus[gpu % Math.max(1, gpus.length)], mig), base);
}

/** Whose a process is, as its cgroup tells. */
const OWNERS = ['gone-known', 'gone-known', 'gone-known', 'gone-strange', 'container', 'container', 'container', 'nested', 'foreign-nested', 'other-manager', 'rootless', 'unit', 'permitted-unit', 'bare', 'odd-path', 'unreadable'] as const;
const MANAGERS = ['/kubepods.slice/kubepods-burstable.slice/pod1/', '/machine.slice/libpod-', '/lxc.payload.box/', '/slurm/uid_1000/job_7/', '/system.slice/slurmstepd.scope/job_7/', '/machine.slice/machine-qemu/', '/user.slice/user-1000.slice/session-3.scope/', '/nerdctl-x/', '/kubepods/besteffort/cri-containerd-'];

interface ProcessSpec {
  readonly owner: (typeof OWNERS)[number];
  readonly which: number;
  readonly systemd: boolean;
  readonly gpus: readonly number[];
  readonly type: 'C' | 'G' | 'C+G' | 'M+C' | 'M+C+G' | 'other';
  readonly usedMiB: number | null;
  readonly runState: string;
  readonly uid: number | null;
  readonly command: string;
  readonly title: string;
  readonly pidNamespace: 'host' | 'other' | 'unknown';
  readonly presence: ProcessState['presence'];
  readonly hasShim: boolean;
  readonly listed: boolean;
  readonly holdsNode: boolean;
}

const processSpec: Arbitrary<ProcessSpec> = fc.record({
  owner: fc.constantFrom(...OWNERS),
  which: fc.nat(15),
  systemd: fc.boolean(),
  gpus: fc.oneof({ weight: 5, arbitrary: fc.tuple(fc.nat(15)) }, { weight: 1, arbitrary: fc.array(fc.nat(15), { minLength: 2, maxLength: 3 }) }),
  type: mostly<ProcessSpec['type']>('C', ['G', 'C+G', 'M+C', 'M+C', 'M+C', 'M+C+G', 'other'], 3),
  usedMiB: mostly<number | null>(2048, [null, 0], 8),
  runState: mostly('S', ['R', 'D', 'Z', 'T', 'X'], 14),
  uid: fc.constantFrom(0, 0, 1000, 4242, null),
  command: mostly('python3', ['nvidia-persiste', 'nvidia-persiste', 'nv-hostengine', 'Xorg', 'nvidia-cuda-mps'], 5),
  title: mostly('python3 train.py', HOSTILE_TEXTS, 6),
  pidNamespace: mostly<ProcessSpec['pidNamespace']>('host', ['other', 'unknown'], 3),
  presence: mostly<ProcessState['presence']>('present', ['absent', 'absent', 'unreadable', 'unread'], 9),
  hasShim: mostly(false, [true], 12),
  listed: mostly(true, [false], 6),
  holdsNode: fc.boolean(),
});

function cgroupsOf({ owner, which, systemd }: ProcessSpec, containers: readonly Container[]): readonly string[] | null {
  const pathOf = (id: string): string => (systemd ? `/system.slice/docker-${id}.scope` : `/docker/${id}`);
  const pick = (ids: readonly string[]): string => ids[which % ids.length] ?? idOf(99);
  const own = containers.length === 0 ? GONE_KNOWN : containers.map(({ id }) => id);
  switch (owner) {
    case 'gone-known': return [pathOf(pick(GONE_KNOWN)), '/'];
    case 'gone-strange': return [pathOf(pick(GONE_STRANGE))];
    case 'container': return ['/', pathOf(pick(own))];
    case 'nested': return [`${pathOf(pick(GONE_KNOWN))}${pathOf(pick(own))}`];
    case 'foreign-nested': return [`${pathOf(pick(own))}${pathOf(pick(GONE_STRANGE))}`];
    case 'other-manager': return [`${pick(MANAGERS)}${pathOf(pick(GONE_KNOWN))}`];
    case 'rootless': return [`/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${pick(GONE_KNOWN)}.scope`];
    case 'unit': return ['/system.slice/ollama.service'];
    case 'permitted-unit': return [pick(['/system.slice/nvidia-dcgm.service', '/system.slice/nvidia-persistenced.service', `/docker/${pick(own)}/system.slice/nvidia-persistenced.service`, '/user.slice/user-1000.slice/user@1000.service/app.slice/nvidia-persistenced.service'])];
    case 'bare': return ['/'];
    case 'odd-path': return [pick([`/foo/${pick(own)}`, `/docker/${pick(GONE_KNOWN)}ff`, `/docker/x${pick(GONE_KNOWN)}`, `/docker/${pick(GONE_KNOWN).slice(1)}`])];
    case 'unreadable': return null;
  }
}

function processOf(spec: ProcessSpec, n: number, containers: readonly Container[], gpuCount: number): ProcessState {
  const on = gpuCount === 0 ? [] : [...new Set(spec.gpus.map((gpu) => gpu % gpuCount))];
  return {
    pid: 1000 + n, startTicks: 5000 + n, runState: spec.runState, uid: spec.uid, command: spec.command, title: spec.title,
    cgroups: cgroupsOf(spec, containers), pidNamespace: spec.pidNamespace, presence: spec.presence,
    rows: spec.listed ? on.map((gpu) => ({ gpu, type: spec.type, usedMiB: spec.usedMiB })) : [],
    // A compute process has its node open; who is not listed is here because of its node alone.
    holds: spec.holdsNode || !spec.listed ? on : [],
  };
}

const trouble: Arbitrary<Trouble> = fc.record({
  driver: mostly<Trouble['driver']>('none', ['partial', 'failed'], 20),
  proc: mostly<Trouble['proc']>('none', ['partial', 'failed'], 20),
  engine: mostly<Trouble['engine']>('none', ['failed'], 30),
  listed: mostly<Trouble['listed']>('none', ['failed', 'unattributed', 0, 1], 12),
  shims: mostly<Trouble['shims']>('none', ['partial', 'failed'], 24),
});

interface HostSpec {
  readonly containers: readonly ContainerSpec[];
  readonly processes: readonly ProcessSpec[];
  readonly trouble: Trouble;
  readonly engine: HostState['engine'];
  readonly odd: readonly { readonly which: number; readonly answer: 'failed' | 'running' | 'exited' | 'not-found' }[];
  readonly ownPid: number | null;
}

const hostSpec: Arbitrary<HostSpec> = fc.record({
  containers: fc.oneof({ weight: 2, arbitrary: fc.array(containerSpec, { maxLength: 2 }) }, { weight: 1, arbitrary: fc.array(containerSpec, { maxLength: 7 }) }),
  processes: fc.oneof({ weight: 2, arbitrary: fc.array(processSpec, { maxLength: 2 }) }, { weight: 1, arbitrary: fc.array(processSpec, { maxLength: 8 }) }),
  trouble: fc.oneof({ weight: 3, arbitrary: fc.constant(noTrouble) }, { weight: 1, arbitrary: trouble }),
  engine: mostly<HostState['engine']>({ kind: 'docker', engineId: ENGINE }, [{ kind: 'docker', engineId: OTHER_ENGINE }, { kind: 'podman', engineId: null }], 20),
  odd: fc.oneof({ weight: 8, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.record({ which: fc.nat(4), answer: fc.constantFrom('failed', 'running', 'exited', 'not-found') }), { minLength: 1, maxLength: 2 }) }),
  ownPid: mostly<number | null>(null, [1000, 1001], 10),
});

const gpuCount = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 16 }) });

/** A host of 0 to 16 GPUs at this instant. */
export function hostState(now = NOW): Arbitrary<HostState> {
  const gpuStates = gpuCount.chain((count) => fc.tuple(...Array.from({ length: count }, (_, n) => gpuState(n))));
  return fc.tuple(gpuStates, hostSpec).map(([gpus, spec]) => buildHost(gpus, spec, now));
}

function buildHost(gpus: readonly GpuState[], spec: HostSpec, now: number): HostState {
  const containers = spec.containers.map((each, n) => containerOf(each, n, gpus, now));
  const processes = spec.processes.map((each, n) => processOf(each, n, containers, gpus.length));
  const gone = [...GONE_KNOWN, ...GONE_STRANGE];
  return {
    bootId: BOOT, gpus, containers, processes, trouble: spec.trouble, engine: spec.engine,
    ownPids: [...(spec.ownPid === null ? [] : [spec.ownPid]), 1],
    shims: shimsOf(spec.processes, processes, containers),
    oddAnswers: spec.odd.map(({ which, answer }) => ({ id: gone[which] ?? idOf(80), answer })),
  };
}

/** A container that runs has its shim; a process that says so has one for each id that its cgroup names. */
function shimsOf(specs: readonly ProcessSpec[], processes: readonly ProcessState[], containers: readonly Container[]): readonly Shim[] {
  const running = containers.filter(({ state }) => state === 'running' || state === 'paused').map(({ id }, n): Shim => ({ pid: 600 + n, containerIds: [id] }));
  const extra = processes.flatMap((process, n): readonly Shim[] => (specs[n]?.hasShim === true ? [{ pid: 700 + n, containerIds: idsIn(process.cgroups) }] : []));
  return [...running, ...extra];
}

interface HistorySpec {
  readonly engineId: 'same' | string | null;
  readonly firstPassFor: number | null;
  readonly allocations: readonly { readonly which: number; readonly gpu: number; readonly fate: 'open' | 'open' | 'released'; readonly sameRun: boolean }[];
  readonly gone: readonly { readonly which: number; readonly gpu: number }[];
  readonly resets: readonly { readonly gpu: number; readonly ago: number; readonly succeeded: boolean }[];
  readonly quarantined: readonly number[];
  readonly wants: readonly number[];
  readonly memory: readonly { readonly gpu: number; readonly ago: number; readonly unexplainedMiB: number }[];
  readonly baselines: readonly { readonly gpu: number; readonly usedMiB: number }[];
}

const historySpec: Arbitrary<HistorySpec> = fc.record({
  engineId: mostly<'same' | string | null>('same', [ENGINE, OTHER_ENGINE, null], 12),
  firstPassFor: mostly<number | null>(48 * HOUR, [null, null, null, 0, 5 * MINUTE, -HOUR], 4),
  allocations: fc.array(fc.record({ which: fc.nat(7), gpu: fc.nat(15), fate: fc.constantFrom('open', 'open', 'released'), sameRun: mostly(true, [false], 3) }), { maxLength: 8 }),
  gone: fc.array(fc.record({ which: fc.nat(2), gpu: fc.nat(15) }), { maxLength: 2 }),
  resets: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.record({ gpu: fc.nat(15), ago: fc.constantFrom(-HOUR, 1000, 5 * HOUR, 6 * HOUR, 7 * HOUR, 12 * HOUR, 23 * HOUR, 25 * HOUR), succeeded: fc.boolean() }), { maxLength: 6 }) }),
  quarantined: fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.nat(15), { minLength: 1, maxLength: 2 }) }),
  wants: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.nat(3), { minLength: 1, maxLength: 2 }) }),
  memory: fc.array(fc.record({ gpu: fc.nat(3), ago: fc.constantFrom(-HOUR, MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE), unexplainedMiB: fc.constantFrom(0, 4096, 4096, 4096) }), { maxLength: 8 }),
  baselines: fc.array(fc.record({ gpu: fc.nat(3), usedMiB: fc.constantFrom(0, 500, 2000) }), { maxLength: 2 }),
});

function historyOf(spec: HistorySpec, host: HostState, now: number): History {
  const uuidOf = (gpu: number): string => gpuUuid(gpu % Math.max(1, host.gpus.length));
  const allocation = (containerId: string, gpu: number, more: Partial<Allocation>): Allocation => ({
    containerId, containerName: 'job', startedAt: null, gpuUuid: uuidOf(gpu), migUuid: null, owner: null, observedAt: now - 25 * HOUR, releasedAt: null, releaseReason: null, ...more,
  });
  const held = spec.allocations.flatMap(({ which, gpu, fate, sameRun }) => {
    const container = host.containers[which];
    if (container === undefined) return [];
    const startedAt = container.inspected && sameRun ? container.startedAt : now - 30 * HOUR;
    return [allocation(container.id, gpu, { startedAt, ...(fate === 'released' ? { releasedAt: now - MINUTE, releaseReason: 'hold-expired' as const } : {}) })];
  });
  const vanished = spec.gone.map(({ which, gpu }) => allocation(GONE_KNOWN[which] ?? idOf(80), gpu, { startedAt: now - 30 * HOUR }));
  return {
    firstPassAt: spec.firstPassFor === null ? null : now - spec.firstPassFor,
    engineId: spec.engineId === 'same' ? host.engine.engineId : spec.engineId,
    knownContainerIds: [...host.containers.map(({ id }) => id), ...GONE_KNOWN],
    allocations: distinct([...held, ...vanished]),
    resets: spec.resets.map(({ gpu, ago, succeeded }) => ({ gpuUuid: uuidOf(gpu), at: now - ago, succeeded })),
    quarantined: [...new Set(spec.quarantined.map(uuidOf))],
    resetWants: [...new Set(spec.wants.map(uuidOf))].map((each) => ({ gpuUuid: each, reason: 'dirty-memory', since: now - HOUR })),
    memory: spec.memory.map(({ gpu, ago, unexplainedMiB }) => ({ gpuUuid: uuidOf(gpu), at: now - ago, usedMiB: unexplainedMiB, unexplainedMiB })).filter((each, at, all) => all.findIndex((other) => other.gpuUuid === each.gpuUuid && other.at === each.at) === at).toSorted((a, b) => a.at - b.at),
    baselines: spec.baselines.map(({ gpu, usedMiB }) => ({ gpuUuid: uuidOf(gpu), usedMiB })).filter((each, at, all) => all.findIndex(({ gpuUuid: other }) => other === each.gpuUuid) === at),
  };
}

/** As in the ledger, one a run of a container and device. */
function distinct(allocations: readonly Allocation[]): readonly Allocation[] {
  const byKey = new Map(allocations.map((each) => [[each.containerId, each.startedAt, each.gpuUuid].join(), each]));
  return [...byKey.values()];
}

const configuration: Arbitrary<Config> = fc.record({
  policy: mostly<Config['reset']['policy']>('when-dirty', ['after-orphans', 'never'], 12),
  holdMs: mostly<number | null>(15 * MINUTE, [0, null, 24 * HOUR], 3),
  createdTimeoutMs: mostly<number | null>(30 * MINUTE, [null, MINUTE], 8),
  permittedUser: fc.boolean(),
}).map(({ policy, holdMs, createdTimeoutMs, permittedUser }) => {
  const base = defaultConfig();
  const { orphans, limits } = base;
  const config: Config = {
    ...base,
    reset: { ...base.reset, policy },
    leftovers: { ...base.leftovers, createdTimeoutMs },
    limits: { ...limits, default: { ...limits.default, gpuHoldAfterStopMs: holdMs }, types: { ...limits.types, forever: { gpuHoldAfterStopMs: null } } },
    orphans: { ...orphans, permit: { ...orphans.permit, users: permittedUser ? ['4242'] : [] } },
  };
  // A counterexample shows what was chosen, not every default.
  return Object.defineProperty(config, fc.toStringMethod, { value: () => JSON.stringify({ policy, holdMs, createdTimeoutMs, permittedUser }) });
});

/** A host, what the ledger remembers of it, and what the configuration says. */
export const world: Arbitrary<World> = fc.tuple(hostState(), historySpec, configuration).map(([host, history, config]) => {
  tried('hosts');
  return { host, history: historyOf(history, host, NOW), config, now: NOW };
});

/** How many runs a property has. PROPERTY_RUNS=20 makes every one twenty times as thorough. */
export function runs(usual: number): { readonly numRuns: number } {
  const factor = Number(process.env['PROPERTY_RUNS'] ?? 1);
  return { numRuns: Math.max(1, Math.round(usual * (Number.isFinite(factor) && factor > 0 ? factor : 1))) };
}

