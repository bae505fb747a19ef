import type { MigDevice } from '../../model/device.ts';
import { malformed } from './failure.ts';
import { asCount, asNumber, readText } from './reading.ts';
import type { XmlElement, XmlNode } from './xml.ts';

/**
 * The MIG devices of one GPU, without UUID and profile, which only `-L` has.
 * @throws {Refusal} where a device has no number, or two have the same.
 */
export function readMigDevices(gpu: XmlElement): readonly MigDevice[] {
  const group = gpu['mig_devices'];
  if (group === undefined || typeof group === 'string') return [];
  const devices = ((group as XmlElement)['mig_device'] ?? []) as readonly XmlNode[];
  const read = devices.map(readMigDevice);
  if (new Set(read.map(({ index }) => index)).size < read.length) malformed('two MIG devices of a GPU have the same index');
  return read;
}

function readMigDevice(device: XmlNode): MigDevice {
  return {
    uuid: null,
    index: asCount(readText(device, 'index')) ?? malformed('a MIG device has no index'),
    profile: null,
    gpuInstanceId: asCount(readText(device, 'gpu_instance_id')),
    computeInstanceId: asCount(readText(device, 'compute_instance_id')),
    totalMiB: asNumber(readText(device, 'fb_memory_usage', 'total'), 'MiB'),
    usedMiB: asNumber(readText(device, 'fb_memory_usage', 'used'), 'MiB'),
  };
}
