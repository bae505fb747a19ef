import { spawn } from 'node:child_process';
import { closeSync, constants, fchmodSync, fstatSync, openSync, statSync } from 'node:fs';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { Lock } from '../passes/ports.ts';
import { makeFolderFor } from './folder.ts';

/** flock -n answers at once; this only bounds a machine that has stopped working. */
const DEADLINE_MS = 5000;
const FLOCK = '/usr/bin/flock';
/** flock's exit code for "somebody else holds it" (util-linux, flock(1)). */
const HELD = 1;

/**
 * The host's lock, held on a descriptor of this process: it dies with the process, however that ends, and any shell's
 * `flock` sees it. Node has no flock(2), so flock(1) locks our own descriptor, which it inherits as its number 3; no
 * other child ever inherits it. `acquire` throws GpuctlError (exit 3) where locking is not possible at all.
 */
export function createLock({ file = '/run/gpuctl/lock' }: { readonly file?: string } = {}): Lock {
  return {
    async acquire() {
      const fd = openLockFile(file);
      try {
        if (await isLockedNow(fd, file)) return heldOn(fd);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      closeSync(fd);
      return null;
    },
  };
}

function heldOn(fd: number): { release(): void } {
  let open = true;
  return {
    release() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** Root's alone: whoever can open the file, even for reading, can hold the lock and keep every pass from running. */
function openLockFile(file: string): number {
  try {
    makeFolderFor(file);
    const fd = openSync(file, constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW, 0o600);
    if ((fstatSync(fd).mode & 0o077) !== 0) fchmodSync(fd, 0o600);
    return fd;
  } catch (error) {
    throw lockError(`the lock ${file} cannot be opened: ${error instanceof Error ? error.message : String(error)}`, { hint: 'passes run as root; the lock must be a plain file, not a link', cause: error });
  }
}

/** True: it is ours now. A file that was replaced while we locked it guards nothing. */
async function isLockedNow(fd: number, file: string): Promise<boolean> {
  const ended = await runFlock(fd);
  if (ended.exitCode === HELD) return false;
  if (ended.exitCode !== 0) throw lockError(`${FLOCK} could not lock ${file}: ${ended.why}`, { hint: 'flock is part of util-linux', cause: ended.cause });
  if (statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return true;
  throw lockError(`the lock ${file} was replaced while it was being locked`, { hint: 'nothing may remove the lock file; run the pass again', cause: null });
}

interface FlockEnd {
  /** Null: it did not exit by itself. */
  readonly exitCode: number | null;
  readonly why: string;
  readonly cause: unknown;
}

async function runFlock(fd: number): Promise<FlockEnd> {
  const { promise, resolve } = Promise.withResolvers<FlockEnd>();
  const child = spawn(FLOCK, ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd], env: { LC_ALL: 'C' } });
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    child.unref();
    resolve({ exitCode: null, why: `no answer within ${DEADLINE_MS} ms`, cause: null });
  }, DEADLINE_MS);
  child.once('error', (error) => { resolve({ exitCode: null, why: error.message, cause: error }); });
  child.once('exit', (exitCode, signal) => { resolve({ exitCode, why: signal ?? `exit ${exitCode}`, cause: null }); });
  const ended = await promise;
  clearTimeout(timer);
  return ended;
}

function lockError(message: string, { hint, cause }: { readonly hint: string; readonly cause: unknown }): GpuctlError {
  return new GpuctlError(message, { code: 'lock-unusable', exitCode: ExitCode.notObserved, hint, cause });
}
