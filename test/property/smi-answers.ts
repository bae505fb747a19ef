import { seen, type Observed } from '../../src/model/observation.ts';
import type { DriverView, Gpu, ListedProcess } from '../../src/model/device.ts';
import type { ProcessLook, Snapshot } from '../../src/model/snapshot.ts';
import { observeDriver, observeListed, type NvidiaSmi } from '../../src/observe/nvidia-smi/index.ts';
import { parseSmiXml } from '../../src/observe/nvidia-smi/smi-xml.ts';
import { newGpu, newMig, newWorld } from '../hostsim/new-world.ts';
import { renderComputeApps, renderGpuQuery, renderList } from '../hostsim/smi-csv.ts';
import { selectGpus } from '../hostsim/smi-device.ts';
import { renderPmon } from '../hostsim/smi-pmon.ts';
import { renderXml } from '../hostsim/smi-xml.ts';
import type { Fault, WorldGpu, WorldProcess } from '../hostsim/world.ts';
import { type GpuState, type HostState, lookAt, snapshotOf } from './host.ts';

/*
 * What nvidia-smi says of a generated host, in its own words, and what gpuctl makes of that: the real readers from the first
 * byte on, in place of a driver's view that was made up.
 */

export const ANSWERS = ['list', 'xml', 'index', 'apps'] as const;
export type AnswerName = (typeof ANSWERS)[number];

export interface SmiAnswer {
  readonly stdout: string;
  readonly exitCode: number;
}

/** The answers of one round; `only` gives those of a single device, by bus id. */
export interface SmiHost {
  readonly answers: Readonly<Record<AnswerName, SmiAnswer>>;
  readonly pmon: SmiAnswer;
  readonly only: (name: AnswerName, busId: string) => SmiAnswer;
  readonly busIds: readonly string[];
}

const FORMAT = { header: true, units: true } as const;
const INDEX = ['index', 'uuid', 'pci.bus_id'];
const APPS = ['gpu_uuid', 'pid', 'used_memory'];
const NOON = new Date(Date.UTC(2026, 10, 22, 9, 5));

/** A generated host through the simulated nvidia-smi of this driver. */
export function answersOf(host: HostState, driver: string): SmiHost {
  const world = { ...newWorld(driver, host.gpus.map((gpu, n) => worldGpu(gpu, n, host))), faults: host.gpus.flatMap(faultsOf) };
  const render = (name: AnswerName, gpus: readonly WorldGpu[]): SmiAnswer => {
    const { text, exitCode } = {
      list: () => renderList(world, gpus),
      xml: () => ({ text: renderXml(world, gpus, NOON), exitCode: 0 }),
      index: () => renderGpuQuery(world, gpus, INDEX, FORMAT),
      apps: () => renderComputeApps(world, gpus, APPS, FORMAT),
    }[name]();
    return { stdout: text, exitCode };
  };
  const { text, exitCode } = renderPmon(world, world.gpus, 'u');
  return {
    answers: { list: render('list', world.gpus), xml: render('xml', world.gpus), index: render('index', world.gpus), apps: render('apps', world.gpus) },
    pmon: { stdout: text, exitCode },
    only: (name, busId) => render(name, selectGpus(world, busId) ?? []),
    busIds: host.gpus.map(({ pciBusId }) => pciBusId),
  };
}

function worldGpu(gpu: GpuState, n: number, { processes }: HostState): WorldGpu {
  const rows = processes.flatMap(({ pid, title, rows: its }) => its.filter(({ gpu: on }) => on === n).map(({ type, usedMiB }): WorldProcess => ({
    // Listed whoever lives: whether it does, /proc tells.
    pid, type: type === 'other' ? 'G' : type, name: title, usedMiB, ghost: true,
  })));
  return newGpu(n, {
    uuid: gpu.uuid, index: n, minor: gpu.minorNumber ?? n, busId: gpu.pciBusId.toUpperCase(), processes: rows, utilization: 40,
    architecture: gpu.mig === 'unsupported' ? 'Turing' : 'Ampere',
    mig: gpu.mig === 'yes' ? gpu.migDevices.map((mig, at) => newMig(n, at, { gi: mig.gpuInstanceId ?? at })) : null,
    migPending: gpu.mig === 'yes' || gpu.migPending === 'yes',
    display: gpu.display === 'yes' ? 'active' : 'none',
    recovery: RECOVERY[gpu.recovery.kind === 'value' ? gpu.recovery.value : 'none'] ?? 'None',
    repairPending: gpu.repairPending === 'yes', usedMiB: gpu.unexplainedMiB ?? 3,
    readings: {
      ...(gpu.minorNumber === null ? { minor_number: 'N/A' } : {}),
      ...(gpu.mig === 'error' ? { 'mig_mode/current_mig': 'Unknown Error' } : {}),
      ...(gpu.display === 'error' ? { display_active: 'Unknown Error' } : {}),
      ...(gpu.unexplainedMiB === null ? { 'fb_memory_usage/used': 'Unknown Error' } : {}),
    },
  });
}

