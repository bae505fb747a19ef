import { type Gpu, normalizeBusId } from '../model/device.ts';

/** One device that a text names: a GPU, or a MIG device on it. */
export interface NamedDevice {
  readonly gpuUuid: string;
  readonly migUuid: string | null;
}

/**
 * The devices of this host that one reference (`all`, `0`, `0:1`, `GPU-…`, `MIG-…`, a bus id) names, with the
 * container toolkit's rules: case does not count and an unambiguous start of a UUID is enough. Where a number cannot be
 * looked up because a GPU's index is unknown, the reference names every GPU. Empty: it names none.
 */
export function resolveReference(text: string, gpus: readonly Gpu[]): readonly NamedDevice[] {
  const reference = text.trim();
  if (/^all$/i.test(reference)) return gpus.map(whole);
  if (/^\d+$/.test(reference)) return byIndex(Number(reference), gpus);
  const pair = /^(\d+)[:.](\d+)$/.exec(reference);
  if (pair !== null) return byMigIndex(Number(pair[1]), Number(pair[2]), gpus);
  if (/^GPU-./i.test(reference)) return gpus.filter((gpu) => startsWith(gpu.uuid, reference)).map(whole);
  if (/^MIG-./i.test(reference)) return byMigUuid(reference, gpus);
  const busId = normalizeBusId(reference);
  return gpus.filter((gpu) => gpu.pciBusId === busId).map(whole);
}

/** Every GPU as a whole: what a claim names that cannot be understood. */
export function everyDevice(gpus: readonly Gpu[]): readonly NamedDevice[] {
  return gpus.map(whole);
}

function whole(gpu: Gpu): NamedDevice {
  return { gpuUuid: gpu.uuid, migUuid: null };
}

function startsWith(text: string, start: string): boolean {
  return text.toLowerCase().startsWith(start.toLowerCase());
}

function byIndex(index: number, gpus: readonly Gpu[]): readonly NamedDevice[] {
  if (gpus.some((gpu) => gpu.index === null)) return gpus.map(whole);
  return gpus.filter((gpu) => gpu.index === index).map(whole);
}

function byMigIndex(index: number, migIndex: number, gpus: readonly Gpu[]): readonly NamedDevice[] {
  if (gpus.some((gpu) => gpu.index === null)) return gpus.map(whole);
  return gpus
    .filter((gpu) => gpu.index === index)
    .flatMap((gpu) => {
      // A MIG device that is not there (any more) still names its GPU.
      const named = gpu.migDevices.filter((mig) => mig.index === migIndex).map((mig) => ({ gpuUuid: gpu.uuid, migUuid: mig.uuid }));
      return named.length > 0 ? named : [whole(gpu)];
    });
}

function byMigUuid(reference: string, gpus: readonly Gpu[]): readonly NamedDevice[] {
  const named = gpus.flatMap((gpu) =>
    gpu.migDevices
      .filter((mig) => mig.uuid !== null && startsWith(mig.uuid, reference))
      .map((mig) => ({ gpuUuid: gpu.uuid, migUuid: mig.uuid })),
  );
  if (named.length > 0) return named;
  const parent = /^MIG-(GPU-[0-9a-f-]{36})(?:\/|$)/i.exec(reference)?.[1];
  if (parent !== undefined) return gpus.filter((gpu) => startsWith(gpu.uuid, parent)).map(whole);
  return gpus.filter((gpu) => gpu.migDevices.some((mig) => mig.uuid === null)).map(whole);
}
