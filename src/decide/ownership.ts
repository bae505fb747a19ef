import { isLive, type EngineAnswer } from '../model/container.ts';
import { groupedBy } from '../model/grouped.ts';
import type { HostProcess, PresentProcess } from '../model/process.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { ProcessLook } from '../model/snapshot.ts';
import { containerIdsIn, dockerIdsIn, managerIn, unitIn } from './cgroup.ts';
import { shimsFor } from './shims.ts';

/** Whose process it is, by evidence. Only `orphan` may ever be ended. */
export type Ownership =
  | { readonly kind: 'container'; readonly reason: 'running-container'; readonly containerId: string; readonly name: string | null }
  | { readonly kind: 'orphan'; readonly reason: 'orphan-container-gone' | 'orphan-container-stopped'; readonly containerId: string; readonly name: string | null }
  | { readonly kind: 'foreign' | 'unsettled' | 'unknown'; readonly reason: ReasonCode; readonly containerId: string | null }
  | { readonly kind: 'theirs'; readonly reason: 'other-manager'; readonly manager: string }
  | { readonly kind: 'permitted' | 'stray'; readonly reason: 'host-permitted' | 'host-stray'; readonly unit: string | null }
  | { readonly kind: 'ghost' | 'zombie' | 'own'; readonly reason: ReasonCode };

export interface OwnershipRules {
  /** The ledger's engine; null: not learned yet. */
  readonly engineId: string | null;
  readonly knownContainerIds: ReadonlySet<string>;
  readonly permit: PermitRules;
}

export interface PermitRules {
  readonly uids: ReadonlySet<number>;
  readonly units: readonly string[];
  readonly names: readonly string[];
}

const byContainer = groupedBy((each: EngineAnswer) => each.containerId);

/** What was answered about a container, in the order of the answers. */
function answersAbout(id: string, answers: readonly EngineAnswer[]): readonly EngineAnswer[] {
  return byContainer(answers).get(id) ?? [];
}

/** The owner of one process at the moment of `look`. Anything that is not certain is `unknown`. */
export function decideOwnership(process: HostProcess, look: ProcessLook, rules: OwnershipRules): Ownership {
  if (process.pid === 1 || look.ownPids.includes(process.pid)) return { kind: 'own', reason: 'own-process' };
  if (process.state === 'absent') return { kind: 'ghost', reason: 'ghost' };
  if (process.state === 'unreadable' || process.cgroups === null) return { kind: 'unknown', reason: 'process-unreadable', containerId: null };
  const running = runningContainer(process.cgroups, look.answers);
  const left = running === null ? null : leftWithin(process.cgroups, look.answers, rules.knownContainerIds);
  if (left !== null) return { kind: 'unsettled', reason: 'container-not-settled', containerId: left };
  if (running !== null) return { kind: 'container', reason: 'running-container', containerId: running.containerId, name: running.name };
  const manager = managerIn(process.cgroups);
  if (manager !== null) return { kind: 'theirs', reason: 'other-manager', manager };
  const ids = dockerIdsIn(process.cgroups);
  if (process.runState === 'Z' || process.runState === 'X') return { kind: 'zombie', reason: 'zombie' };
  return ids.length === 0 ? hostProcess(process, process.cgroups, rules.permit) : containerProcess(process, ids, look, rules);
}

/**
 * Any container id of any depth that runs: the broad reading, since it only ever protects. Of several the innermost is
 * named, for whoever chooses the cgroup parent of his container can put it into that of another.
 */
function runningContainer(cgroups: readonly string[], answers: readonly EngineAnswer[]): EngineAnswer | null {
  const isRunning = ({ answer }: EngineAnswer): boolean => answer !== 'failed' && answer !== 'not-found' && isLive(answer);
  return containerIdsIn(cgroups).map((id) => answersAbout(id, answers).findLast(isRunning)).findLast((each) => each !== undefined) ?? null;
}

/**
 * The container of this engine that is over or gone and whose process is left in the cgroup of one that runs: below it in one path,
 * as a cgroup parent can have it. It is not ended, as the outer one runs, but neither is it the outer one's doing. Null: none.
 */