const RECOVERY: Readonly<Record<string, string>> = { 'reset': 'Reset', 'reboot': 'Reboot', 'drain-p2p': 'Drain P2P', 'drain-and-reset': 'Drain and Reset', 'other': 'Pray' };

function faultsOf({ uuid, listUnknown, faults }: GpuState): readonly Fault[] {
  const error = faults.includes('GPU is lost') ? 'lost' : faults.includes('GPU requires reset') ? 'reset-required' : 'unknown';
  return [
    ...(listUnknown === null ? [] : [{ kind: 'swallow-processes', error: 'Insufficient Permissions', gpu: uuid } as const]),
    ...(faults.length === 0 ? [] : [{ kind: 'sick-gpu', gpu: uuid, error, style: 'readings' } as const]),
  ];
}

/** A document of a real machine, with the other answers that agree with it. Null: it is no document that can be read. */
export function answersAround(xml: string): (SmiHost & { readonly gpus: readonly Gpu[] }) | null {
  const document = seen(parseSmiXml(xml, 0));
  if (document === null || document.gpus.length === 0) return null;
  const of = (gpus: readonly Gpu[]): Record<AnswerName, SmiAnswer> => ({
    xml: { stdout: xml, exitCode: 0 },
    list: said(gpus.map(({ uuid, name }) => `GPU ${document.gpus.findIndex((gpu) => gpu.uuid === uuid)}: ${name} (UUID: ${uuid})`)),
    index: said(['index, uuid, pci.bus_id', ...gpus.map(({ uuid, pciBusId }) => `${document.gpus.findIndex((gpu) => gpu.uuid === uuid)}, ${uuid}, ${pciBusId.toUpperCase()}`)]),
    apps: said(['gpu_uuid, pid, used_gpu_memory [MiB]', ...gpus.flatMap(({ uuid, processes }) => (processes.state === 'known' ? processes.processes.filter(({ type }) => type.includes('C')).map(({ pid, usedMiB }) => `${uuid}, ${pid}, ${usedMiB === null ? '[N/A]' : `${usedMiB} MiB`}`) : []))]),
  });
  return {
    answers: of(document.gpus), pmon: said(['# gpu pid type sm', '# Idx # C/G %', ...document.gpus.map((_, n) => `${n} - - -`)]), gpus: document.gpus,
    // No real machine's document can be asked for less.
    only: () => ({ stdout: '', exitCode: 255 }), busIds: [],
  };
}

function said(lines: readonly string[]): SmiAnswer {
  return { stdout: lines.map((line) => `${line}\n`).join(''), exitCode: 0 };
}

export type Damaged = (name: AnswerName, answer: SmiAnswer) => SmiAnswer;
export const undamaged: Damaged = (_, answer) => answer;

function smiOf(host: SmiHost, damaged: Damaged): NvidiaSmi {
  return {
    path: 'nvidia-smi', timeoutMs: 60_000, candidates: () => host.busIds,
    run: ({ args }) => {
      const name = nameOf(args);
      const one = args.indexOf('-i');
      const answer = one < 0 ? host.answers[name] : host.only(name, args[one + 1] ?? '');
      return Promise.resolve({ ...damaged(name, answer), stderr: '', problem: null });
    },
  };
}

function nameOf(args: readonly string[]): AnswerName {
  if (args.includes('-L')) return 'list';
  if (args.includes('-q')) return 'xml';
  return args[0]?.startsWith('--query-gpu') === true ? 'index' : 'apps';
}

/** The driver's view of a host whose answers were damaged, and its compute list at the second look. */
export async function readDamaged(host: SmiHost, damaged: Damaged): Promise<{ readonly driver: Observed<DriverView>; readonly listed: Observed<readonly ListedProcess[]> }> {
  const smi = smiOf(host, damaged);
  return { driver: await observeDriver(smi), listed: await observeListed(smi) };
}

/** Everything seen of the host, with this driver's view: /proc is read for whom it lists. */
export function snapshotWith(host: HostState, driver: Observed<DriverView>, takenAt: number): Snapshot {
  const base = snapshotOf(host, takenAt);
  const pids = [...new Set((seen(driver)?.gpus ?? []).flatMap(({ processes }) => (processes.state === 'known' ? processes.processes.map(({ pid }) => pid) : [])))];
  const listed = lookAt(host, { pids, containerIds: [], takenAt, glance: true }).processes;
  const { processes } = base;
  // What /proc hides it hides whoever asks for it.
  return { ...base, driver, processes: processes.state === 'failed' ? processes : { ...processes, value: { ...processes.value, listed } } };
}

/** The second look, with this compute list. */
export function lookWith(look: ProcessLook | null, listed: Observed<readonly ListedProcess[]>): ProcessLook | null {
  return look === null ? null : { ...look, listed };
}

