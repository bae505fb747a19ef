import { GPU_SHAPE } from './smi-shape.ts';
import { faultOf, listedProcesses, mainVersion, usedMiB } from './smi-device.ts';
import { NVML } from './smi-texts.ts';
import type { World, WorldGpu, WorldMig, WorldProcess } from './world.ts';

/** CUDA versions by driver branch, newest last. */
const CUDA: readonly (readonly [number, string])[] = [[470, '11.4'], [510, '11.7'], [535, '12.2'], [550, '12.4'], [570, '12.8'], [580, '13.0'], [590, '13.1']];

/** Memory that the driver keeps for itself; counted apart from drivers 510 on. */
export const RESERVED_MIB = 479;

/** The document of `nvidia-smi -q -x` for these GPUs of this world. */
export function renderXml(world: World, gpus: readonly WorldGpu[], now: Date): string {
  const version = mainVersion(world);
  const dtd = version >= 580 ? 13 : version >= 525 ? 12 : 11;
  const cuda = CUDA.findLast(([since]) => since <= version)?.[1] ?? '11.2';
  const head = [
    '<?xml version="1.0" ?>',
    `<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v${dtd}.dtd">`,
    '<nvidia_smi_log>',
    `\t<timestamp>${timestamp(now)}</timestamp>`,
    `\t<driver_version>${world.driver}</driver_version>`,
    `\t<cuda_version>${cuda}</cuda_version>`,
    `\t<attached_gpus>${world.attached ?? world.gpus.length}</attached_gpus>`,
  ];
  const shape = GPU_SHAPE.trim().split('\n').map(parseLine);
  return `${head.join('\n')}\n${gpus.map((gpu) => renderGpu(world, gpu, shape)).join('')}</nvidia_smi_log>\n`;
}

/** `Sat Nov 21 23:11:06 2026`, local time. */
function timestamp(now: Date): string {
  const [day, month, date, year, time] = now.toString().split(' ');
  return `${day} ${month} ${date} ${time} ${year}`;
}

interface ShapeLine { readonly depth: number; readonly conditions: readonly string[]; readonly mark: '' | '=' | '~'; readonly name: string; readonly text: string | null }

const LINE = /^(\t*)(?:\[([^\]]*)\])?([=~]?)(@?\w+)(?: (.*))?$/;

function parseLine(line: string): ShapeLine {
  const match = LINE.exec(line);
  if (match === null) throw new Error(`not a shape line: ${line}`);
  const [, tabs = '', conditions = '', mark = '', name = '', text] = match;
  return { depth: tabs.length, conditions: conditions.split(' ').filter(Boolean), mark: mark as ShapeLine['mark'], name, text: text ?? null };
}

/** Tells whether a condition of the shape holds for this driver and this board. */
function holds(condition: string, version: number, traits: ReadonlySet<string>): boolean {
  if (condition.endsWith('+')) return version >= Number.parseInt(condition, 10);
  if (condition.endsWith('-')) return version <= Number.parseInt(condition, 10);
  return condition.startsWith('!') ? !traits.has(condition.slice(1)) : traits.has(condition);
}

function renderGpu(world: World, gpu: WorldGpu, shape: readonly ShapeLine[]): string {
  const out = [`\t<gpu id="${gpu.busId}">`];
  const traits = traitsOf(gpu);
  const version = mainVersion(world);
  const values = valuesOf(world, gpu);
  const sick = faultOf(world, 'sick-gpu', gpu);
  const open: string[] = [];
  let skipBelow = Number.POSITIVE_INFINITY;
  const close = (depth: number): void => {
    while (open.length > depth) out.push(`${'\t'.repeat(open.length + 1)}</${open.pop()}>`);
  };
  for (const line of shape) {
    if (line.depth > skipBelow) continue;
    skipBelow = Number.POSITIVE_INFINITY;
    if (!line.conditions.every((condition) => holds(condition, version, traits))) { skipBelow = line.depth; continue; }
    close(line.depth);
    const indent = '\t'.repeat(line.depth + 2);
    if (line.name.startsWith('@')) { out.push(...block(line.name, world, gpu)); continue; }
    const failed = sick !== undefined && fails(line, sick.style);
    if (failed && BARE.has(line.name)) { out.push(`${indent}<${line.name}>${NVML[sick.error].value}</${line.name}>`); skipBelow = line.depth; continue; }
    if (line.text === null) { out.push(`${indent}<${line.name}>`); open.push(line.name); continue; }
    const stated = gpu.readings?.[[...open, line.name].join('/')];
    const text = failed ? NVML[sick.error].value : stated !== undefined ? escape(stated) : line.text.replace(/\$(\w+)/g, (_, key: string) => escape(values[key] ?? ''));
    out.push(`${indent}<${line.name}>${text}</${line.name}>`);
  }
  close(0);
  return `${out.join('\n')}\n\t</gpu>\n\n`;
}

