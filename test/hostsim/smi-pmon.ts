import { listedProcesses, mainVersion } from './smi-device.ts';
import type { Answer } from './smi-texts.ts';
import type { World, WorldGpu, WorldProcess } from './world.ts';

interface Layout { readonly width: number; readonly head: readonly [string, string]; readonly use: readonly string[]; readonly memory: readonly string[]; readonly memoryFirst: boolean }

/** Drivers from 550 on have wider columns, two more of use, and put memory behind them. */
const WIDE: Layout = {
  width: 7,
  head: ['# gpu         pid   type', '# Idx           #    C/G'],
  use: ['sm', 'mem', 'enc', 'dec', 'jpg', 'ofa'],
  memory: ['fb', 'ccpm'],
  memoryFirst: false,
};
const NARROW: Layout = {
  width: 6,
  head: ['# gpu        pid  type', '# Idx          #   C/G'],
  use: ['sm', 'mem', 'enc', 'dec'],
  memory: ['fb'],
  memoryFirst: true,
};

/** `pmon -c 1`, with `-s u`, `m` or `um`. No sample is a dash; under MIG every column is one. */
export function renderPmon(world: World, gpus: readonly WorldGpu[], select: string): Answer {
  const layout = mainVersion(world) >= 550 ? WIDE : NARROW;
  const use = select.includes('u') ? layout.use : [];
  const memory = select.includes('m') ? layout.memory : [];
  const columns = layout.memoryFirst ? [...memory, ...use] : [...use, ...memory];
  const units = columns.map((column) => (layout.memory.includes(column) ? 'MB' : '%'));
  const gap = ' '.repeat(layout.width - 3);
  const line = (head: string, cells: readonly string[], last: string): string =>
    `${head}${cells.map((cell) => cell.padStart(layout.width)).join('')}${gap}${last}`;
  const rows = gpus.flatMap((gpu) => {
    const listed = listedProcesses(gpu);
    if (listed.length === 0) return [line(`${idx(gpu)}          -     -`, columns.map(() => '-'), '-'.padEnd(15))];
    return listed.map((process) =>
      line(`${idx(gpu)}${String(process.pid).padStart(11)}${process.type.padStart(6)}`, columns.map((column) => sample(gpu, process, column)), shortName(process).padEnd(15)),
    );
  });
  const text = [line(layout.head[0], columns, 'command '), line(layout.head[1], units, 'name '), ...rows];
  return { text: text.map((row) => `${row}\n`).join(''), exitCode: 0 };
}

const idx = (gpu: WorldGpu): string => String(gpu.index).padStart(5);

function shortName(process: WorldProcess): string {
  return (process.name.split('/').at(-1) ?? '').slice(0, 15);
}

function sample(gpu: WorldGpu, process: WorldProcess, column: string): string {
  if (gpu.mig !== null) return '-';
  if (column === 'fb') return process.usedMiB === null ? '-' : String(process.usedMiB);
  if (column === 'sm' && process.smPercent !== undefined) return process.smPercent === null ? '-' : String(process.smPercent);
  if (column === 'sm' && gpu.utilization > 0) return String(gpu.utilization);
  return '-';
}
