import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, statSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';

/** A hand-written file is a few KiB. */
const MAX_BYTES = 1024 * 1024;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
/** As many as the kernel follows. */
const MAX_LINKS = 40;

/** What became of reading a path. *Absent*: nothing of that name is there, not even a dangling link. */
export type Read<T> =
  | { readonly state: 'read'; readonly value: T }
  | { readonly state: 'absent' }
  | { readonly state: 'refused'; readonly why: string };

/**
 * The text of a file that only root can have written: it, every folder above it, and where links lead, belong to root and
 * are writable by nobody else. A folder that anybody may write to is accepted only where it is sticky, as then what root
 * put there stays. When gpuctl does not run as root, what its own user owns is trusted, too.
 */
export function readTrustedFile(path: string): Read<string> {
  return trusting(path, () => {
    // Not blocking: opening a FIFO would otherwise wait for its writer.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return textOf(fd);
    } finally {
      closeSync(fd);
    }
  });
}

/** The names in a folder that only root can have filled; the same rules. */
export function readTrustedFolder(path: string): Read<readonly string[]> {
  return trusting(path, () => ({ state: 'read', value: readdirSync(path) }));
}

/** Why somebody other than root may have written a program, worded to follow its name; null: only root can have, and it can be run. */
export function whyUntrustedProgram(path: string): string | null {
  try {
    const why = distrust(path);
    if (why !== null) return why;
    const stats = statSync(path);
    if (!stats.isFile()) return 'is not a regular file';
    return ownershipProblem(stats) ?? ((stats.mode & 0o111) === 0 ? 'may not be executed (chmod +x)' : null);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : whyUnread(error);
  }
}

function trusting<T>(path: string, read: () => Read<T>): Read<T> {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return { state: 'absent' };
    const why = distrust(path);
    return why === null ? read() : { state: 'refused', why };
  } catch (error) {
    return { state: 'refused', why: whyUnread(error) };
  }
}

function textOf(fd: number): Read<string> {
  const stats = fstatSync(fd);
  if (!stats.isFile()) return { state: 'refused', why: 'is not a regular file' };
  const why = ownershipProblem(stats);
  if (why !== null) return { state: 'refused', why };
  const buffer = Buffer.alloc(MAX_BYTES + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length <= MAX_BYTES; length += got) got = readSync(fd, buffer, length, buffer.length - length, null);
  if (length > MAX_BYTES) return { state: 'refused', why: 'is larger than 1 MiB' };
  try {
    return { state: 'read', value: new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length)) };
  } catch {
    return { state: 'refused', why: 'is not UTF-8 text' };
  }
}

/** Why `path`, a folder above it or a link on the way may have been written by somebody else; null: by nobody. Throws as lstat does. */
function distrust(path: string): string | null {
  let at = '/';
  let links = 0;
  for (let rest = partsOf(resolve(path)); rest.length > 0;) {
    const [name = '', ...after] = rest;
    const next = resolve(at, name);
    const stats = lstatSync(next);
    const why = after.length === 0 ? targetProblem(stats) : folderProblem(stats);
    if (why !== null) return next === resolve(path) ? why : `is reached through ${next}, which ${why}`;
    const target = stats.isSymbolicLink() ? readlinkSync(next) : null;
    if (target !== null && ++links > MAX_LINKS) return 'is reached through too many links';
    rest = target === null ? after : [...partsOf(target), ...after];
    if (target === null) at = next;
    else if (target.startsWith('/')) at = '/';
  }
  return null;
}

function partsOf(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function targetProblem(stats: Stats): string | null {
  return stats.isSymbolicLink() ? ownerProblem(stats) : ownershipProblem(stats);
}

function folderProblem(stats: Stats): string | null {
  if (stats.isSymbolicLink() || (stats.mode & STICKY) !== 0) return ownerProblem(stats);
  return ownershipProblem(stats);
}

function ownershipProblem(stats: Stats): string | null {
  return ownerProblem(stats) ?? ((stats.mode & WRITABLE_BY_OTHERS) === 0 ? null : 'others than root may write (chmod go-w)');
}

function ownerProblem({ uid }: Stats): string | null {
  return uid === 0 || uid === process.geteuid?.() ? null : `belongs to uid ${uid}, not to root (chown root)`;
}

function whyUnread(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'is a link to nothing';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  return `cannot be read (${code ?? String(error)})`;
}
