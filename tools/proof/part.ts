/** One line of the table: what was tried, how much of it, and how it ended. */
export interface Part {
  readonly what: string;
  readonly tried: string;
  readonly floor: string;
  readonly seconds: number;
  readonly passed: boolean;
  /** What to look at or to do again; empty where it passed. */
  readonly told: readonly string[];
}

/** The parts as a table, and below it what there is to say of those that failed. */
export function renderParts(parts: readonly Part[]): string {
  const rows = [['what', 'tried', 'at least', 'seconds', ''], ...parts.map(({ what, tried, floor, seconds, passed }) => [what, tried, floor, seconds.toFixed(0), passed ? 'passed' : 'FAILED'])];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
  return `\n${[...lines, ...parts.flatMap(({ told }) => told)].join('\n')}\n`;
}
