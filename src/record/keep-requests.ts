import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, opendirSync, openSync, readFileSync, readSync, realpathSync, renameSync, rmdirSync, type Stats, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { KeepRefusal, KeepRequest, KeepRequests } from '../passes/ports.ts';

/** Anybody may put a file in, nobody but root may list or take out what is not his. */
const FOLDER_MODE = 0o1733;
const MAX_BYTES = 4096;
/** Of one user in one pass; what is beyond is thrown away unread, so that nobody can crowd out the others. */
const MAX_OF_ONE_USER = 16;
/** Whom the host does not know counts as one user: a user may make files of tens of thousands of uids. */
const STRANGER = -1;
/** Entries that one pass looks at; the rest waits for the next one. */
const MAX_ENTRIES = 4096;
/** A file is made, then written: an empty one is left in peace for so long. */
const WRITING_MS = 10_000;
/** A name, or the start of an id. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const LONGEST_MS = 366 * 24 * 3_600_000;

/** The folder in which users drop their wishes. */
export function keepFolder(stateDir: string): string {
  return join(stateDir, 'keep');
}

/** What a wish looks like in its file. */
export function renderKeepRequest({ container, forMs }: Pick<KeepRequest, 'container' | 'forMs'>): string {
  return JSON.stringify({ schema: 1, container, for_ms: forMs });
}

/**
 * The drop folder, made where it is missing. Whatever users put into it (links, FIFOs, folders, huge files, thousands of
 * them, names that are no text) is data: only a small regular file with one name is ever opened, without following or
 * waiting, and everything is gone from the folder afterwards but what somebody mounted into it. `isUser`: has this host a
 * user of that uid? Throws what the file system says about the folder itself.
 */
export function openKeepRequests(stateDir: string, isUser: (uid: number) => boolean): KeepRequests {
  const folder = keepFolder(stateDir);
  return {
    take() {
      makeFolder(folder);
      const userOf = ({ uid }: Stats): number => (isUser(uid) ? uid : STRANGER);
      const entries = entriesIn(folder, userOf);
      const crowds = [...Map.groupBy(entries, ({ stats }) => userOf(stats)).values()].map((his) => his.slice(MAX_OF_ONE_USER));
      const crowded = new Set(crowds.flat());
      const read = entries.filter((entry) => !crowded.has(entry)).map((entry) => ({ entry, request: readRequest(entry) }));
      const aside = entries.flatMap((entry, at) => (remove(entry) ? [] : moveAside(entry, stateDir, at).filter(() => !crowded.has(entry))));
      return {
        requests: read.flatMap(({ request }) => (typeof request === 'string' ? [] : [request])),
        refused: [...read.flatMap(({ entry, request }) => (typeof request === 'string' ? [{ uid: entry.stats.uid, why: request }] : [])), ...crowds.flatMap(crowdRefusal), ...aside],
      };
    },
  };
}

interface Entry {
  readonly path: Buffer;
  readonly stats: Stats;
}

/** What is there must be a folder of ours: the state folder is root's, but a mistake of an admin must not be followed. */
function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || stats.uid !== (process.geteuid?.() ?? 0)) throw new Error(`${folder} is not a folder of root`);
  if ((stats.mode & 0o7777) !== FOLDER_MODE) chmodSync(folder, FOLDER_MODE);
}

/** Names are bytes: one that is no UTF-8 must be removable, too. */
function entriesIn(folder: string, userOf: (stats: Stats) => number): readonly Entry[] {
  const entries: Entry[] = [];
  let mounted: ReadonlySet<string> | null = null;
  const writing = new Map<number, number>();
  const dir = opendirSync(folder, { encoding: 'buffer' as BufferEncoding });
  try {
    let left = MAX_ENTRIES;
    for (let entry = dir.readSync(); entry !== null && left > 0; entry = dir.readSync(), left -= 1) {
      const name = entry.name as unknown as Buffer;
      const path = Buffer.concat([Buffer.from(`${folder}/`), name]);
      // The folder is mostly empty, and of a thousand containers there are as many mounts.
      mounted ??= mountedIn(folder);
      const stats = mounted.has(name.toString('latin1')) ? undefined : lookAt(path);
      if (stats !== undefined && !isLeftInPeace(stats, userOf(stats), writing)) entries.push({ path, stats });
    }
  } finally {
    dir.closeSync();
  }
  return entries;
}

