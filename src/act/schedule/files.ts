import { randomBytes } from 'node:crypto';
import { closeSync, constants, fchmodSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { FileChange } from '../../model/schedule.ts';

/**
 * Writes or removes one file, so that it is there whole or not at all, whatever happens meanwhile. What lies there must
 * still be what was seen when the change was decided: otherwise GpuctlError (exit 4), and nothing was done. `root`: the
 * root of the host's files, `/` but in a test.
 */
export function applyFileChange({ path, before, text }: FileChange, root: string): void {
  const file = join(root, path);
  const seen = before.state === 'text' ? before.text : null;
  try {
    if (textAt(file) !== seen) throw new GpuctlError(`${path} has changed since it was looked at; it was left as it is`, { code: 'changed-meanwhile', exitCode: ExitCode.actFailed, hint: 'run it again' });
    if (text === null) rmSync(file);
    else replace(file, text);
    syncFolder(dirname(file));
  } catch (error) {
    if (error instanceof GpuctlError) throw error;
    throw new GpuctlError(`${path} could not be ${text === null ? 'removed' : 'written'}: ${error instanceof Error ? error.message : String(error)}`, { code: 'not-written', exitCode: ExitCode.actFailed, cause: error });
  }
}

function textAt(file: string): string | null {
  try {
    return readFileSync(file, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Neither cron nor systemd reads a name that begins with a dot. Whatever the umask is, cron takes no file that others than root may write. */
function replace(file: string, text: string): void {
  const temporary = join(dirname(file), `.gpuctl-${randomBytes(8).toString('hex')}`);
  const fd = openSync(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    try {
      writeFileSync(fd, text);
      fchmodSync(fd, 0o644);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
