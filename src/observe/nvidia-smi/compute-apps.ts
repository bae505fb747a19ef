import { GPU_UUID, type ListedProcess } from '../../model/device.ts';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import { readCsv } from './csv.ts';
import { malformed, refusable } from './failure.ts';
import { asPid } from './process-list.ts';
import { gapsOf, type Remark } from './remarks.ts';
import { quote } from './text.ts';

/** The driver's compute list. */
export interface ComputeApps {
  readonly rows: readonly ListedProcess[];
  /** GPUs whose list could not be read, by UUID: whether anything runs there is not known. */
  readonly unknown: readonly Gap[];
  /** Rows that do not say which GPU they are about. Any GPU without a row of its own may be meant. */
  readonly unattributed: readonly string[];
  readonly remarks: readonly Remark[];
}

/** The arguments whose answer `parseComputeApps` reads. No column holds anything that a user chose. */
export const COMPUTE_APPS_ARGS = ['--query-compute-apps=gpu_uuid,pid,used_memory', '--format=csv'] as const;
const HEADER = [/^gpu_uuid$/, /^pid$/, /^used_(?:gpu_)?memory(?: \[MiB\])?$/];

/**
 * `--query-compute-apps`. A row whose pid is no number is not a process but the admission that the list of that GPU could
 * not be read (`[Insufficient Permissions]`), or that there is none (`[N/A]`): partial.
 */
export function parseComputeApps(stdout: string, exitCode: number): Observed<ComputeApps> {
  return refusable(() => {
    const { rows: cells, remarks } = readCsv(stdout, exitCode, HEADER);
    const sorted = cells.map(sortRow);
    const apps = {
      rows: sorted.flatMap((row) => ('pid' in row ? [row] : [])),
      unknown: sorted.flatMap((row) => ('subject' in row && row.subject !== 'gpu' ? [row] : [])),
      unattributed: sorted.flatMap((row) => ('subject' in row && row.subject === 'gpu' ? [row.why] : [])),
      remarks,
    };
    const unnamed = apps.unattributed.map((why) => ({ subject: 'gpu', why }));
    return observed(apps, [...gapsOf(remarks), ...apps.unknown, ...unnamed]);
  });
}

/** What stands in the column of used memory: a number of MiB, or a text in brackets (or N/A) in place of it. */
const MEMORY = /^(?:\d+(?: MiB)?|\[.+\]|N\/A)$/;

function sortRow(cells: readonly string[]): ListedProcess | Gap {
  const [gpuUuid = '', text = '', memory = ''] = cells;
  // An error that came in the middle of a row took the rest of the rows with it.
  if (!MEMORY.test(memory)) malformed(`a row is cut off by something else: ${quote(cells.join(', '))}`);
  const pid = asPid(/^\d{1,10}$/.test(text) ? Number(text) : null);
  const why = `--query-compute-apps: ${quote(cells.join(', '))}`;
  if (!GPU_UUID.test(gpuUuid)) return { subject: 'gpu', why };
  return pid === null ? { subject: gpuUuid, why: `--query-compute-apps says "${quote(text)}" in place of its processes` } : { gpuUuid, pid };
}
