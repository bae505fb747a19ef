import { readFileSync } from 'node:fs';
import type { Fault, World, WorldGpu, WorldHolder, WorldProcess } from './world.ts';

/** Main number of the driver's version: what the shape of an answer depends on. */
export function mainVersion(world: World): number {
  return Number.parseInt(world.driver, 10);
}

/** The first fault of this kind that concerns this GPU (or, without one, the whole host). */
export function faultOf<K extends Fault['kind']>(world: World, kind: K, gpu?: WorldGpu): Extract<Fault, { kind: K }> | undefined {
  return world.faults.find(
    (fault): fault is Extract<Fault, { kind: K }> =>
      fault.kind === kind && (!('gpu' in fault) || fault.gpu === undefined || fault.gpu === gpu?.uuid),
  );
}

/** Field 22 and the state of /proc/PID/stat; null: no such process. */
export function processStat(pid: number): { startTicks: number; state: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { startTicks: Number(fields[19]), state: fields[0] ?? '' };
  } catch {
    return null;
  }
}

function isAlive(process: WorldProcess | WorldHolder): boolean {
  const stat = processStat(process.pid);
  if (stat === null) return false;
  if (process.startTicks !== undefined && process.startTicks !== stat.startTicks) return false;
  return stat.state !== 'Z' || ('listedAsZombie' in process && process.listedAsZombie === true);
}

/** What the driver lists on this GPU now. */
export function listedProcesses(gpu: WorldGpu): WorldProcess[] {
  return gpu.processes.filter((process) => process.ghost === true || isAlive(process));
}

/** Does a living client keep this GPU from being reset? */
export function isInUse(gpu: WorldGpu): boolean {
  return gpu.processes.some((process) => process.ghost !== true && isAlive(process)) || gpu.holders.some(isAlive);
}

/** Base, what stuck, what ended processes left behind, and the living. */
export function usedMiB(gpu: WorldGpu): number {
  const listed = new Set(listedProcesses(gpu));
  const ofProcess = (process: WorldProcess): number =>
    listed.has(process) ? (process.usedMiB ?? 0) : (process.leavesMiB ?? 0);
  return gpu.usedMiB + gpu.stickyMiB + gpu.processes.reduce((sum, process) => sum + ofProcess(process), 0);
}

/** Four-digit domain, as error texts have it. */
export function shortBusId(busId: string): string {
  return busId.replace(/^0000(?=[0-9A-F]{4}:)/i, '');
}

/** The GPUs that `-i` means: index, bus id in any spelling, or UUID; several with commas. Null: one of them does not exist. */
export function selectGpus(world: World, selector: string | null): WorldGpu[] | null {
  if (selector === null) return [...world.gpus];
  const chosen = selector.split(',').map((part) => world.gpus.find((gpu) => isMeant(gpu, part.trim())));
  return chosen.includes(undefined) ? null : (chosen as WorldGpu[]);
}

function isMeant(gpu: WorldGpu, text: string): boolean {
  if (/^\d+$/.test(text)) return gpu.index === Number(text);
  return gpu.uuid === text || busNumbers(gpu.busId) === busNumbers(text);
}

/** Domain, bus and device as numbers: the tools of this world write them in three widths and two cases. */
function busNumbers(busId: string): string {
  const parts = busId.split(':');
  const [domain = '', bus = '', device = ''] = parts.length === 2 ? ['0', ...parts] : parts;
  return [domain, bus, device].map((part) => Number.parseInt(part, 16)).join(':') + busId.slice(-2);
}
