import type { Claim } from '../../model/claim.ts';
import type { Container, EngineView } from '../../model/container.ts';
import { type Allocation, allocationOf, isHolding } from '../../model/history.ts';
import type { Ledger } from '../../passes/ports.ts';
import { lapsingAcceptances } from './accepted.ts';
import type { Store } from './store.ts';

type ObservationWrites = Pick<Ledger, 'recordObservation' | 'acceptEngine' | 'release'>;
type Owners = ReadonlyMap<string, string | null>;

/** The ledger's part about what was seen of the engine, and about the allocations that follow from it. */
export function observationsIn(store: Store): ObservationWrites {
  const firstPass = store.prepare('UPDATE host SET first_pass_at = ? WHERE first_pass_at IS NULL');
  const accept = store.prepare('UPDATE host SET engine_id = ?, engine_kind = ?');
  const release = store.prepare(`
    UPDATE allocations SET released_at = ?, release_reason = ?
    WHERE container_id = ? AND started_at IS ? AND gpu_uuid = ? AND mig_uuid IS ? AND released_at IS NULL AND superseded_at IS NULL`);
  const learnEngine = learningEngine(store);
  const seeContainers = seeingContainers(store);
  const open = openingAllocations(store);
  return {
    recordObservation: (engine, claims, owners, at) => store.write(() => {
      firstPass.run(at);
      if (engine === null || !learnEngine(engine)) return [];
      seeContainers(engine, at);
      return open({ engine, claims, owners, at });
    }),
    acceptEngine: (engineId, kind = 'docker') => store.write(() => { accept.run(engineId, kind); }),
    release: (allocation, reason, at) => store.write(() => {
      release.run(at, reason, allocation.containerId, allocation.startedAt, allocation.gpuUuid, allocation.migUuid);
    }),
  };
}

/** False: this is not the engine that the ledger belongs to, and nothing may be learned from it. */
function learningEngine(store: Store): (engine: Pick<EngineView, 'engineId' | 'kind'>) => boolean {
  const learn = store.prepare('UPDATE host SET engine_id = ifnull(engine_id, :id), engine_kind = ifnull(engine_kind, :kind)');
  const known = store.prepare('SELECT engine_id AS id, engine_kind AS kind FROM host');
  return ({ engineId, kind }) => {
    const before = known.get();
    if ((before?.['kind'] ?? kind) !== kind || (engineId !== null && (before?.['id'] ?? engineId) !== engineId)) return false;
    learn.run({ id: engineId, kind });
    return true;
  };
}

function seeingContainers(store: Store): (engine: EngineView, at: number) => void {
  const absent = store.prepare('UPDATE containers SET present = 0 WHERE present = 1');
  const see = store.prepare(`
    INSERT INTO containers (id, engine_id, name, started_at, first_started_at, first_seen_at, last_seen_at, present)
    VALUES (:id, :engine, :name, :started, :started, :at, :at, 1)
    ON CONFLICT (id) DO UPDATE SET
      engine_id = excluded.engine_id, name = excluded.name, last_seen_at = excluded.last_seen_at, present = 1,
      started_at = ifnull(excluded.started_at, started_at),
      first_started_at = min(ifnull(first_started_at, excluded.started_at), ifnull(excluded.started_at, first_started_at))`);
  const supersede = store.prepare(`
    UPDATE allocations SET superseded_at = ? WHERE number IN (
      SELECT number FROM containers CROSS JOIN allocations ON container_id = id
      WHERE present = 1 AND superseded_at IS NULL AND containers.started_at IS NOT NULL AND containers.started_at IS NOT allocations.started_at)`);
  const lapse = lapsingAcceptances(store);
  return (engine, at) => {
    absent.run();
    for (const container of engine.containers) {
      see.run({ id: container.id, engine: engine.engineId, name: container.name, started: startOf(container), at });
    }
    supersede.run(at);
    lapse();
  };
}

function startOf(container: Container | undefined): number | null {
  return container?.inspected === true ? container.startedAt : null;
}

interface Observation {
  readonly engine: EngineView;
  readonly claims: readonly Claim[];
  readonly owners: Owners;
  readonly at: number;
}

function openingAllocations(store: Store): (observation: Observation) => readonly Allocation[] {
  // A container that is alive again in a run that had been given up (an engine that was wrong for a while) holds anew.
  const retire = store.prepare(`
    UPDATE allocations SET superseded_at = :at
    WHERE container_id = :container AND ifnull(started_at, 'never') = ifnull(:started, 'never') AND gpu_uuid = :gpu
      AND ifnull(mig_uuid, '') = ifnull(:mig, '') AND superseded_at IS NULL AND released_at IS NOT NULL`);
  const insert = store.prepare(`
    INSERT INTO allocations (container_id, container_name, started_at, gpu_uuid, mig_uuid, owner, observed_at)
    VALUES (:container, :name, :started, :gpu, :mig, :owner, :at) ON CONFLICT DO NOTHING`);
  return ({ engine, claims, owners, at }) => {
    const starts = new Map(engine.containers.map((container) => [container.id, startOf(container)]));
    return claims.filter(isHolding).flatMap((claim) => {
      const allocation = allocationOf(claim, { startedAt: starts.get(claim.containerId) ?? claim.startedAt, owner: owners.get(claim.containerId) ?? null, at });
      const key = { container: claim.containerId, started: allocation.startedAt, gpu: claim.gpuUuid, mig: claim.migUuid, at };
      retire.run(key);
      return insert.run({ ...key, name: claim.containerName, owner: allocation.owner }).changes === 1 ? [allocation] : [];
    });
  };
}