function leftWithin(cgroups: readonly string[], answers: readonly EngineAnswer[], known: ReadonlySet<string>): string | null {
  const innermost = cgroups.flatMap((path) => containerIdsIn([path]).at(-1) ?? []);
  const isOver = (id: string): boolean => {
    const state = answersAbout(id, answers).at(-1)?.answer;
    return state === 'exited' || state === 'dead' || (state === 'not-found' && known.has(id));
  };
  return innermost.every(isOver) ? (innermost.at(-1) ?? null) : null;
}

/**
 * A process title is no shield: a name counts only for root, or within a permitted unit. Nor is a user or a unit within a
 * container, whoever's it is: there anybody can be anybody.
 */
function hostProcess(process: PresentProcess, cgroups: readonly string[], permit: PermitRules): Ownership {
  const unit = unitIn(cgroups);
  const outside = containerIdsIn(cgroups).length === 0;
  const byUnit = permit.units.some((each) => each === unit);
  const byUser = process.uid !== null && permit.uids.has(process.uid);
  const byName = process.uid === 0 && permit.names.some((name) => name.slice(0, 15) === process.command);
  return outside && (byUnit || byUser || byName) ? { kind: 'permitted', reason: 'host-permitted', unit } : { kind: 'stray', reason: 'host-stray', unit };
}

/** A process in the cgroup of containers of which none runs here: an orphan only where all the evidence is there. */
function containerProcess(process: PresentProcess, ids: readonly string[], look: ProcessLook, rules: OwnershipRules): Ownership {
  const containerId = ids[ids.length - 1] ?? '';
  if (look.engine.state !== 'complete') return { kind: 'unknown', reason: 'engine-unknown', containerId };
  if (look.engine.value.kind === 'podman') return { kind: 'foreign', reason: 'foreign-podman', containerId };
  const answers = ids.map((id) => answersAbout(id, look.answers)[0] ?? noAnswer(id));
  const doubt = doubtOf(answers, process, look, rules);
  if (doubt !== null) return { ...doubt, containerId };
  const stopped = answers.some(({ answer }) => answer !== 'not-found');
  return { kind: 'orphan', reason: stopped ? 'orphan-container-stopped' : 'orphan-container-gone', containerId, name: answers.at(-1)?.name ?? null };
}

/** Who was not asked about is not known either. */
function noAnswer(containerId: string): EngineAnswer {
  return { containerId, answer: 'failed', name: null };
}

interface Doubt {
  readonly kind: 'foreign' | 'unsettled' | 'unknown';
  readonly reason: ReasonCode;
}

/** Why the process may be somebody's after all; null: every piece of evidence of an orphan is there. */
function doubtOf(answers: readonly EngineAnswer[], process: PresentProcess, look: ProcessLook, rules: OwnershipRules): Doubt | null {
  if (answers.some(({ answer }) => answer === 'failed')) return { kind: 'unknown', reason: 'engine-unknown' };
  if (!answers.every(({ answer }) => answer === 'exited' || answer === 'dead' || answer === 'not-found')) return { kind: 'unsettled', reason: 'container-not-settled' };
  const engineId = look.engine.state === 'complete' ? look.engine.value.engineId : null;
  if (engineId === null) return { kind: 'unknown', reason: 'engine-unknown' };
  if (rules.engineId !== null && rules.engineId !== engineId) return { kind: 'foreign', reason: 'foreign-engine-changed' };
  if (look.shims.state !== 'complete') return { kind: 'unknown', reason: 'proc-unknown' };
  const shims = look.shims.value;
  const isOurs = (id: string): boolean => rules.knownContainerIds.has(id) || answersAbout(id, look.answers).some(({ answer }) => answer !== 'failed' && answer !== 'not-found');
  if (answers.some(({ containerId }) => shimsFor(containerId, shims, isOurs).length > 0)) return { kind: 'foreign', reason: 'foreign-shim-alive' };
  const neverOurs = answers.some(({ containerId, answer }) => answer === 'not-found' && !rules.knownContainerIds.has(containerId));
  return neverOurs && process.pidNamespace !== 'host' ? { kind: 'foreign', reason: 'foreign-pid-namespace' } : null;
}
