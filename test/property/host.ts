import type { Container, ContainerState, EngineAnswer, InspectedContainer } from '../../src/model/container.ts';
import type { Gpu, GpuProcess, GpuProcessType } from '../../src/model/device.ts';
import { complete, failed, observed, type Observed } from '../../src/model/observation.ts';
import type { HostProcess, NodeHolder, PresentProcess, Shim } from '../../src/model/process.ts';
import { absent, misread, read, type Reading, unsupported } from '../../src/model/reading.ts';
import type { ProcessLook, Snapshot } from '../../src/model/snapshot.ts';

/*
 * A host as it is, and what an observer sees of it. Two looks at one host agree; a host that was changed between them
 * gives two looks that differ as real ones do.
 */

export const ENGINE = 'ENGN:OURS';
export const OTHER_ENGINE = 'ENGN:THEIRS';
export const BOOT = '11111111-2222-3333-4444-555555555555';

/** A reading in one word: what generators choose from. */
export type Word = 'yes' | 'no' | 'absent' | 'unsupported' | 'error';

export interface GpuState {
  readonly uuid: string;
  readonly index: number | null;
  readonly minorNumber: number | null;
  readonly pciBusId: string;
  readonly mig: Word;
  readonly migPending: Word;
  readonly migDevices: Gpu['migDevices'];
  readonly display: Word;
  readonly recovery: Gpu['recovery'];
  readonly repairPending: Word;
  /** MiB that no process explains; null: the driver does not say what is used. */
  readonly unexplainedMiB: number | null;
  /** Null: the process list is known. */
  readonly listUnknown: string | null;
  readonly faults: readonly string[];
}

export interface ProcessState {
  readonly pid: number;
  readonly startTicks: number;
  readonly runState: string;
  readonly uid: number | null;
  readonly command: string;
  readonly title: string;
  readonly cgroups: readonly string[] | null;
  readonly pidNamespace: PresentProcess['pidNamespace'];
  /** `unread`: the observer has no entry for it at all. */
  readonly presence: 'present' | 'absent' | 'unreadable' | 'unread';
  /** Where the driver lists it. */
  readonly rows: readonly { readonly gpu: number; readonly type: GpuProcessType; readonly usedMiB: number | null }[];
  /** Minor numbers of the nodes that it has open. */
  readonly holds: readonly number[];
}

export interface HostState {
  readonly bootId: string;
  readonly ownPids: readonly number[];
  readonly gpus: readonly GpuState[];
  readonly containers: readonly Container[];
  readonly processes: readonly ProcessState[];
  readonly shims: readonly Shim[];
  readonly engine: { readonly kind: 'docker' | 'podman'; readonly engineId: string | null };
  /** Ids of which the engine's answer by id is not what its list says: the engine is confused, or busy. */
  readonly oddAnswers: readonly { readonly id: string; readonly answer: EngineAnswer['answer'] }[];
  readonly trouble: Trouble;
}

/** What cannot be seen. */
export interface Trouble {
  readonly driver: 'none' | 'partial' | 'failed';
  readonly proc: 'none' | 'partial' | 'failed';
  readonly engine: 'none' | 'failed';
  /** Of the short compute list alone; a number: the device whose rows are missing. */
  readonly listed: 'none' | 'failed' | 'unattributed' | number;
  readonly shims: 'none' | 'partial' | 'failed';
}

export const noTrouble: Trouble = { driver: 'none', proc: 'none', engine: 'none', listed: 'none', shims: 'none' };

/** A full container id; equal numbers give equal ids. */
export function idOf(n: number): string {
  return (n + 160).toString(16).padStart(2, '0').repeat(32).slice(0, 64);
}

export function gpuUuid(n: number): string {
  const digit = n.toString(16);
  return `GPU-${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}`;
}

export function migUuid(gpu: number, n: number): string {
  return `MIG-${gpu.toString(16).repeat(8)}-0000-4000-9000-${n.toString(16).repeat(12)}`;
}

function reading(word: Word): Reading<boolean> {
  switch (word) {
    case 'yes': return read(true);
    case 'no': return read(false);
    case 'absent': return absent;
    case 'unsupported': return unsupported;
    case 'error': return misread('Unknown Error');
  }
}

