import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';

/**
 * Where the installed program begins: runs the bundle beside it with the code that V8 compiled when it was built, which
 * saves about half of the start-up time. docs/adr/0006-code-cache.md says why it is done here and not by Node's own cache.
 */
const STAMP_LENGTH = 64;

/** The bundle as one function, as Node's own loader wraps it. */
export function wrapped(source: string): string {
  return `(function (exports, require, module, __filename, __dirname) { ${source}\n})`;
}

/** The SHA-256 of the bundle that its last line states: `//# <64 hex digits>`. */
export function stampOf(source: string): string {
  return source.slice(-STAMP_LENGTH - 1, -1);
}

/** What the cache holds for a bundle of this stamp; undefined: there is none, or it was made of another bundle. */
function cachedCode(file: string, stamp: string): Buffer | undefined {
  try {
    const cache = readFileSync(file);
    return cache.toString('latin1', 0, STAMP_LENGTH) === stamp ? cache.subarray(STAMP_LENGTH) : undefined;
  } catch {
    return undefined;
  }
}

/** Compiles the bundle in `folder`, from its cache where V8 accepts it, and runs it. Gives the compiled script back. */
export function start(folder: string): Script {
  const file = join(folder, 'gpuctl.cjs');
  const source = readFileSync(file, 'utf8');
  const cachedData = cachedCode(join(folder, 'gpuctl.cache'), stampOf(source));
  const script = new Script(wrapped(source), { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} };
  const run = script.runInThisContext() as (...args: readonly unknown[]) => void;
  run(module.exports, createRequire(file), module, file, folder);
  return script;
}
