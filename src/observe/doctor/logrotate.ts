import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob } from 'node:path';

/** Does a rule of logrotate name this file? Null: the rules could not be read. */
export function observeRotation(file: string, folder = '/etc/logrotate.d'): boolean | null {
  try {
    return readdirSync(folder).some((name) => rulesIn(join(folder, name)).some((pattern) => pattern === file || matchesGlob(file, pattern)));
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? false : null;
  }
}

/** The paths before each brace, as far as a look without logrotate itself can tell. */
function rulesIn(rule: string): readonly string[] {
  const text = readFileSync(rule, 'utf8').replaceAll(/#.*$/gm, '');
  return text.split(/[\s{}"']+/).filter((word) => word.startsWith('/') && dirname(word) !== '/');
}
