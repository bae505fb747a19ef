import type { HungSmi, InventoryEntry } from '../../model/lost.ts';
import type { Ledger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** The ledger's part about what hardware there is, and about an nvidia-smi that hung. Durable when a method returns. */
export interface InventoryLedger {
  /** An admin changed the hardware on purpose: what is missing is forgotten. Returns the UUIDs that were. */
  acceptInventory(): readonly string[];
  /** Null: nvidia-smi answers, as far as is known. */
  hungSmi(): HungSmi | null;
  /** The first instant stays; the child is the latest. */
  recordHung(hung: HungSmi): void;
  clearHung(): void;
}

export function inventoryIn(store: Store): InventoryLedger & Required<Pick<Ledger, 'recordInventory'>> {
  const see = store.prepare(`
    INSERT INTO inventory (gpu_uuid, bus_id, name, first_seen_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (gpu_uuid) DO UPDATE SET bus_id = excluded.bus_id, name = excluded.name, missing_since = NULL`);
  const miss = store.prepare('UPDATE inventory SET missing_since = ? WHERE gpu_uuid = ? AND missing_since IS NULL');
  const missing = store.prepare('SELECT gpu_uuid AS uuid FROM inventory WHERE missing_since IS NOT NULL ORDER BY gpu_uuid');
  const forget = store.prepare('DELETE FROM inventory WHERE missing_since IS NOT NULL');
  return {
    recordInventory: (news, at) => store.write(() => {
      for (const { gpuUuid, pciBusId, name } of news.seen) see.run(gpuUuid, pciBusId, name, at);
      for (const gpuUuid of news.missing) miss.run(at, gpuUuid);
    }),
    acceptInventory: () => store.write(() => {
      const uuids = missing.all().map((row) => String(row['uuid']));
      forget.run();
      return uuids;
    }),
    ...hungIn(store),
  };
}

function hungIn(store: Store): Pick<InventoryLedger, 'hungSmi' | 'recordHung' | 'clearHung'> {
  const read = store.prepare('SELECT since, boot_id AS bootId, pid, start_ticks AS startTicks FROM hung_smi');
  const record = store.prepare(`
    INSERT INTO hung_smi (one, since, boot_id, pid, start_ticks) VALUES (1, ?, ?, ?, ?)
    ON CONFLICT (one) DO UPDATE SET since = iif(boot_id = excluded.boot_id, min(since, excluded.since), excluded.since),
      boot_id = excluded.boot_id, pid = excluded.pid, start_ticks = excluded.start_ticks`);
  const clear = store.prepare('DELETE FROM hung_smi');
  return {
    hungSmi: () => store.read(() => {
      const row = read.get();
      return row === undefined ? null : ({ ...row } as unknown as HungSmi);
    }),
    recordHung: ({ since, bootId, pid, startTicks }) => store.write(() => { record.run(since, bootId, pid, startTicks); }),
    clearHung: () => store.write(() => { clear.run(); }),
  };
}

/** Reads the whole inventory, in the order of UUIDs. */
export function readingInventory(store: Store): () => readonly InventoryEntry[] {
  const all = store.prepare('SELECT gpu_uuid AS gpuUuid, bus_id AS pciBusId, name, first_seen_at AS firstSeenAt, missing_since AS missingSince FROM inventory ORDER BY gpu_uuid');
  return () => all.all().map((row) => ({ ...row }) as unknown as InventoryEntry);
}
