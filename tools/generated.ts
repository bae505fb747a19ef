import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Generated files by their path in the checkout. */
export type Generated = Readonly<Record<string, string>>;

const ROOT = new URL('../', import.meta.url);

/** Writes the files that differ, or with `check` only names them on stderr. Gives how many differ. `maker`: the tool that makes them. */
export function settleGenerated(files: Generated, { check, maker }: { readonly check: boolean; readonly maker: string }): number {
  const stale = Object.entries(files).filter(([path, text]) => contentOf(new URL(path, ROOT)) !== text);
  for (const [path, text] of stale) {
    if (check) process.stderr.write(`${path} is not what ${maker} makes\n`);
    else write(new URL(path, ROOT), text);
  }
  return stale.length;
}

function write(file: URL, text: string): void {
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, text);
}

function contentOf(file: URL): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