/** Trees that collapse to one bare text when the board does not answer. */
const BARE = new Set(['clocks_event_reasons', 'clocks_throttle_reasons', 'remapped_rows']);

function fails(line: ShapeLine, style: 'handle' | 'property' | 'readings'): boolean {
  return style === 'property' ? line.mark !== '=' : style === 'readings' && (line.mark === '~' || line.name === 'remapped_rows');
}

function traitsOf(gpu: WorldGpu): ReadonlySet<string> {
  const traits = new Set<string>();
  if (gpu.architecture === 'Hopper') traits.add('hopper');
  if (gpu.architecture === 'Hopper' || gpu.architecture === 'Ampere') traits.add('ampere');
  if (gpu.mig !== null) traits.add('mig');
  return traits;
}

const onOff = (on: boolean): string => (on ? 'Enabled' : 'Disabled');
const yesNo = (yes: boolean): string => (yes ? 'Yes' : 'No');

/** Board default; a reset returns to it. */
export const DEFAULT_POWER_LIMIT_W = 700;

function valuesOf(world: World, gpu: WorldGpu): Record<string, string> {
  const version = mainVersion(world);
  const hasMig = gpu.architecture === 'Ampere' || gpu.architecture === 'Hopper';
  const migOn = gpu.mig !== null;
  const used = usedMiB(gpu);
  const reserved = version >= 510 ? RESERVED_MIB : 0;
  const [pciDomain = '', pciBus = '', pciDevice = ''] = gpu.busId.split(/[:.]/);
  const deprecated = version >= 570 ? 'Requested functionality has been deprecated' : null;
  return {
    name: gpu.name, uuid: gpu.uuid, busId: gpu.busId, driver: world.driver, architecture: gpu.architecture,
    minor: String(gpu.minor), serial: `165052200${String(gpu.minor).padStart(4, '0')}`, pdi: `0x${gpu.uuid.slice(4, 12)}00000000`,
    boardId: `0x${Number.parseInt(pciBus, 16).toString(16)}00`, pciBus, pciDevice, pciDomain: pciDomain.slice(-4),
    displayAttached: yesNo(gpu.display !== 'none'),
    displayActive: onOff(gpu.display !== 'none'),
    persistence: onOff(gpu.persistence),
    migCurrent: hasMig ? onOff(migOn) : 'N/A',
    migPending: hasMig ? onOff(gpu.migPending ?? migOn) : 'N/A',
    resetRequired: deprecated ?? yesNo(gpu.recovery === 'Reset'),
    drainAndReset: deprecated ?? yesNo(gpu.recovery === 'Drain and Reset'),
    recovery: gpu.recovery,
    idle: gpu.utilization > 0 ? 'Not Active' : 'Active',
    total: String(gpu.totalMiB), reserved: String(reserved), used: String(used), free: String(gpu.totalMiB - reserved - used),
    computeMode: gpu.computeMode,
    gpuUtil: migOn ? 'N/A' : `${gpu.utilization} %`,
    memoryUtil: migOn ? 'N/A' : `${Math.floor(gpu.utilization / 6)} %`,
    codecUtil: migOn ? 'N/A' : '0 %',
    retiredCount: hasMig ? 'N/A' : gpu.repairPending ? '1' : '0',
    pendingRetirement: hasMig ? 'N/A' : yesNo(gpu.repairPending),
    remappedUnc: gpu.repairPending ? '1' : '0', remapPending: yesNo(gpu.repairPending), remapFailed: yesNo(gpu.remapFailed),
    temperature: String(gpu.temperatureC), tlimit: gpu.architecture === 'Hopper' ? `${87 - gpu.temperatureC} C` : 'N/A',
    powerLimit: gpu.powerLimitW.toFixed(2), defaultPowerLimit: DEFAULT_POWER_LIMIT_W.toFixed(2),
  };
}

