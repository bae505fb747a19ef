import type { EngineAnswer, EngineView } from '../model/container.ts';
import type { GpuProcess } from '../model/device.ts';
import { groupedBy } from '../model/grouped.ts';
import { failed, observed, type Observed } from '../model/observation.ts';
import type { HostProcess } from '../model/process.ts';
import type { ProcessLook, Snapshot } from '../model/snapshot.ts';
import { decideOwnership, type Ownership, type OwnershipRules } from './ownership.ts';

/** One process that the driver lists, with every device it is on. */
export interface Candidate {
  readonly pid: number;
  readonly gpuUuids: readonly string[];
  readonly rows: readonly GpuProcess[];
}

/** Every listed process of every device whose list is known, each once, by pid. */
export function candidatesIn(snapshot: Snapshot): readonly Candidate[] {
  const gpus = snapshot.driver.state === 'failed' ? [] : snapshot.driver.value.gpus;
  const byPid = new Map<number, { gpuUuids: string[]; rows: GpuProcess[] }>();
  for (const gpu of gpus) {
    for (const row of gpu.processes.state === 'known' ? gpu.processes.processes : []) {
      const entry = byPid.get(row.pid) ?? { gpuUuids: [], rows: [] };
      if (!entry.gpuUuids.includes(gpu.uuid)) entry.gpuUuids.push(gpu.uuid);
      entry.rows.push(row);
      byPid.set(row.pid, entry);
    }
  }
  return [...byPid].toSorted(([a], [b]) => a - b).map(([pid, { gpuUuids, rows }]) => ({ pid, gpuUuids, rows }));
}

/** The first look: what a snapshot says about its listed processes. The driver's short list is a second look's. */
export function lookOf(snapshot: Snapshot): ProcessLook {
  const { processes, engine } = snapshot;
  return {
    takenAt: snapshot.takenAt,
    bootId: processes.state === 'failed' ? null : processes.value.bootId,
    ownPids: processes.state === 'failed' ? [] : processes.value.ownPids,
    listed: failed('error', 'the list of compute processes was not asked for'),
    processes: processes.state === 'failed' ? [] : processes.value.listed,
    shims: shimsOf(processes),
    engine: engine.state === 'failed' ? engine : { state: 'complete', value: { kind: engine.value.kind, engineId: engine.value.engineId } },
    answers: engine.state === 'failed' ? [] : answersOf(engine),
  };
}

/** A shim that could not be read leaves a gap of its own; what is missing of a listed process alone says nothing of shims. */
function shimsOf(processes: Snapshot['processes']): ProcessLook['shims'] {
  if (processes.state === 'failed') return failed(processes.code, processes.why);
  const unread = processes.value.listed.filter(({ state }) => state === 'unreadable').map(({ pid }) => `pid ${pid}`);
  const missing = processes.state === 'partial' ? processes.missing.filter((gap) => gap.kind === 'shim' || (gap.kind === undefined && !unread.includes(gap.subject))) : [];
  return observed(processes.value.shims, missing);
}

/** An inspect made after the process list was read is the engine's answer for that container. */
function answersOf(engine: Exclude<Observed<EngineView>, { state: 'failed' }>): readonly EngineAnswer[] {
  const listed = engine.value.containers.map((each): EngineAnswer => ({ containerId: each.id, answer: each.inspected ? each.state : 'failed', name: each.name }));
  return [...listed, ...engine.value.answers];
}

/** The owner of every pid in a look. A pid that was not read at all is unknown. */
export function ownershipIn(pids: readonly number[], look: ProcessLook, rules: OwnershipRules): ReadonlyMap<number, Ownership> {
  return new Map(pids.map((pid) => [pid, decideOwnership(processIn(look, pid), look, rules)]));
}

const byPid = groupedBy((each: HostProcess) => each.pid);

/** What a look says of one process. One that was not read at all may be anything. */
export function processIn(look: ProcessLook, pid: number): HostProcess {
  return byPid(look.processes).get(pid)?.[0] ?? { state: 'unreadable', pid, why: 'it was not looked at' };
}
