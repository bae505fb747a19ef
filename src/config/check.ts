import * as v from 'valibot';
import type { ParsedDocument, Position } from './document.ts';
import { isAbsence } from './fields.ts';
import { exemptionSchema } from './limits-schema.ts';
import { keyText } from './mistake.ts';
import { configSchema } from './schema.ts';
import type { Mistake, Tree, Value } from './types.ts';

/** Every mistake in one file's keys. A file may lack any key but `version`. */
export function checkTree(file: string, { tree, positions }: ParsedDocument): readonly Mistake[] {
  if (Object.keys(tree).length === 0) return [];
  // Exemptions are judged one by one when all files are merged: a malformed one affects only itself.
  const judged = Array.isArray(tree['exemptions']) ? { ...tree, exemptions: [] } : tree;
  const issues = (v.safeParse(configSchema, judged).issues ?? []).filter((issue) => !isAbsence(issue));
  const mistakes = issues.map((issue) => mistakeOf(issue, { file, positions }));
  return 'version' in tree ? mistakes : [...mistakes, noVersion(file)];
}

function noVersion(file: string): Mistake {
  return { file, line: 1, column: 1, key: 'version', message: 'missing; the file must say version: 1' };
}

/** What is wrong with one exemption, each with the path below it; empty: nothing. */
export function exemptionProblems(exemption: Value): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  const issues = v.safeParse(exemptionSchema, exemption).issues ?? [];
  return issues.map((issue) => ({ path: pathOf(issue), message: isAbsence(issue) ? 'missing' : issue.message }));
}

function mistakeOf(issue: v.BaseIssue<unknown>, { file, positions }: { readonly file: string; readonly positions: ReadonlyMap<string, Position> }): Mistake {
  const path = pathOf(issue);
  const { line, column } = nearestPosition(path, (key) => positions.get(key)) ?? { line: 1, column: 1 };
  return { file, line, column, key: keyText(path), message: issue.message };
}

function pathOf(issue: v.BaseIssue<unknown>): readonly (string | number)[] {
  return (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)));
}

/** The position of a path, or of the nearest thing above it that has one. */
export function nearestPosition<T>(path: readonly (string | number)[], positionOf: (key: string) => T | undefined): T | null {
  for (let length = path.length; length > 0; length--) {
    const position = positionOf(keyText(path.slice(0, length)));
    if (position !== undefined) return position;
  }
  return null;
}

/**
 * Lets croner, which runs the schedule in the daemon, judge the expressions: numbers out of range, and days that never
 * come. Returns the problem of each job that has one.
 */
export async function checkCron(schedule: Tree): Promise<readonly { readonly job: string; readonly message: string }[]> {
  const { Cron } = await import('croner');
  return Object.entries(schedule).flatMap(([job, expression]) => {
    const message = typeof expression === 'string' ? cronProblem((each) => new Cron(each, { mode: '5-part', paused: true }), expression) : null;
    return message === null ? [] : [{ job, message }];
  });
}

function cronProblem(parse: (expression: string) => { nextRun(from: Date): Date | null }, expression: string): string | null {
  try {
    return parse(expression).nextRun(new Date(0)) === null ? 'such a day never comes' : null;
  } catch (error) {
    return `no cron expression: ${(error as Error).message.replace(/^CronPattern: /, '')}`;
  }
}
