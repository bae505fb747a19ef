import { GPU_UUID, normalizeBusId } from '../../model/device.ts';
import { observed, type Observed } from '../../model/observation.ts';
import { readCsv } from './csv.ts';
import { malformed, refusable } from './failure.ts';
import { gapsOf, type Remark } from './remarks.ts';
import { quote } from './text.ts';

/** One row; null: an error text stands in its place. */
export interface IndexRow {
  readonly index: number | null;
  readonly uuid: string | null;
  readonly busId: string | null;
}

export interface GpuIndex {
  readonly rows: readonly IndexRow[];
  readonly remarks: readonly Remark[];
}

/** The arguments whose answer `parseGpuIndex` reads. */
export const GPU_INDEX_ARGS = ['--query-gpu=index,uuid,pci.bus_id', '--format=csv'] as const;
const HEADER = [/^index$/, /^uuid$/, /^pci\.bus_id$/];

/** `--query-gpu=index,uuid,pci.bus_id`. Partial where a row or a line reports a GPU that could not be read. */
export function parseGpuIndex(stdout: string, exitCode: number): Observed<GpuIndex> {
  return refusable(() => {
    const { rows: cells, remarks } = readCsv(stdout, exitCode, HEADER);
    const rows = cells.map(readRow);
    refuseTwins(rows);
    const bad = rows.flatMap((row, at) => (Object.values(row).includes(null) ? [{ subject: row.busId ?? 'gpu', why: `--query-gpu: ${quote((cells[at] ?? []).join(', '))}` }] : []));
    return observed({ rows, remarks }, [...gapsOf(remarks), ...bad]);
  });
}

function readRow([index = '', uuid = '', busId = '']: readonly string[]): IndexRow {
  return {
    index: /^\d{1,4}$/.test(index) ? Number(index) : null,
    uuid: GPU_UUID.test(uuid) ? uuid : null,
    busId: normalizeBusId(busId),
  };
}

function refuseTwins(rows: readonly IndexRow[]): void {
  for (const key of ['index', 'uuid', 'busId'] as const) {
    const values = rows.map((row) => row[key]).filter((value) => value !== null);
    if (new Set<unknown>(values).size < values.length) malformed(`--query-gpu names the same ${key} twice`);
  }
}
