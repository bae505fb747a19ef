import type { Claim } from '../model/claim.ts';
import type { Container, EngineView } from '../model/container.ts';
import { type Allocation, allocationOf, type History, isHolding } from '../model/history.ts';

/** One look at the containers, as it would be remembered. */
export interface Lesson {
  /** Null: the engine did not answer, or is not to be believed. */
  readonly engine: EngineView | null;
  readonly claims: readonly Claim[];
  /** By full container id; null: unknown. */
  readonly owners: ReadonlyMap<string, string | null>;
  readonly at: number;
}

export interface Learned {
  readonly history: History;
  /** The allocations that were not known before. */
  readonly opened: readonly Allocation[];
}

/**
 * What the ledger's history would be after this look. A dry run, which writes nothing, decides on it, so that its plan is
 * that of the pass: the first one of all, or one in which a container that was started again has stopped since.
 */
export function learnFrom(history: History, { engine, claims, owners, at }: Lesson): Learned {
  const begun = { ...history, firstPassAt: history.firstPassAt ?? at };
  const isOurs = engine !== null && (history.engineKind ?? engine.kind) === engine.kind && (history.engineId ?? engine.engineId) === engine.engineId;
  if (!isOurs) return { history: begun, opened: [] };
  const containers = new Map(engine.containers.map((container) => [container.id, container]));
  const current = history.allocations.filter((each) => isCurrent(each, containers.get(each.containerId)));
  const open = new Set(current.filter(({ releasedAt }) => releasedAt === null).map(runOf));
  const held = new Map(claims.filter(isHolding).map((claim) => allocationOf(claim, { startedAt: claim.startedAt, owner: owners.get(claim.containerId) ?? null, at })).map((each) => [runOf(each), each]));
  const opened = [...held].flatMap(([run, each]) => (open.has(run) ? [] : [each]));
  const again = new Set(opened.map(runOf));
  return {
    history: {
      ...begun,
      engineId: engine.engineId,
      engineKind: engine.kind,
      knownContainerIds: [...new Set([...history.knownContainerIds, ...containers.keys()])],
      allocations: [...current.filter((each) => !again.has(runOf(each))), ...opened],
    },
    opened,
  };
}

/** A container that started again holds its devices anew. */
function isCurrent({ startedAt }: Allocation, container: Container | undefined): boolean {
  return container === undefined || !container.inspected || container.startedAt === null || container.startedAt === startedAt;
}

function runOf({ containerId, startedAt, gpuUuid, migUuid }: Allocation): string {
  return [containerId, startedAt, gpuUuid, migUuid].join();
}
