import type { ClaimSource } from '../model/claim.ts';
import { type DeviceRequest, heedsVisibleDevices, type InspectedContainer } from '../model/container.ts';

/** One text by which a container refers to devices. */
export interface Reference {
  readonly source: ClaimSource;
  readonly text: string;
  /**
   * What a text that names no device of this host means. `every-device`: access is granted by something that cannot be
   * understood, so it may be any. `nothing`: a label, or a name that only grants what it resolves to.
   */
  readonly unresolved: 'every-device' | 'nothing';
}

/** The kubelet's and the toolkit's folder: with `accept-nvidia-visible-devices-as-volume-mounts` each mount target in it names a device. */
const DEVICE_LIST_MOUNT = /^\/var\/run\/nvidia-container-devices\/(.+)$/;
/** Names of `ds01.gpu.allocated`: a slot `1`, or `1.2` (GPU 1, MIG device 2). */
export const SLOT_LABEL = 'ds01.gpu.allocated';

/** Every reference that a container's configuration makes, whatever its state. Live processes are not in it. */
export function referencesOf(container: InspectedContainer, deviceLabels: readonly string[]): readonly Reference[] {
  return [
    ...container.deviceRequests.flatMap(fromRequest),
    ...fromEnvironment(container),
    ...container.deviceNodes.flatMap(fromNode),
    ...[...deviceLabels, SLOT_LABEL].flatMap((label) => fromLabel(Object.hasOwn(container.labels, label) ? container.labels[label] : undefined)),
  ];
}

function fromRequest(request: DeviceRequest): readonly Reference[] {
  if (request.driver === 'cdi' || request.deviceIds.some((id) => id.includes('='))) return request.deviceIds.flatMap(fromCdi);
  // Without a driver's name the engine picks one by capability, and NVIDIA's answers to `gpu` as well as to `compute`, `utility`, …
  if (request.driver !== '' && request.driver !== 'nvidia') return [];
  // The engine joins the ids with commas, so one of them may hold several.
  const ids = request.deviceIds.length > 0 ? request.deviceIds.flatMap(splitList) : countedIds(request.count);
  return ids.map((text) => ({ source: 'device-request', text, unresolved: 'nothing' }));
}

/** The engine turns `Count: n` into the indices 0 … n−1, and −1 into all. */
function countedIds(count: number): readonly string[] {
  if (count < 0) return ['all'];
  return Array.from({ length: Math.min(count, 64) }, (_, index) => String(index));
}

/** `nvidia.com/gpu=0`, `management.nvidia.com/gpu=all`, `nvidia.com/gpu=0:1`; other vendors' devices are not ours. */
function fromCdi(name: string): readonly Reference[] {
  const parts = /^([^/=]+)\/([^=]+)=(.+)$/.exec(name);
  if (parts === null) return [{ source: 'cdi', text: name, unresolved: 'every-device' }];
  const [, vendor = '', kind = '', device = ''] = parts;
  if (vendor !== 'nvidia.com' && !vendor.endsWith('.nvidia.com')) return [];
  if (!/gpu|mig/i.test(kind)) return [];
  return [{ source: 'cdi', text: device, unresolved: 'every-device' }];
}

/**
 * `NVIDIA_VISIBLE_DEVICES` means something only where the NVIDIA runtime reads it. The environment of the running
 * process may add to what the configuration says, never take from it.
 */
function fromEnvironment(container: InspectedContainer): readonly Reference[] {
  const read = container.runtime?.includes('nvidia') ?? false;
  const configured = read ? container.env.filter((entry) => entry.startsWith('NVIDIA_VISIBLE_DEVICES=')).map((entry) => entry.slice(entry.indexOf('=') + 1)) : [];
  const mounted = read ? container.mountTargets.flatMap((target) => DEVICE_LIST_MOUNT.exec(target)?.[1] ?? []) : [];
  const effective = heedsVisibleDevices(container) ? [container.effectiveVisibleDevices ?? ''] : [];
  return [...new Set([...configured, ...mounted, ...effective])].flatMap(visibleDevices);
}

function visibleDevices(list: string): readonly Reference[] {
  if (/^\s*(?:none|void)\s*$/i.test(list)) return [];
  return splitList(list).flatMap((text) =>
    text.includes('=') ? fromCdi(text).map((reference) => ({ ...reference, source: 'environment' as const }))
      : [{ source: 'environment' as const, text, unresolved: 'nothing' as const }],
  );
}

function fromNode(written: string): readonly Reference[] {
  const path = plainPath(written);
  const minor = /^\/dev\/nvidia(\d+)$/.exec(path)?.[1];
  if (minor !== undefined) return [{ source: 'device-node', text: path, unresolved: 'nothing' }];
  const anyNode = path === '/' || path === '/dev' || path.startsWith('/dev/nvidia-caps');
  return anyNode ? [{ source: 'device-node', text: path, unresolved: 'every-device' }] : [];
}

/** Without doubled slashes, dots and a slash at the end; `/dev/char/195:n`, the kernel's other name of a node, as /dev/nvidia<n>. */
function plainPath(written: string): string {
  const parts: string[] = [];
  for (const part of written.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`.replace(/^\/dev\/char\/195:(?=\d)/, '/dev/nvidia');
}

function fromLabel(value: string | undefined): readonly Reference[] {
  return splitList(value ?? '').map((text) => ({ source: 'label', text, unresolved: 'nothing' }));
}

/** At most 256 different entries of a list that somebody else wrote; a host has fewer devices. */
function splitList(list: string): readonly string[] {
  return [...new Set(list.slice(0, 65_536).split(/[\s,;]/))].filter((text) => text !== '').slice(0, 256);
}