/** The driver escapes these four and nothing else: control characters and broken UTF-8 pass. */
function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function block(name: string, world: World, gpu: WorldGpu): string[] {
  if (name === '@mig_devices') return migDevices(faultOf(world, 'sick-gpu', gpu) ? { ...gpu, mig: [] } : gpu, mainVersion(world));
  if (name === '@processes') return processes(world, gpu);
  return ['\t\t<accounted_processes>', '\t\t</accounted_processes>'];
}

function processes(world: World, gpu: WorldGpu): string[] {
  if (faultOf(world, 'process-list-unsupported', gpu) !== undefined) return ['\t\t<processes>N/A</processes>'];
  const hidden =
    faultOf(world, 'swallow-processes', gpu) !== undefined ||
    faultOf(world, 'disagree', gpu)?.hideFrom === 'xml' ||
    faultOf(world, 'sick-gpu', gpu) !== undefined;
  const infos = hidden ? [] : listedProcesses(gpu).flatMap((process) => processInfo(gpu, process));
  return ['\t\t<processes>', ...infos, '\t\t</processes>'];
}

function processInfo(gpu: WorldGpu, process: WorldProcess): string[] {
  const mig = process.mig === undefined ? undefined : gpu.mig?.[process.mig];
  return [
    '\t\t\t<process_info>',
    `\t\t\t\t<gpu_instance_id>${mig?.gi ?? 'N/A'}</gpu_instance_id>`,
    `\t\t\t\t<compute_instance_id>${mig?.ci ?? 'N/A'}</compute_instance_id>`,
    `\t\t\t\t<pid>${process.pid}</pid>`,
    `\t\t\t\t<type>${process.type}</type>`,
    `\t\t\t\t<process_name>${escape(process.name)}</process_name>`,
    `\t\t\t\t<used_memory>${process.usedMiB === null ? 'N/A' : `${process.usedMiB} MiB`}</used_memory>`,
    '\t\t\t</process_info>',
  ];
}

function migDevices(gpu: WorldGpu, version: number): string[] {
  const devices = gpu.mig ?? [];
  if (devices.length === 0) return ['\t\t<mig_devices>', '\t\t\tNone', '\t\t</mig_devices>'];
  return ['\t\t<mig_devices>', ...devices.flatMap((mig, index) => migDevice({ gpu, mig, index, version })), '\t\t</mig_devices>'];
}

function migDevice({ gpu, mig, index, version }: { gpu: WorldGpu; mig: WorldMig; index: number; version: number }): string[] {
  // Compute instances of one GPU instance share its memory and report the same figures.
  const sharers = (gpu.mig ?? []).flatMap((other, n) => (other.gi === mig.gi ? [n] : []));
  const mine = listedProcesses(gpu).filter((process) => process.mig !== undefined && sharers.includes(process.mig));
  const used = mig.usedMiB + mine.reduce((sum, process) => sum + (process.usedMiB ?? 0), 0);
  const tree = `
mig_device
	index ${index}
	gpu_instance_id ${mig.gi}
	compute_instance_id ${mig.ci}
	device_attributes
		shared
			multiprocessor_count 14
			copy_engine_count 1
			encoder_count 0
			decoder_count 1
			ofa_count 0
			jpg_count 0
	ecc_error_count
		volatile_count
			sram_uncorrectable 0
	fb_memory_usage
		total ${mig.totalMiB} MiB
${version >= 510 ? '\t\treserved 0 MiB\n' : ''}\t\tused ${used} MiB
		free ${mig.totalMiB - used} MiB
	bar1_memory_usage
		total 32767 MiB
		used 0 MiB
		free 32767 MiB`;
  return renderTree(tree.trim().split('\n'), 3);
}

function renderTree(lines: readonly string[], depth: number): string[] {
  const out: string[] = [];
  const open: string[] = [];
  for (const line of lines.map(parseLine)) {
    while (open.length > line.depth) out.push(`${'\t'.repeat(depth + open.length - 1)}</${open.pop()}>`);
    const indent = '\t'.repeat(depth + line.depth);
    out.push(line.text === null ? `${indent}<${line.name}>` : `${indent}<${line.name}>${line.text}</${line.name}>`);
    if (line.text === null) open.push(line.name);
  }
  while (open.length > 0) out.push(`${'\t'.repeat(depth + open.length - 1)}</${open.pop()}>`);
  return out;
}
