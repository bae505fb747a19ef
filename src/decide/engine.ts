import { type Observed, failed } from '../model/observation.ts';
import type { EngineView } from '../model/container.ts';
import type { History } from '../model/history.ts';
import type { Snapshot } from '../model/snapshot.ts';

/**
 * The snapshot with its engine's view counted as failed where this is not the engine that the ledger knows, or where a
 * container that the engine once had still has a live shim though the engine no longer lists it: such an engine does
 * not know what it runs. Podman has no lasting id, so a ledger of podman knows none; where the ledger knows one, podman is
 * another engine, whose list says nothing about the containers of the first.
 */
export function distrustEngine(snapshot: Snapshot, history: History): Snapshot {
  const { engine } = snapshot;
  if (engine.state === 'failed') return snapshot;
  const why = doubtAbout(engine.value, snapshot, history);
  return why === null ? snapshot : { ...snapshot, engine: failed('untrusted', why) satisfies Observed<EngineView> };
}

function doubtAbout(engine: EngineView, snapshot: Snapshot, history: History): string | null {
  if (history.engineId !== null && engine.engineId !== history.engineId) {
    return `the engine's id is ${engine.engineId ?? `none (${engine.kind})`}, the ledger knows ${history.engineId}: another engine answers on this socket`;
  }
  const known = new Set(history.knownContainerIds);
  if (known.size === 0) return null;
  if (snapshot.processes.state === 'failed') return 'shims could not be looked for, so a forgotten container would go unseen';
  const listed = new Set(engine.containers.map((container) => container.id));
  const forgotten = snapshot.processes.value.shims.flatMap((shim) => shim.containerIds.filter((id) => known.has(id) && !listed.has(id)).map((id) => ({ id, pid: shim.pid })));
  const [first] = forgotten;
  return first === undefined ? null : `container ${first.id.slice(0, 12)} still has a live shim (pid ${first.pid}), but the engine no longer lists it`;
}
