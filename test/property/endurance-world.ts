import type { ContainerCounters } from '../../src/model/activity.ts';
import type { InspectedContainer } from '../../src/model/container.ts';
import { read } from '../../src/model/reading.ts';
import { BOOT, ENGINE, type GpuState, gpuUuid, type HostState, migUuid, noTrouble, plainContainer, type ProcessState } from './host.ts';

/*
 * A host that lives on for months: eight boards, seven of them divided into seven MIG devices each, and fifty places for
 * containers. Whoever leaves a place makes room for another; some are stopped and left lying, some leave a process behind.
 * What happens is the same in each run.
 */

export const PLACES = 50;
const HOUR = 3_600_000;
const MIG_BOARDS = 7;
const MIG_DEVICES = 7;

interface Lodger {
  readonly id: string;
  readonly n: number;
  readonly place: number;
  readonly pid: number;
  readonly from: number;
  /** When its work is done, if nobody stops it before. */
  readonly until: number;
  readonly ending: 'exits' | 'is-removed' | 'leaves-an-orphan';
  stoppedAt: number | null;
}

/** The host as the passes see it, and what they do to it. */
export interface EnduringWorld {
  /** Lives on to this instant: lodgers come, work and go. */
  advance(now: number): void;
  host(): HostState;
  /** As they are after a pass. */
  keepProcesses(processes: readonly ProcessState[]): void;
  counters(ids: readonly string[], now: number): readonly ContainerCounters[];
  stop(containerId: string, now: number): void;
  remove(containerId: string): void;
  /** Containers that were ever there, and processes that were left behind. */
  readonly ever: { containers: number; orphans: number };
}

/** The same number from 0 to 1 for the same two. Its constants are of splitmix32. */
function chance(a: number, b: number): number {
  let x = Math.imul(a, 0x9e3779b9) ^ Math.imul(b + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

export function enduringWorld(begin: number): EnduringWorld {
  const ever = { containers: 0, orphans: 0 };
  let lodgers: Lodger[] = [];
  let processes: readonly ProcessState[] = [];
  const settle = (place: number, now: number): void => {
    const n = ever.containers;
    ever.containers += 1;
    const ending = chance(n, 1) < 0.03 ? 'leaves-an-orphan' : chance(n, 2) < 0.5 ? 'is-removed' : 'exits';
    const lodger: Lodger = { id: (n + 1).toString(16).padStart(64, 'c'), n, place, pid: 1000 + n, from: now, until: now + (1 + 70 * chance(n, 3) ** 2) * HOUR, ending, stoppedAt: null };
    lodgers.push(lodger);
    processes = [...processes, processOf(lodger)];
  };
  const leave = (lodger: Lodger, now: number): void => {
    if (lodger.ending === 'leaves-an-orphan') ever.orphans += 1;
    else processes = processes.filter(({ pid }) => pid !== lodger.pid);
    lodger.stoppedAt = now;
    if (lodger.ending !== 'exits') lodgers = lodgers.filter((each) => each !== lodger);
  };
  return {
    ever,
    advance(now) {
      for (const lodger of lodgers.filter((each) => each.stoppedAt === null && each.until <= now)) leave(lodger, lodger.until);
      const taken = new Set(lodgers.filter(({ stoppedAt }) => stoppedAt === null).map(({ place }) => place));
      for (let place = 0; place < PLACES; place += 1) if (!taken.has(place)) settle(place, now);
    },
    host: () => ({ bootId: BOOT, ownPids: [1, 50], gpus: boards, containers: lodgers.map((each) => containerOf(each)), processes, shims: [], engine: { kind: 'docker', engineId: ENGINE }, oddAnswers: [], trouble: noTrouble }),
    keepProcesses(kept) { processes = kept; },
    counters: (ids, now) => lodgers.filter(({ id }) => ids.includes(id)).map((each) => countersOf(each, now, begin)),
    stop(id, now) {
      for (const lodger of lodgers.filter((each) => each.id === id)) {
        lodger.stoppedAt = now;
        processes = processes.filter(({ pid }) => pid !== lodger.pid);
      }
    },
    remove(id) { lodgers = lodgers.filter((each) => each.id !== id); },
  };
}

const boards: readonly GpuState[] = Array.from({ length: MIG_BOARDS + 1 }, (_, n) => ({
  uuid: gpuUuid(n), index: n, minorNumber: n, pciBusId: `00000000:${(n + 16).toString(16)}:00.0`, mig: n < MIG_BOARDS ? 'yes' : 'no', migPending: n < MIG_BOARDS ? 'yes' : 'no',
  migDevices: n < MIG_BOARDS ? Array.from({ length: MIG_DEVICES }, (__, at) => ({ uuid: migUuid(n, at), index: at, profile: '1g.10gb', gpuInstanceId: at + 7, computeInstanceId: 0, totalMiB: read(9728), usedMiB: read(10) })) : [],
  display: 'no', recovery: read('none'), repairPending: 'no', unexplainedMiB: 3, listUnknown: null, faults: [],
}));

function processOf({ id, pid, place }: Lodger): ProcessState {
  return {
    pid, startTicks: pid * 7, runState: 'S', uid: 1000, command: 'python3', title: 'python3 train.py', cgroups: [`/docker/${id}`], pidNamespace: 'host', presence: 'present',
    rows: [{ gpu: Math.floor(place / MIG_DEVICES), type: 'C', usedMiB: 512 }], holds: [Math.floor(place / MIG_DEVICES)],
  };
}

function containerOf({ id, n, place, pid, from, stoppedAt }: Lodger): InspectedContainer {
  const device = place < MIG_BOARDS * MIG_DEVICES ? migUuid(Math.floor(place / MIG_DEVICES), place % MIG_DEVICES) : gpuUuid(MIG_BOARDS);
  return plainContainer(id, {
    name: `job-${n}`, state: stoppedAt === null ? 'running' : 'exited', pid: stoppedAt === null ? pid : null, createdAt: from, startedAt: from, finishedAt: stoppedAt,
    labels: { 'gpuctl.owner': `user${n % 17}` }, deviceRequests: [{ driver: '', count: 0, deviceIds: [device], capabilities: [['gpu']] }],
  });
}

/** Two hours of each three it works; one lodger in eight never does. */
function countersOf({ id, n, from }: Lodger, now: number, begin: number): ContainerCounters {
  const busyMs = n % 8 === 0 ? 0 : workedBetween(from - begin, now - begin);
  return { containerId: id, startedAt: from, cpuNs: read(Math.round(busyMs * 1e6)), networkBytes: read(Math.round(busyMs * 10)) };
}

function workedBetween(from: number, until: number): number {
  const worked = (at: number): number => Math.floor(at / (3 * HOUR)) * 2 * HOUR + Math.min(at % (3 * HOUR), 2 * HOUR);
  return worked(until) - worked(from);
}
