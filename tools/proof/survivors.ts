/** As much of Stryker's report as is read here. */
export interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly ReportedMutant[] }>>;
}

interface ReportedMutant {
  readonly mutatorName: string;
  readonly replacement?: string;
  readonly status: string;
  readonly location: { readonly start: Position; readonly end: Position };
}

/** Both count from 1. */
interface Position {
  readonly line: number;
  readonly column: number;
}

/** One change of one place that could have been noticed. */
export interface Mutant {
  readonly file: string;
  readonly line: number;
  /** The whole line, without its indentation. */
  readonly source: string;
  readonly mutator: string;
  readonly was: string;
  readonly is: string;
  readonly killed: boolean;
}

/** Why mutants may survive. It speaks of all that every given member fits; places are told by their text, as lines move. */
export interface Excuse {
  readonly file: string;
  readonly mutator?: string;
  /** A part of the line. */
  readonly line?: string;
  readonly was?: string;
  readonly is?: string;
  readonly reason: string;
}

/** Neither killed nor alive: they were not run, or were no program. */
const NOT_RUN: ReadonlySet<string> = new Set(['Ignored', 'CompileError', 'RuntimeError', 'Pending']);
const KILLED: ReadonlySet<string> = new Set(['Killed', 'Timeout']);

/** A mutant that no test runs at all counts as one that survived. */
export function mutantsIn({ files }: Report): readonly Mutant[] {
  return Object.entries(files).flatMap(([file, { source, mutants }]) => {
    const lines = source.split('\n');
    return mutants.filter(({ status }) => !NOT_RUN.has(status)).map(({ mutatorName, replacement = '', status, location }): Mutant => ({
      file, line: location.start.line, source: (lines[location.start.line - 1] ?? '').trim(), mutator: mutatorName,
      was: oneLine(textAt(lines, location)), is: oneLine(replacement), killed: KILLED.has(status),
    }));
  });
}

function textAt(lines: readonly string[], { start, end }: ReportedMutant['location']): string {
  const text = lines.slice(start.line - 1, end.line).join('\n');
  const behind = (lines[end.line - 1] ?? '').length - (end.column - 1);
  return text.slice(start.column - 1, text.length - behind);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 100);
}

export function excused(mutant: Mutant, excuses: readonly Excuse[]): boolean {
  return excuses.some(({ file, mutator, line, was, is }) =>
    (mutant.file === file || (file.endsWith('/') && mutant.file.startsWith(file))) &&
    (mutator === undefined || mutant.mutator === mutator) &&
    (line === undefined || mutant.source.includes(line)) &&
    (was === undefined || mutant.was === was) &&
    (is === undefined || mutant.is === is));
}
