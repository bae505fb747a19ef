import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stampOf, start } from '../src/cli/start.ts';

/**
 * Writes gpuctl.cache beside the bundle in the folder given: what V8 compiled of it by the end of `gpuctl --help`, which is
 * the part that every command needs. A larger warm-up makes a larger cache, and reading that costs more than it saves.
 */
const [folder = 'dist'] = process.argv.splice(2, 1, '--help');
const file = join(folder, 'gpuctl.cache');
const script = start(folder);
process.on('exit', () => {
  const stamp = stampOf(readFileSync(join(folder, 'gpuctl.cjs'), 'utf8'));
  writeFileSync(`${file}.new`, Buffer.concat([Buffer.from(stamp, 'latin1'), script.createCachedData()]));
  renameSync(`${file}.new`, file);
});
