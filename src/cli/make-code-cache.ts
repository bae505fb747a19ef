import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheOf, stampOf, start } from './start.ts';

/**
 * Writes gpuctl.cache beside the bundle in `folder`: what V8 compiled of it by the end of the command that stands in the
 * arguments (of `gpuctl --help` where none does). The build does this with a health-check on a stage of its own; without a
 * stage `--help` still has the part that every command needs.
 */
export function makeCodeCache(folder: string): void {
  process.argv = [process.argv[0] ?? '', join(folder, 'gpuctl.cjs'), ...(process.argv.length > 2 ? process.argv.slice(2) : ['--help'])];
  const file = join(folder, 'gpuctl.cache');
  const script = start(folder, { fresh: true });
  process.on('exit', () => {
    const stamp = stampOf(readFileSync(join(folder, 'gpuctl.cjs'), 'utf8'));
    // On the disk before it gets its name: a power cut must not leave half of it.
    writeFileSync(`${file}.new`, cacheOf(stamp, script.createCachedData()), { flush: true });
    chmodSync(`${file}.new`, 0o644);
    renameSync(`${file}.new`, file);
  });
}
