import type { ProcessUse } from '../../model/activity.ts';
import { complete, type Observed } from '../../model/observation.ts';
import { classifyFailure, malformed, Refusal, refusable } from './failure.ts';
import { asPid } from './process-list.ts';
import { quote } from './text.ts';

/** The arguments whose answer `parsePmon` reads: one look at what each process uses. */
export const PMON_ARGS = ['pmon', '-c', '1', '-s', 'u'] as const;

/** Where each column stands; they differ from driver to driver, and only the heading tells. */
interface Columns {
  readonly count: number;
  readonly gpu: number;
  readonly pid: number;
  /** Null: this answer has no such column. */
  readonly sm: number | null;
}

/**
 * `pmon -c 1`. A dash is no sample, which is not 0. A board or driver that cannot tell is `refused`; an answer that is cut
 * off is malformed. A process calls itself what it likes: a line that is no row is passed over, and where two rows are of
 * one process on one device, neither counts.
 */
export function parsePmon(stdout: string, exitCode: number): Observed<readonly ProcessUse[]> {
  return refusable(() => {
    if (exitCode !== 0 || /^\s*Not supported/im.test(firstLineOf(stdout))) throw refusalOf(stdout, exitCode);
    const lines = stdout.split('\n');
    if (lines.pop() !== '') malformed(`pmon's answer is cut off: ${quote(lines.at(-1) ?? '')}`);
    let columns: Columns | null = null;
    const rows: ProcessUse[] = [];
    for (const line of lines) {
      const heading = columnsIn(line);
      if (heading !== null && rows.length > 0 && !sameColumns(heading, columns)) malformed('pmon changes its columns in the middle');
      columns = heading ?? columns;
      const row = columns === null || heading !== null ? null : rowIn(line, columns);
      if (row !== null) rows.push(row);
    }
    if (columns === null) throw new Refusal(classifyFailure(0, stdout, null));
    return complete(withoutTwins(rows));
  });
}

function firstLineOf(text: string): string {
  return text.split('\n').find((line) => line.trim() !== '') ?? '';
}

function refusalOf(stdout: string, exitCode: number): Refusal {
  const failure = classifyFailure(exitCode, stdout, null);
  return new Refusal(/not supported/i.test(firstLineOf(stdout)) ? { ...failure, code: 'refused' } : failure);
}

/** Null: the line is no heading. */
function columnsIn(line: string): Columns | null {
  const [mark, ...names] = cellsIn(line);
  if (mark !== '#' || names[0] !== 'gpu') return null;
  const [pid, sm] = [names.indexOf('pid'), names.indexOf('sm')];
  return pid < 0 ? null : { count: names.length, gpu: 0, pid, sm: sm < 0 ? null : sm };
}

function sameColumns(one: Columns, other: Columns | null): boolean {
  return other !== null && one.count === other.count && one.pid === other.pid && one.sm === other.sm;
}

/** Null: the line is no row, or that of a device on which nothing runs. */
function rowIn(line: string, { count, gpu, pid, sm }: Columns): ProcessUse | null {
  const cells = cellsIn(line);
  const [index = '', process = ''] = [cells[gpu], cells[pid]];
  const known = asPid(/^\d{1,10}$/.test(process) ? Number(process) : null);
  if (!/^\d{1,4}$/.test(index) || known === null) return null;
  if (cells.length < count) malformed(`pmon's row is too short: ${quote(line)}`);
  return { gpuIndex: Number(index), pid: known, smPercent: percentIn(sm === null ? '' : (cells[sm] ?? '')) };
}

/** By spaces alone, as pmon writes them: any other white space, in the middle of a number, would make two of it. */
function cellsIn(line: string): readonly string[] {
  return line.trim().split(/ +/);
}

function percentIn(cell: string): number | null {
  const percent = /^\d{1,3}$/.test(cell) ? Number(cell) : null;
  return percent !== null && percent <= 100 ? percent : null;
}

function withoutTwins(rows: readonly ProcessUse[]): readonly ProcessUse[] {
  const byProcess = Map.groupBy(rows, ({ gpuIndex, pid }) => `${gpuIndex} ${pid}`);
  return [...byProcess.values()].flatMap((mine) => (mine.length === 1 ? mine : []));
}
