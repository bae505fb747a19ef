import { spawn } from 'node:child_process';
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { Lock } from '../passes/ports.ts';
import { makeFolderFor } from './folder.ts';

/** Beyond what flock was told to wait; this only bounds a machine that has stopped working. */
const DEADLINE_MS = 5000;
/** How long flock waits at a stretch; between two the holder is looked at again. */
const STRETCH_MS = 500;
/** A job's name is shorter. */
const NAME_BYTES = 64;
const FLOCK = '/usr/bin/flock';
/** flock's exit code for "somebody else holds it" (util-linux, flock(1)). */
const HELD = 1;

export interface LockOptions {
  readonly file?: string;
  /** What takes it: stands in the file, for those who find it held. Default: nothing in particular. */
  readonly as?: string;
  /** Waits, but only for a holder of this name, and for no longer than this. Default: waits for nobody. */
  readonly patience?: { readonly behind: string; readonly forMs: number };
}

/**
 * The host's lock, held on a descriptor of this process: it dies with the process, however that ends, and any shell's
 * `flock` sees it. Node has no flock(2), so flock(1) locks our own descriptor, which it inherits as its number 3; no
 * other child ever inherits it. `acquire` throws GpuctlError (exit 3) where locking is not possible at all.
 */
export function createLock({ file = '/run/gpuctl/lock', as = '', patience }: LockOptions = {}): Lock {
  return {
    async acquire() {
      const fd = openLockFile(file);
      try {
        const until = performance.now() + (patience?.forMs ?? 0);
        let isOurs = await isLockedNow(fd, file, 0);
        // The name may be that of an earlier holder for the moment until the present one has written its own.
        while (!isOurs && holderIn(fd) === patience?.behind && performance.now() < until) {
          isOurs = await isLockedNow(fd, file, Math.min(STRETCH_MS, until - performance.now()));
        }
        if (isOurs) {
          sign(fd, as);
          return heldOn(fd);
        }
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      closeSync(fd);
      return null;
    },
  };
}

/** Who says in the file that it holds the lock; only true while somebody does. */
function holderIn(fd: number): string {
  const bytes = Buffer.alloc(NAME_BYTES);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, NAME_BYTES, 0)).trim();
}

/** Nobody waits for a holder without a name, so no room for it is no error. */
function sign(fd: number, name: string): void {
  ftruncateSync(fd, 0);
  try {
    if (name !== '') writeSync(fd, `${name}\n`, 0);
  } catch {
    ftruncateSync(fd, 0);
  }
}

function heldOn(fd: number): { release(): void } {
  let open = true;
  const release = (): void => {
    if (open) closeSync(fd);
    open = false;
    process.removeListener('exit', release);
  };
  // A process with a thread that the kernel does not give back is not over when it has ended, and would go on holding it.
  process.once('exit', release);
  return { release };
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
async function isLockedNow(fd: number, file: string, waitMs: number): Promise<boolean> {
  const ended = await runFlock(fd, waitMs);
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

async function runFlock(fd: number, waitMs: number): Promise<FlockEnd> {
  const { promise, resolve } = Promise.withResolvers<FlockEnd>();
  const child = spawn(FLOCK, [...(waitMs > 0 ? ['-w', (waitMs / 1000).toFixed(3)] : ['-n']), '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd], env: { LC_ALL: 'C' } });
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    child.unref();
    resolve({ exitCode: null, why: `no answer within ${DEADLINE_MS + waitMs} ms`, cause: null });
  }, DEADLINE_MS + waitMs);
  child.once('error', (error) => { resolve({ exitCode: null, why: error.message, cause: error }); });
  child.once('exit', (exitCode, signal) => { resolve({ exitCode, why: signal ?? `exit ${exitCode}`, cause: null }); });
  const ended = await promise;
  clearTimeout(timer);
  return ended;
}

function lockError(message: string, { hint, cause }: { readonly hint: string; readonly cause: unknown }): GpuctlError {
  return new GpuctlError(message, { code: 'lock-unusable', exitCode: ExitCode.notObserved, hint, cause });
}
