import { readdirSync, readlinkSync } from 'node:fs';
import { normalizeBusId } from '../../model/device.ts';
import type { PciGpu } from '../../model/lost.ts';
import { attempt, readText } from '../proc/read.ts';

const NVIDIA = '0x10de';
/** VGA and 3D controllers; a GPU's audio, USB and NVSwitch functions have other classes. PCI Code and ID Assignment, class 03. */
const DISPLAY_CLASS = /^0x030[02]/;
/** Drivers that hold a device for a virtual machine. */
const HANDED_ON: ReadonlySet<string> = new Set(['vfio-pci', 'pci-stub']);

/**
 * Every GPU of NVIDIA's on the PCI bus that is this host's own to use; null: the bus could not be read. Files of sysfs
 * that the kernel answers from memory: the device itself is not asked, so nothing can hang.
 */
export function observePciGpus(root = '/sys/bus/pci/devices'): readonly PciGpu[] | null {
  const names = attempt(() => readdirSync(root));
  return names.ok ? names.value.flatMap((name) => readGpu(name, `${root}/${name}`)) : null;
}

function readGpu(name: string, folder: string): readonly PciGpu[] {
  const pciBusId = normalizeBusId(name);
  if (pciBusId === null || read(folder, 'vendor') !== NVIDIA || !DISPLAY_CLASS.test(read(folder, 'class'))) return [];
  const isVirtual = attempt(() => readlinkSync(`${folder}/physfn`)).ok;
  const link = attempt(() => readlinkSync(`${folder}/driver`));
  const driver = link.ok ? link.value.slice(link.value.lastIndexOf('/') + 1) : null;
  return isVirtual || HANDED_ON.has(driver ?? '') ? [] : [{ pciBusId, driver }];
}

function read(folder: string, file: string): string {
  const text = readText(`${folder}/${file}`);
  return text.ok ? text.value.trim() : '';
}