/** Everything, seen at one instant. */
export function snapshotOf(host: HostState, takenAt: number): Snapshot {
  return { host: 'gpu01', takenAt, driver: driverOf(host), processes: procOf(host), engine: engineOf(host) };
}

function driverOf(host: HostState): Snapshot['driver'] {
  if (host.trouble.driver === 'failed') return failed('timeout', 'nvidia-smi hung');
  const gpus = host.gpus.map((gpu, n) => gpuOf(gpu, n, host));
  const partial = host.trouble.driver === 'partial';
  const value = { driverVersion: '590.44', attachedGpus: gpus.length, gpus: partial ? gpus.slice(1) : gpus };
  return observed(value, partial && host.gpus[0] !== undefined ? [{ subject: host.gpus[0].pciBusId, why: 'it was not described' }] : []);
}

function gpuOf(gpu: GpuState, n: number, host: HostState): Gpu {
  const rows = rowsOn(n, host);
  const explained = rows.reduce((sum, row) => sum + (row.usedMiB ?? 0), 0);
  return {
    uuid: gpu.uuid, index: gpu.index, pciBusId: gpu.pciBusId, minorNumber: gpu.minorNumber, name: 'NVIDIA H100',
    migCurrent: reading(gpu.mig), migPending: reading(gpu.migPending), migDevices: gpu.migDevices,
    totalMiB: read(81_559), usedMiB: gpu.unexplainedMiB === null ? misread('Unknown Error') : read(gpu.unexplainedMiB + explained),
    utilizationPercent: read(0), displayActive: reading(gpu.display), persistence: read(true), computeMode: read('Default'),
    eccCurrent: read(true), eccPending: read(true), powerLimitW: read(700), recovery: gpu.recovery, repairPending: reading(gpu.repairPending),
    remapFailed: read(false), temperatureC: read(40),
    processes: gpu.listUnknown === null ? { state: 'known', processes: rows } : { state: 'unknown', why: gpu.listUnknown },
    faults: gpu.faults,
  };
}

function rowsOn(n: number, { processes }: HostState): readonly GpuProcess[] {
  return processes.flatMap(({ pid, title, rows }) => rows.filter(({ gpu }) => gpu === n).map(({ type, usedMiB }) => ({ pid, type, name: title, usedMiB, gpuInstanceId: null, computeInstanceId: null })));
}

function procOf(host: HostState): Snapshot['processes'] {
  const { trouble, bootId, ownPids, processes, shims, gpus } = host;
  if (trouble.proc === 'failed') return failed('untrusted', 'gpuctl does not run in the pid namespace of the host');
  const listed = processes.filter(({ rows, presence }) => presence !== 'unread' && rows.some(({ gpu }) => gpus[gpu]?.listUnknown === null));
  const holders = processes.filter(({ presence }) => presence === 'present' || presence === 'unread').flatMap(holdersOf);
  const hidden = processes.filter(({ presence }) => presence === 'unreadable').map(({ pid }) => ({ subject: `pid ${pid}`, why: 'hidden' }));
  const denied = trouble.proc === 'partial' ? [{ subject: 'holders', why: 'the open files of 3 processes are not readable' }] : [];
  return observed({ bootId, ownPids, listed: listed.map(seenProcess), holders, shims }, [...hidden, ...denied]);
}

function holdersOf({ pid, startTicks, command, uid, cgroups, holds }: ProcessState): readonly NodeHolder[] {
  return holds.map((minorNumber) => ({ minorNumber, pid, startTicks, command, uid, cgroups }));
}

function seenProcess(process: ProcessState): HostProcess {
  const { pid, startTicks, runState, uid, command, cgroups, pidNamespace, presence } = process;
  if (presence === 'absent') return { state: 'absent', pid };
  if (presence !== 'present') return { state: 'unreadable', pid, why: 'hidden' };
  return { state: 'present', pid, startTicks, runState, parentPid: 1, uid, command, cgroups, pidNamespace };
}

