import type { Gpu } from '../../model/device.ts';
import { seen, type Gap, type Observed } from '../../model/observation.ts';
import { known, misread } from '../../model/reading.ts';
import type { ListedMigDevice, SmiList } from './list.ts';
import type { SmiDocument } from './smi-xml.ts';

/** Does any source speak of MIG on any GPU? Then the list has to be read again after the document. */
export function hasMig(document: SmiDocument, list: SmiList): boolean {
  return document.gpus.some((gpu) => usesMig(gpu, list));
}

function usesMig(gpu: Gpu, list: SmiList): boolean {
  return known(gpu.migCurrent) === true || gpu.migDevices.length > 0 || listedFor(gpu, list).length > 0;
}

function listedFor({ uuid }: Gpu, list: SmiList): readonly ListedMigDevice[] {
  return list.gpus.find((gpu) => gpu.uuid === uuid)?.migDevices ?? [];
}

/** True: the MIG devices were the same before and after the document was read. */
export function isStable(before: SmiList, after: Observed<SmiList>): boolean {
  return JSON.stringify(before.gpus) === JSON.stringify(seen(after)?.gpus);
}

/**
 * Gives each MIG device the UUID and profile that `-L` prints for its number, which is sound only if the devices were the
 * same before and after. Otherwise they have none, and the GPU is a gap.
 */
export function joinMig(gpus: readonly Gpu[], before: SmiList, after: Observed<SmiList> | null): { readonly gpus: readonly Gpu[]; readonly gaps: readonly Gap[] } {
  const doubt = doubtAbout(before, after);
  const joined = gpus.map((gpu) => (usesMig(gpu, before) ? joinOne(withMode(gpu), listedFor(gpu, before), doubt) : { gpu, why: null }));
  return {
    gpus: joined.map(({ gpu }) => gpu),
    gaps: joined.flatMap(({ gpu, why }) => (why === null ? [] : [{ subject: gpu.pciBusId, why: `its MIG devices: ${why}` }])),
  };
}

/** A GPU with MIG devices whose mode says that it has none contradicts itself, and a reset would end whoever is on them. */
function withMode(gpu: Gpu): Gpu {
  return known(gpu.migCurrent) === true ? gpu : { ...gpu, migCurrent: misread('it has MIG devices, and its MIG mode is another') };
}

function doubtAbout(before: SmiList, after: Observed<SmiList> | null): string | null {
  if (!before.whole) return '-L did not come to its end';
  if (after === null) return 'MIG came on while nvidia-smi was asked';
  if (after.state === 'failed') return `the second -L failed: ${after.why}`;
  if (!after.value.whole) return 'the second -L did not come to its end';
  return isStable(before, after) ? null : 'they changed while nvidia-smi was asked, twice';
}

function joinOne(gpu: Gpu, listed: readonly ListedMigDevice[], doubt: string | null): { readonly gpu: Gpu; readonly why: string | null } {
  if (doubt !== null) return { gpu, why: doubt };
  const byIndex = new Map(listed.map((device) => [device.index, device]));
  const migDevices = gpu.migDevices.map((device) => {
    const { uuid = null, profile = null } = byIndex.get(device.index) ?? {};
    return { ...device, uuid, profile };
  });
  const same = migDevices.length === listed.length && migDevices.every(({ uuid }) => uuid !== null);
  return { gpu: { ...gpu, migDevices }, why: same ? null : `-q -x has ${numbers(gpu.migDevices)}, -L has ${numbers(listed)}` };
}

function numbers(devices: readonly { readonly index: number }[]): string {
  return devices.length === 0 ? 'none' : devices.map(({ index }) => `Device ${index}`).join(', ');
}
