import { classifyFailure, malformed, Refusal } from './failure.ts';
import { busIdIn, isHarmless, parseRemarks, type Remark } from './remarks.ts';
import { quote } from './text.ts';

/** Rows of a `--query-…` call, and the lines that are none. */
export interface SmiCsv {
  readonly rows: readonly (readonly string[])[];
  readonly remarks: readonly Remark[];
}

/** One pattern for each column's heading. */
export type Header = readonly RegExp[];

/**
 * Reads `--format=csv`, heading and units included: the heading proves that the query ran and answers what was asked, so
 * that an empty list can be told from no answer. Error texts stand in brackets in place of values.
 * @throws {Refusal} for another exit code than 0, no or another heading, a row of another width, or a row that is cut off.
 */
export function readCsv(stdout: string, exitCode: number, header: Header): SmiCsv {
  if (exitCode !== 0) throw new Refusal(classifyFailure(exitCode, stdout, null));
  const lines = stdout.split('\n');
  const at = lines.findIndex((line) => isHeader(line, header));
  if (at < 0) throw new Refusal(classifyFailure(0, stdout, null));
  if (lines.pop() !== '') malformed(`the answer is cut off: ${quote(lines.at(-1) ?? '')}`);
  const rows: string[][] = [];
  const others = lines.slice(0, at);
  for (const line of lines.slice(at + 1)) {
    const cells = split(line);
    if (cells.length === header.length) rows.push(cells);
    else others.push(line);
  }
  return { rows, remarks: readRemarks(others) };
}

function readRemarks(lines: readonly string[]): readonly Remark[] {
  const said = lines.filter((line) => line.trim() !== '');
  const [first] = said;
  if (first !== undefined && busIdIn(first) === null && !isHarmless(first)) malformed(`there is a line that is no row: ${quote(first)}`);
  return parseRemarks(said);
}

function isHeader(line: string, header: Header): boolean {
  const cells = split(line);
  return cells.length === header.length && header.every((pattern, column) => pattern.test(cells[column] ?? ''));
}

function split(line: string): string[] {
  return line.split(',').map((cell) => cell.trim());
}