function engineOf(host: HostState): Snapshot['engine'] {
  if (host.trouble.engine === 'failed') return failed('timeout', 'the engine did not answer');
  const named = [...new Set(host.processes.flatMap(({ cgroups, presence }) => (presence === 'present' ? idsIn(cgroups) : [])))];
  const listed = new Set(host.containers.map(({ id }) => id));
  const answers = named.filter((id) => !listed.has(id)).map((id) => answerFor(host, id));
  const missing = host.containers.flatMap((each) => (each.inspected ? [] : [{ subject: each.id, why: each.why }]));
  return observed({ ...host.engine, version: '29.0.0', containers: host.containers, answers }, missing);
}

/** Every 64 hex digits, as the observer asks for them. */
export function idsIn(cgroups: readonly string[] | null): readonly string[] {
  return [...new Set((cgroups ?? []).flatMap((path) => path.match(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g) ?? []))];
}

function answerFor(host: HostState, id: string): EngineAnswer {
  const odd = host.oddAnswers.find((each) => each.id === id);
  if (odd !== undefined) return { containerId: id, answer: odd.answer, name: null };
  const container = host.containers.find((each) => each.id === id);
  if (container === undefined) return { containerId: id, answer: 'not-found', name: null };
  return { containerId: id, answer: container.inspected ? container.state : 'failed', name: container.name };
}

export interface LookRequest {
  readonly pids: readonly number[];
  readonly containerIds: readonly string[];
  readonly takenAt: number;
  /** True: the driver is not asked. */
  readonly glance: boolean;
}

/** A few pids, seen at one instant. */
export function lookAt(host: HostState, { pids, containerIds, takenAt, glance }: LookRequest): ProcessLook {
  const { trouble } = host;
  const blind = trouble.proc === 'failed';
  return {
    takenAt, bootId: blind ? null : host.bootId, ownPids: blind ? [] : host.ownPids,
    listed: glance ? failed('error', 'the driver was not asked') : listedBy(host),
    processes: pids.map((pid) => processBy(host, pid, blind)),
    shims: shimsBy(host),
    engine: trouble.engine === 'failed' ? failed('timeout', 'the engine did not answer') : complete(host.engine),
    answers: [...new Set([...containerIds, ...host.shims.flatMap(({ inContainers = [] }) => inContainers)])].map((id) => (trouble.engine === 'failed' ? { containerId: id, answer: 'failed', name: null } : answerFor(host, id))),
  };
}

function processBy(host: HostState, pid: number, blind: boolean): HostProcess {
  const process = host.processes.find((each) => each.pid === pid && each.presence !== 'unread');
  if (blind) return { state: 'unreadable', pid, why: '/proc' };
  return process === undefined ? { state: 'absent', pid } : seenProcess(process);
}

function shimsBy({ trouble, shims }: HostState): ProcessLook['shims'] {
  if (trouble.proc === 'failed' || trouble.shims === 'failed') return failed('error', '/proc');
  return observed(shims, trouble.shims === 'partial' ? [{ kind: 'shim', subject: 'pid 77', why: 'could be a container shim: EACCES' }] : []);
}

function listedBy({ trouble, processes, gpus }: HostState): ProcessLook['listed'] {
  if (trouble.listed === 'failed' || trouble.driver === 'failed') return failed('timeout', 'nvidia-smi hung');
  const blind = typeof trouble.listed === 'number' ? gpus[trouble.listed]?.uuid : undefined;
  const rows = processes.flatMap(({ pid, rows: its }) => its.filter(({ type }) => type.includes('C')).flatMap(({ gpu }) => {
    const uuid = gpus[gpu]?.uuid;
    return uuid === undefined || uuid === blind ? [] : [{ gpuUuid: uuid, pid }];
  }));
  if (trouble.listed === 'unattributed') return observed(rows, [{ subject: 'a row without a device', why: '[Unknown Error]' }]);
  return observed(rows, blind === undefined ? [] : [{ subject: blind, why: '[Unknown Error]' }]) satisfies Observed<unknown>;
}

/** A container with nothing special about it. */
export function plainContainer(id: string, more: Partial<InspectedContainer> = {}): InspectedContainer {
  return {
    inspected: true, id, name: `c-${id.slice(0, 6)}`, image: 'bb:1', state: 'running', pid: null, createdAt: null, startedAt: null, finishedAt: null,
    labels: {}, env: [], runtime: 'runc', privileged: false, deviceRequests: [], deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null, ...more,
  };
}

export type { ContainerState };
