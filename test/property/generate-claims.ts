import type { DeviceRequest, InspectedContainer } from '../../src/model/container.ts';
import type { GpuState } from './host.ts';

/** Text that was written to be misread: it must not matter. */
export const HOSTILE_TEXTS: readonly string[] = [
  "'; DROP TABLE acts; --", '$(reboot)', '`id`', 'line\nbreak\r\n', '\u001b[2J\u001b]0;owned\u0007', '\u202Egnp.exe', '\u0000', '__proto__', 'constructor', '../../etc/passwd',
  'x-GPU-00000000-0000-4000-8000-000000000000', 'nvidia-persistenced', '-r', '--gpu-reset', '%n%s', '"quoted"', 'a'.repeat(5000), '\ud800', 'running',
];

const gpuRequest: DeviceRequest = { driver: '', count: 0, deviceIds: [], capabilities: [['gpu']] };

type Claimer = (container: InspectedContainer, gpu: GpuState, mig: number) => Partial<InspectedContainer>;

function requested(ids: (gpu: GpuState, mig: number) => readonly string[], more: Partial<DeviceRequest> = {}): Claimer {
  return ({ deviceRequests }, gpu, mig) => ({ deviceRequests: [...deviceRequests, { ...gpuRequest, deviceIds: ids(gpu, mig), ...more }] });
}

function visible(text: (gpu: GpuState, mig: number) => string, runtime: string | null = 'nvidia'): Claimer {
  return ({ env }, gpu, mig) => ({ runtime, env: [...env, 'PATH=/bin', `NVIDIA_VISIBLE_DEVICES=${text(gpu, mig)}`] });
}

function labelled(key: string, text: (gpu: GpuState, mig: number) => string): Claimer {
  return ({ labels }, gpu, mig) => ({ labels: { ...labels, [key]: text(gpu, mig) } });
}

const indexOf = ({ index }: GpuState): string => String(index ?? 0);
const migOf = ({ migDevices, uuid }: GpuState, mig: number): string => migDevices[mig % Math.max(1, migDevices.length)]?.uuid ?? uuid;

/** Every way in which a container may refer to a device, and some that only look like one. */
const CLAIMERS = {
  'request-uuid': requested(({ uuid }) => [uuid]),
  'request-index': requested((gpu) => [indexOf(gpu)]),
  'request-mig': requested((gpu, mig) => [migOf(gpu, mig)]),
  'request-mig-pair': requested((gpu, mig) => [`${indexOf(gpu)}:${mig}`]),
  'request-several': requested((gpu) => [indexOf(gpu), gpu.uuid]),
  'request-list': requested((gpu) => [`${indexOf(gpu)},${gpu.uuid}`]),
  'request-all': requested(() => [], { count: -1 }),
  'request-two': requested(() => [], { count: 2 }),
  'request-none': requested(() => [], { count: 0 }),
  'request-compute': requested(({ uuid }) => [uuid], { capabilities: [['compute', 'utility']] }),
  'request-nvidia': requested((gpu) => [indexOf(gpu)], { driver: 'nvidia', capabilities: [['nvidia']] }),
  'request-other-vendor': requested(() => ['0'], { driver: 'amd' }),
  'request-hostile': requested(() => HOSTILE_TEXTS),
  'cdi-index': requested((gpu) => [`nvidia.com/gpu=${indexOf(gpu)}`], { driver: 'cdi' }),
  'cdi-uuid': requested(({ uuid }) => [`nvidia.com/gpu=${uuid}`], { driver: 'cdi' }),
  'cdi-all': requested(() => ['management.nvidia.com/gpu=all'], { driver: 'cdi' }),
  'cdi-odd': requested(() => ['nvidia.com/gpu=mig0:1x'], { driver: 'cdi' }),
  'cdi-other-vendor': requested(() => ['amd.com/gpu=0', 'vendor.com/net=all'], { driver: 'cdi' }),
  'env-uuid': visible(({ uuid }) => uuid),
  'env-list': visible((gpu, mig) => `${gpu.uuid},${migOf(gpu, mig)}`),
  'env-index': visible(indexOf),
  'env-all': visible(() => 'all'),
  'env-void': visible(() => 'void'),
  'env-none': visible(() => 'none'),
  'env-empty': visible(() => ''),
  'env-unread': visible(() => 'all', 'runc'),
  'effective': (_, { uuid }) => ({ runtime: 'nvidia', effectiveVisibleDevices: uuid }),
  'effective-void': (_, { uuid }) => ({ runtime: 'nvidia', env: [`NVIDIA_VISIBLE_DEVICES=${uuid}`], effectiveVisibleDevices: 'void' }),
  'node': ({ deviceNodes }, { minorNumber }) => ({ deviceNodes: [...deviceNodes, '/dev/nvidiactl', `/dev/nvidia${minorNumber ?? 0}`] }),
  'node-tree': ({ deviceNodes }) => ({ deviceNodes: [...deviceNodes, '/dev'] }),
  'node-other': ({ deviceNodes }) => ({ deviceNodes: [...deviceNodes, '/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/fuse'] }),
  'label-uuid': labelled('ds01.gpu.uuid', ({ uuid }) => uuid),
  'label-uuids': labelled('gpuctl.devices', (gpu, mig) => ` ${migOf(gpu, mig)} , ${gpu.uuid}`),
  'label-slot': labelled('ds01.gpu.allocated', (gpu, mig) => `${indexOf(gpu)}.${mig}`),
  'label-hostile': labelled('gpuctl.device', () => HOSTILE_TEXTS.join(',')),
  'label-elsewhere': labelled('com.example.gpu', ({ uuid }) => uuid),
  'name-only': ({ name }, { uuid }) => ({ name: `${name}-${uuid}` }),
} as const satisfies Record<string, Claimer>;

export type ClaimKind = keyof typeof CLAIMERS;
export const CLAIM_KINDS = Object.keys(CLAIMERS) as readonly ClaimKind[];

/** The container with one more reference to this GPU. */
export function claimOn(container: InspectedContainer, kind: ClaimKind, gpu: GpuState | undefined, mig: number): InspectedContainer {
  return gpu === undefined ? container : { ...container, ...CLAIMERS[kind](container, gpu, mig) };
}
