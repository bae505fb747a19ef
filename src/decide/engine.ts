import { type Observed, failed } from '../model/observation.ts';
import type { EngineView } from '../model/container.ts';
import type { History } from '../model/history.ts';
import type { ProcessView } from '../model/process.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { shimsFor } from './shims.ts';

/**
 * The snapshot with its engine's view counted as failed where this is not the engine that the ledger knows, or where a
 * container that the engine once had still has a live shim though the engine no longer lists it: such an engine does
 * not know what it runs; nor is it known where a shim could not be read. Podman has no lasting id, so a ledger of podman
 * knows none; but an engine of another kind is another engine, whose list says nothing about the containers of the first.
 */
export function distrustEngine(snapshot: Snapshot, history: History): Snapshot {
  const { engine } = snapshot;
  if (engine.state === 'failed') return snapshot;
  const why = doubtAbout(engine.value, snapshot, history);
  return why === null ? snapshot : { ...snapshot, engine: failed('untrusted', why) satisfies Observed<EngineView> };
}

function doubtAbout(engine: EngineView, snapshot: Snapshot, history: History): string | null {
  const knownKind = history.engineKind ?? null;
  if (knownKind !== null && engine.kind !== knownKind) return `${engine.kind} answers on this socket, the ledger knows ${knownKind}: another engine`;
  if (history.engineId !== null && engine.engineId !== history.engineId) {
    return `the engine's id is ${engine.engineId ?? `none (${engine.kind})`}, the ledger knows ${history.engineId}: another engine answers on this socket`;
  }
  const known = new Set(history.knownContainerIds);
  if (known.size === 0) return null;
  if (snapshot.processes.state === 'failed') return 'shims could not be looked for, so a forgotten container would go unseen';
  const unread = snapshot.processes.state === 'partial' ? snapshot.processes.missing.find(({ kind }) => kind === 'shim') : undefined;
  if (unread !== undefined) return `${unread.subject} ${unread.why}, so a forgotten container would go unseen`;
  const [first] = forgottenContainers(engine, snapshot.processes.value, history);
  return first === undefined ? null : `container ${first.id.slice(0, 12)} still has a live shim (pid ${first.pid}), but the engine no longer lists it`;
}

/** A container that the engine once had and no longer lists, though a shim of it lives under this pid. */
export interface ForgottenContainer {
  readonly id: string;
  readonly pid: number;
}

/** Those that no admin has accepted. */
export function forgottenContainers(engine: EngineView, { shims }: Pick<ProcessView, 'shims'>, history: History): readonly ForgottenContainer[] {
  const known = new Set(history.knownContainerIds);
  const listed = new Set(engine.containers.map((container) => container.id));
  const fine = new Set([...listed, ...(history.acceptedContainerIds ?? [])]);
  const missed = new Set(shims.flatMap((shim) => shim.containerIds.filter((id) => known.has(id) && !fine.has(id))));
  return [...missed].flatMap((id) => shimsFor(id, shims, (each) => known.has(each) || listed.has(each)).map(({ pid }) => ({ id, pid })));
}
