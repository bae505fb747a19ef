import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';

/** Hex digits of a SHA-256. */
const STAMP_LENGTH = 64;

/** The SHA-256 of the bundle that its last line states: `//# <64 hex digits>`. */
export function stampOf(source: string): string {
  return source.slice(-STAMP_LENGTH - 1, -1);
}

/**
 * Where the program begins: runs the bundle in `folder` with the code that V8 compiled of it earlier, which saves a third
 * of the start-up time (docs/adr/0006-code-cache.md), and gives the compiled script back. `fresh`: without that code. V8
 * itself refuses code of another version or of other flags; the bundle is then compiled anew.
 */
export function start(folder: string, { fresh = false }: { readonly fresh?: boolean } = {}): Script {
  const file = join(folder, 'gpuctl.cjs');
  const source = readFileSync(file, 'utf8');
  const cachedData = fresh ? undefined : cachedCode(folder, stampOf(source));
  const script = new Script(wrapped(source), { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} };
  const run = script.runInThisContext() as (...args: readonly unknown[]) => void;
  run(module.exports, createRequire(file), module, file, folder);
  return script;
}

/** As one function, the way Node's own loader wraps a module. */
function wrapped(source: string): string {
  return `(function (exports, require, module, __filename, __dirname) { ${source}\n})`;
}

/** What the file of compiled code holds: the stamp of its bundle, and the code twice. */
export function cacheOf(stamp: string, code: Buffer): Buffer {
  return Buffer.concat([Buffer.from(stamp, 'latin1'), code, code]);
}

/**
 * Undefined: there is none, it was made of another bundle, or it is damaged. V8 would notice neither: of the source it
 * compares the length, and damaged code it runs into a crash or worse. Comparing two copies costs a tenth of a checksum.
 * It is code, so nobody but root or the bundle's owner may have written it.
 */
function cachedCode(folder: string, stamp: string): Buffer | undefined {
  try {
    const file = join(folder, 'gpuctl.cache');
    const { uid, mode } = statSync(file);
    if ((uid !== 0 && uid !== statSync(join(folder, 'gpuctl.cjs')).uid) || (mode & 0o022) !== 0) return undefined;
    const cache = readFileSync(file);
    const middle = Math.floor((cache.length + STAMP_LENGTH) / 2);
    const [one, two] = [cache.subarray(STAMP_LENGTH, middle), cache.subarray(middle)];
    return cache.toString('latin1', 0, STAMP_LENGTH) === stamp && one.equals(two) ? one : undefined;
  } catch {
    return undefined;
  }
}
