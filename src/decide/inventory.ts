import { type DriverView, type Gpu, normalizeBusId } from '../model/device.ts';
import type { InventoryEntry, InventoryNews } from '../model/lost.ts';
import { type Observed } from '../model/observation.ts';

/** The GPUs that nvidia-smi described; null: it did not answer, so of no GPU it is known whether it is there. */
export function gpusAnswered(driver: Observed<DriverView>): readonly Gpu[] | null {
  if (driver.state !== 'failed') return driver.value.gpus;
  return driver.code === 'no-devices' ? [] : null;
}

/** GPUs of the inventory that nvidia-smi's answer lacks; none where it did not answer. */
export function missingGpus(inventory: readonly InventoryEntry[], driver: Observed<DriverView>): readonly InventoryEntry[] {
  const gpus = gpusAnswered(driver);
  // A call that named the GPU which it failed for has said that much, and nothing about the others.
  if (gpus === null) return driver.state === 'failed' && driver.code === 'device-fault' ? inventory.filter(({ pciBusId }) => driver.why.startsWith(`GPU ${pciBusId}:`)) : [];
  const there = new Set(gpus.map(({ uuid }) => uuid));
  return inventory.filter(({ gpuUuid }) => !there.has(gpuUuid));
}

/** What is to be remembered of one look; null: nothing new. */
export function decideInventory(inventory: readonly InventoryEntry[], driver: Observed<DriverView>): InventoryNews | null {
  const known = new Map(inventory.map((entry) => [entry.gpuUuid, entry]));
  const seen = (gpusAnswered(driver) ?? []).flatMap(({ uuid, pciBusId, name }) => {
    const entry = known.get(uuid);
    const same = entry !== undefined && entry.pciBusId === pciBusId && entry.name === name && entry.missingSince === null;
    return same ? [] : [{ gpuUuid: uuid, pciBusId, name }];
  });
  const missing = missingGpus(inventory, driver).filter(({ missingSince }) => missingSince === null).map(({ gpuUuid }) => gpuUuid);
  return seen.length === 0 && missing.length === 0 ? null : { seen, missing };
}

/** The GPU of the inventory that is missing and goes by this name (UUID, or bus id); null: none does. An index is nobody's any more. */
export function lostNamed(reference: string, inventory: readonly InventoryEntry[], driver: Observed<DriverView>): InventoryEntry | null {
  return inventoryNamed(reference, missingGpus(inventory, driver));
}

/** The GPU of the inventory with this UUID or bus id; null: none has it. */
export function inventoryNamed(reference: string, inventory: readonly InventoryEntry[]): InventoryEntry | null {
  const busId = normalizeBusId(reference);
  return inventory.find((entry) => entry.gpuUuid === reference || entry.pciBusId === busId) ?? null;
}
