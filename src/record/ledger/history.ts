import type { StatementSync } from 'node:sqlite';
import type { Allocation, History, MemorySample, ResetRecord, ResetWant } from '../../model/history.ts';
import { readingClock } from './clock.ts';
import { readingHealth } from './health.ts';
import { readingInventory } from './inventory.ts';
import { kernelLogMemoryIn } from './kernel-log.ts';
import { BOARDS_WITH_MEMORY } from './memory-boards.ts';
import type { Store } from './store.ts';

const DAY_MS = 24 * 3_600_000;
/** Enough for an admin to see a board that is reset again and again. Its last reset is always there: a cool-down may be longer. */
const RESETS_MS = 7 * DAY_MS;
const MEMORY_MS = DAY_MS;
/** Four hours of the sampler: far more than the ten minutes that a rule about memory asks for. */
const MEMORY_SAMPLES = 50;

/** Reads the whole history at one state of the ledger, every list in an order that depends on its content alone. */
export function historyIn(store: Store, now: () => number): () => History {
  const host = store.prepare('SELECT first_pass_at AS firstPassAt, engine_id AS engineId, engine_kind AS engineKind FROM host');
  const containers = store.prepare('SELECT id FROM containers WHERE engine_id IS (SELECT engine_id FROM host) ORDER BY id');
  const accepted = store.prepare('SELECT id FROM accepted_containers ORDER BY id');
  const allocations = store.prepare(ALLOCATIONS);
  const resets = store.prepare('SELECT gpu_uuid AS gpuUuid, at, succeeded, forgiven FROM resets WHERE at >= ? OR at = (SELECT max(last.at) FROM resets AS last WHERE last.gpu_uuid = resets.gpu_uuid) ORDER BY at, number');
  const quarantined = store.prepare('SELECT gpu_uuid AS gpuUuid FROM quarantine ORDER BY gpu_uuid');
  const wants = store.prepare('SELECT gpu_uuid AS gpuUuid, reason, since FROM reset_wants ORDER BY gpu_uuid');
  const vainPauses = store.prepare(VAIN_PAUSES);
  const debts = store.prepare(OPEN_DEBTS);
  const memory = store.prepare(MEMORY);
  const baselines = store.prepare('SELECT gpu_uuid AS gpuUuid, used_mib AS usedMiB FROM baselines ORDER BY gpu_uuid');
  const clock = readingClock(store);
  const inventory = readingInventory(store);
  const health = readingHealth(store);
  const kernelLog = kernelLogMemoryIn(store);
  return () => store.read(() => {
    const at = now();
    const [known] = rowsOf<Pick<History, 'firstPassAt' | 'engineId' | 'engineKind'>>(host);
    return {
      firstPassAt: known?.firstPassAt ?? null,
      engineId: known?.engineId ?? null,
      engineKind: known?.engineKind ?? null,
      knownContainerIds: containers.all().map((row) => row['id'] as string),
      acceptedContainerIds: rowsOf<{ id: string }>(accepted).map(({ id }) => id),
      allocations: rowsOf<Allocation>(allocations),
      resets: rowsOf<Omit<ResetRecord, 'succeeded' | 'forgiven'> & { succeeded: number; forgiven: number }>(resets, at - RESETS_MS).map(({ succeeded, forgiven, ...row }) => ({ ...row, succeeded: succeeded === 1, ...(forgiven === 1 ? { forgiven: true as const } : {}) })),
      quarantined: rowsOf<{ gpuUuid: string }>(quarantined).map(({ gpuUuid }) => gpuUuid),
      resetWants: rowsOf<ResetWant>(wants),
      vainPauses: rowsOf<{ gpuUuid: string; at: number }>(vainPauses, at - RESETS_MS),
      resetDebts: rowsOf<Omit<OpenDebtRow, 'debt'> & { debt: string }>(debts).map((row) => ({ ...row, debt: JSON.parse(row.debt) as OpenDebtRow['debt'] })),
      memory: rowsOf<MemorySample>(memory, at - MEMORY_MS, at, MEMORY_SAMPLES),
      baselines: rowsOf<History['baselines'][number]>(baselines),
      ...clock(),
      inventory: inventory(),
      health: health(),
      kernelLog: kernelLog(),
    };
  });
}

const ALLOCATIONS = `
  SELECT container_id AS containerId, container_name AS containerName, started_at AS startedAt, gpu_uuid AS gpuUuid,
    mig_uuid AS migUuid, owner, observed_at AS observedAt, released_at AS releasedAt, release_reason AS releaseReason
  FROM allocations
  WHERE number IN (
    SELECT number FROM allocations WHERE superseded_at IS NULL AND released_at IS NULL
    UNION SELECT number FROM containers CROSS JOIN allocations ON container_id = id WHERE present = 1 AND superseded_at IS NULL)
  ORDER BY container_id, gpu_uuid, ifnull(mig_uuid, ''), number`;

type OpenDebtRow = NonNullable<History['resetDebts']>[number];

const OPEN_DEBTS = `
  SELECT d.gpu_uuid AS gpuUuid, r.pci_bus_id AS pciBusId, d.debt AS debt, d.since AS since, d.why AS why
  FROM reset_debts d JOIN reset_runs r ON r.number = d.run WHERE d.paid_at IS NULL ORDER BY d.number`;

const VAIN_PAUSES = `
  SELECT gpu_uuid AS gpuUuid, begun_at AS at FROM reset_runs r
  WHERE begun_at >= ? AND ended_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM reset_steps WHERE run = r.number AND kind = 'stop-service')
    AND NOT EXISTS (SELECT 1 FROM reset_steps WHERE run = r.number AND kind = 'reset')
  ORDER BY begun_at, number`;

/** A sample from the future was taken under a clock that has been put right since; it says nothing about the last hours. */
const MEMORY = `
  ${BOARDS_WITH_MEMORY} SELECT gpu_uuid AS gpuUuid, at, used_mib AS usedMiB, unexplained_mib AS unexplainedMiB
  FROM boards CROSS JOIN memory ON gpu_uuid = uuid
  WHERE at <= ?2
    AND at >= coalesce((SELECT at FROM memory AS nth WHERE nth.gpu_uuid = uuid AND nth.at BETWEEN ?1 AND ?2 ORDER BY nth.at DESC LIMIT 1 OFFSET ?3 - 1), ?1)
  ORDER BY at, gpu_uuid`;

/** The tables are STRICT, and the statement above each call names the fields of T. */
function rowsOf<T>(statement: StatementSync, ...parameters: readonly number[]): readonly T[] {
  return statement.all(...parameters).map((row) => ({ ...row }) as T);
}