/**
 * What somebody mounted into the folder, as any user may with FUSE: it cannot be removed, its file system is that user's
 * program, and a question to that may be refused even to root, or never be answered.
 */
function mountedIn(folder: string): ReadonlySet<string> {
  const prefix = `${Buffer.from(realpathSync(folder)).toString('latin1')}/`;
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
  return new Set(mounts.flatMap((path) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : [])));
}

/** Undefined: it has gone, or it was mounted this very moment. */
function lookAt(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Its user cannot choose when the inode last changed, but he can change it all the time: only a few of his are waited for. */
function isLeftInPeace(stats: Stats, user: number, writing: Map<number, number>): boolean {
  const ageMs = Date.now() - stats.ctimeMs;
  if (!stats.isFile() || stats.size !== 0 || Math.abs(ageMs) >= WRITING_MS) return false;
  const his = (writing.get(user) ?? 0) + 1;
  writing.set(user, his);
  return his <= MAX_OF_ONE_USER;
}

/** A text: why it is refused. */
function readRequest({ path, stats }: Entry): KeepRequest | string {
  const odd = oddity(stats);
  if (odd !== null) return odd;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return 'it could not be opened';
  }
  try {
    const now = fstatSync(fd);
    const changed = now.ino !== stats.ino || now.dev !== stats.dev || now.uid !== stats.uid;
    return changed ? 'it was replaced while it was looked at' : (oddity(now) ?? parseRequest(textOf(fd), now.uid));
  } catch {
    return 'it could not be read';
  } finally {
    closeSync(fd);
  }
}

function oddity(stats: Stats): string | null {
  if (!stats.isFile()) return 'it is not a regular file';
  if (stats.nlink !== 1) return 'it has several names';
  return stats.size > MAX_BYTES ? `it is larger than ${MAX_BYTES} bytes` : null;
}

function textOf(fd: number): string {
  const buffer = Buffer.alloc(MAX_BYTES + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length <= MAX_BYTES; length += got) got = readSync(fd, buffer, length, buffer.length - length, null);
  return length > MAX_BYTES ? '' : buffer.toString('utf8', 0, length);
}

function parseRequest(text: string, uid: number): KeepRequest | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (typeof parsed !== 'object' || parsed === null || Object.keys(parsed).toSorted().join() !== 'container,for_ms,schema') return 'it is not a request of gpuctl keep';
  const { schema, container, for_ms: forMs } = parsed as Record<string, unknown>;
  const good = schema === 1 && typeof container === 'string' && REFERENCE.test(container) && typeof forMs === 'number' && Number.isSafeInteger(forMs) && forMs > 0 && forMs <= LONGEST_MS;
  return good ? { uid, container, forMs } : 'it is not a request of gpuctl keep';
}

/** False: it is still there. A file goes by its name, which follows nothing; a folder only where it is empty. */
function remove({ path, stats }: Entry): boolean {
  try {
    if (stats.isDirectory()) rmdirSync(path);
    else unlinkSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** A folder with something in it goes where users cannot reach it. It is not emptied: its owner could swap what is in it for a link meanwhile. */
function moveAside({ path, stats }: Entry, stateDir: string, at: number): readonly KeepRefusal[] {
  const refuse = join(stateDir, 'keep-refused');
  try {
    mkdirSync(refuse, { recursive: true, mode: 0o700 });
    renameSync(path, join(refuse, `${Date.now()}-${process.pid}-${at}`));
    return [{ uid: stats.uid, why: `it could not be removed and was moved to ${refuse}` }];
  } catch (error) {
    return [{ uid: stats.uid, why: `it can be neither removed nor moved away (${(error as NodeJS.ErrnoException).code ?? 'unknown'})` }];
  }
}

/** One for all of them, in the name of the first. */
function crowdRefusal(crowd: readonly Entry[]): readonly KeepRefusal[] {
  return crowd.slice(0, 1).map(({ stats: { uid } }) => ({ uid, why: `${crowd.length} more than ${MAX_OF_ONE_USER} at once were thrown away unread` }));
}
