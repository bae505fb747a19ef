import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob } from 'node:path';

const FOLDER = '/etc/logrotate.d';

/** Does a rule of logrotate name this file? Null: the rules could not be read. */
export function observeRotation(file: string): boolean | null {
  try {
    return readdirSync(FOLDER).some((name) => rulesIn(join(FOLDER, name)).some((pattern) => pattern === file || matchesGlob(file, pattern)));
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? false : null;
  }
}

/** The paths before each brace, as far as a look without logrotate itself can tell. */
function rulesIn(rule: string): readonly string[] {
  const text = readFileSync(rule, 'utf8').replaceAll(/#.*$/gm, '');
  return text.split(/[\s{}"']+/).filter((word) => word.startsWith('/') && dirname(word) !== '/');
}
