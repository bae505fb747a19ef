import { defaultConfig } from '../../../src/config/defaults.ts';
import type { Config } from '../../../src/config/types.ts';
import type { Assessment } from '../../../src/decide/assess.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import { type Allocation, emptyHistory, type History } from '../../../src/model/history.ts';
import { read } from '../../../src/model/reading.ts';
import type { World } from '../../property/generate.ts';
import { BOOT, ENGINE, gpuUuid, type GpuState, type HostState, idOf, migUuid, noTrouble, plainContainer, type ProcessState } from '../../property/host.ts';
import { judged } from '../../property/rules.ts';

/*
 * One good case of everything; a test changes one field of it and says what becomes of it.
 */

export const NOW = Date.UTC(2026, 10, 22, 9, 5);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const GPU0 = gpuUuid(0);
export const GPU1 = gpuUuid(1);
export const MIG10 = migUuid(1, 0);
export const MIG11 = migUuid(1, 1);
/** A container that the engine once had. */
export const GONE = idOf(1);
/** One that it has. */
export const JOB = idOf(2);
/** One that it never had. */
export const STRANGE = idOf(3);

/** A healthy, idle board without MIG. */
export function gpuState(n: number, more: Partial<GpuState> = {}): GpuState {
  return {
    uuid: gpuUuid(n), index: n, minorNumber: n, pciBusId: `00000000:${(n + 16).toString(16)}:00.0`, mig: 'no', migPending: 'no', migDevices: [], display: 'no',
    recovery: read('none'), repairPending: 'no', unexplainedMiB: 3, listUnknown: null, faults: [], ...more,
  };
}

/** The same with two MIG devices. */
export function migState(n: number, more: Partial<GpuState> = {}): GpuState {
  const migDevices = [0, 1].map((at) => ({ uuid: migUuid(n, at), index: at, profile: '3g.40gb', gpuInstanceId: at + 1, computeInstanceId: 0, totalMiB: read(40_192), usedMiB: read(10) }));
  return gpuState(n, { mig: 'yes', migPending: 'yes', migDevices, ...more });
}

/** A compute process whose container is gone. */
export function orphan(more: Partial<ProcessState> = {}): ProcessState {
  return {
    pid: 4711, startTicks: 99, runState: 'S', uid: 1000, command: 'python3', title: 'python3 train.py', cgroups: [`/docker/${GONE}`], pidNamespace: 'host', presence: 'present',
    rows: [{ gpu: 0, type: 'C', usedMiB: 2048 }], holds: [0], ...more,
  };
}

export function hostOf(more: Partial<HostState> = {}): HostState {
  return {
    bootId: BOOT, ownPids: [1, 50, 51], gpus: [gpuState(0), gpuState(1)], containers: [], processes: [], shims: [], engine: { kind: 'docker', engineId: ENGINE }, oddAnswers: [], trouble: noTrouble, ...more,
  };
}

export function historyOf(more: Partial<History> = {}): History {
  return { ...emptyHistory, firstPassAt: NOW - 48 * HOUR, engineId: ENGINE, knownContainerIds: [GONE, JOB], ...more };
}

/** A container that ran until a quarter of an hour and a minute ago. */
export function stopped(more: Partial<InspectedContainer> = {}): InspectedContainer {
  return plainContainer(JOB, { name: 'job', state: 'exited', createdAt: NOW - 3 * HOUR, startedAt: NOW - 3 * HOUR, finishedAt: NOW - 16 * MINUTE, ...more });
}

export function runningJob(more: Partial<InspectedContainer> = {}): InspectedContainer {
  return plainContainer(JOB, { name: 'job', state: 'running', pid: 900, createdAt: NOW - HOUR, startedAt: NOW - HOUR, ...more });
}

/** What the ledger holds of `stopped`. */
export function allocation(more: Partial<Allocation> = {}): Allocation {
  return {
    containerId: JOB, containerName: 'job', startedAt: NOW - 3 * HOUR, gpuUuid: GPU0, migUuid: null, owner: null, observedAt: NOW - 3 * HOUR, releasedAt: null, releaseReason: null, ...more,
  };
}

export function worldOf(host: Partial<HostState> = {}, history: Partial<History> = {}, config: Config = defaultConfig()): World {
  return { host: hostOf(host), history: historyOf(history), config, now: NOW };
}

/** What follows from one look at a world. */
export function assessed(host: Partial<HostState> = {}, history: Partial<History> = {}): Assessment {
  return judged(worldOf(host, history));
}
