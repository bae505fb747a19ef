import { Chalk, type ChalkInstance } from 'chalk';
import { defused } from '../../model/text.ts';
import type { Globals } from '../globals.ts';

/** Colours where somebody looks at them: `stream` is a terminal, no NO_COLOR, no --no-color. */
export function colours({ color }: Globals, stream: Pick<NodeJS.WriteStream, 'isTTY'> = process.stdout): ChalkInstance {
  const noColor = process.env['NO_COLOR'];
  const wanted = color !== false && (noColor === undefined || noColor === '') && stream.isTTY && process.env['TERM'] !== 'dumb';
  return new Chalk({ level: wanted ? 1 : 0 });
}

/** The one document of `--json`. JSON itself escapes what is below U+0020; a terminal is driven by more than that. */
export function renderJson(value: unknown): string {
  return `${defused(JSON.stringify(value, null, 2))}\n`;
}

/** Columns padded to the widest cell. A cell is padded by its text, then painted, so that colours do not count. */
export function renderTable(rows: readonly (readonly string[])[], paint: (cell: string, row: number, column: number) => string = (cell) => cell): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[], at: number): string => row.map((cell, column) => paint(column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0), at, column)).join('  ').trimEnd();
  return rows.map(line).join('\n');
}

/** `3 h 20 min`, `45 s`: two units at most. */
export function renderAge(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}
