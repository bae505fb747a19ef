import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const CAPTURES = join(import.meta.dirname, '..', '..', '..', 'shared', 'captures');

/** Are there captures of real machines beside this checkout? */
export const hasCaptures = existsSync(CAPTURES);

/** A real XML document, from its declaration on. */
export function captureXml(path: string): string {
  const text = readFileSync(join(CAPTURES, path), 'utf8').split('# --- stderr ---')[0] ?? '';
  return text.slice(text.indexOf('<?xml'));
}

/** Standard output and exit code of a captured call. */
export function captureAnswer(file: string): { readonly stdout: string; readonly exitCode: number } {
  const text = readFileSync(join(CAPTURES, 'errors', file), 'utf8');
  const stdout = /# --- stdout ---\n([\s\S]*?)# --- stderr ---/.exec(text)?.[1] ?? '';
  return { stdout, exitCode: Number(/# exit: (\d+)/.exec(text)?.[1]) };
}

/** Every element's path, each once, in document order. */
export function elementPaths(xml: string): readonly string[] {
  const open: string[] = [];
  const paths = new Set<string>();
  for (const [, slash, name = '', , selfClosing] of xml.matchAll(/<(\/?)([a-zA-Z]\w*)([^>]*?)(\/?)>/g)) {
    if (slash === '/') { open.pop(); continue; }
    open.push(name);
    paths.add(open.join('/'));
    if (selfClosing === '/') open.pop();
  }
  return [...paths];
}
