import type { StatementSync } from 'node:sqlite';
import type { Allocation, History, MemorySample, ResetRecord, ResetWant } from '../../model/history.ts';
import type { Store } from './store.ts';

const DAY_MS = 24 * 3_600_000;
/** Longer than any cool-down, and enough for an admin to see a board that is reset again and again. */
const RESETS_MS = 7 * DAY_MS;
const MEMORY_MS = DAY_MS;
/** Four hours of the sampler: far more than the ten minutes that a rule about memory asks for. */
const MEMORY_SAMPLES = 50;

/** Reads the whole history at one state of the ledger, every list in an order that depends on its content alone. */
export function historyIn(store: Store, now: () => number): () => History {
  const host = store.prepare('SELECT first_pass_at AS firstPassAt, engine_id AS engineId FROM host');
  const containers = store.prepare('SELECT id FROM containers WHERE engine_id IS (SELECT engine_id FROM host) ORDER BY id');
  const allocations = store.prepare(ALLOCATIONS);
  const resets = store.prepare('SELECT gpu_uuid AS gpuUuid, at, succeeded FROM resets WHERE at >= ? ORDER BY at, number');
  const quarantined = store.prepare('SELECT gpu_uuid AS gpuUuid FROM quarantine ORDER BY gpu_uuid');
  const wants = store.prepare('SELECT gpu_uuid AS gpuUuid, reason, since FROM reset_wants ORDER BY gpu_uuid');
  const memory = store.prepare(MEMORY);
  const baselines = store.prepare('SELECT gpu_uuid AS gpuUuid, used_mib AS usedMiB FROM baselines ORDER BY gpu_uuid');
  return () => store.read(() => {
    const at = now();
    const [known] = rowsOf<Pick<History, 'firstPassAt' | 'engineId'>>(host);
    return {
      firstPassAt: known?.firstPassAt ?? null,
      engineId: known?.engineId ?? null,
      knownContainerIds: rowsOf<{ id: string }>(containers).map(({ id }) => id),
      allocations: rowsOf<Allocation>(allocations),
      resets: rowsOf<Omit<ResetRecord, 'succeeded'> & { succeeded: number }>(resets, at - RESETS_MS).map((row) => ({ ...row, succeeded: row.succeeded === 1 })),
      quarantined: rowsOf<{ gpuUuid: string }>(quarantined).map(({ gpuUuid }) => gpuUuid),
      resetWants: rowsOf<ResetWant>(wants),
      memory: rowsOf<MemorySample>(memory, at - MEMORY_MS, at, MEMORY_SAMPLES),
      baselines: rowsOf<History['baselines'][number]>(baselines),
    };
  });
}

const ALLOCATIONS = `
  SELECT container_id AS containerId, container_name AS containerName, started_at AS startedAt, gpu_uuid AS gpuUuid,
    mig_uuid AS migUuid, owner, observed_at AS observedAt, released_at AS releasedAt, release_reason AS releaseReason
  FROM allocations
  WHERE superseded_at IS NULL
    AND (released_at IS NULL OR EXISTS (SELECT 1 FROM containers WHERE id = container_id AND present = 1))
  ORDER BY container_id, gpu_uuid, ifnull(mig_uuid, ''), number`;

/** A sample from the future was taken under a clock that has been put right since; it says nothing about the last hours. */
const MEMORY = `
  SELECT gpu_uuid AS gpuUuid, at, used_mib AS usedMiB, unexplained_mib AS unexplainedMiB FROM (
    SELECT *, row_number() OVER (PARTITION BY gpu_uuid ORDER BY at DESC) AS nth FROM memory WHERE at BETWEEN ? AND ?)
  WHERE nth <= ? ORDER BY at, gpu_uuid`;

/** The tables are STRICT, and the statement above each call names the fields of T. */
function rowsOf<T>(statement: StatementSync, ...parameters: readonly number[]): readonly T[] {
  return statement.all(...parameters).map((row) => ({ ...row }) as T);
}
