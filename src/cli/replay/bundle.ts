import { closeSync, constants, openSync, readFileSync, statSync, writeSync, fsyncSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { renderTar } from '../../act/notify/tar.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';

const BLOCK = 512;
/** A host of 500 containers makes a bundle of about 10 MB before it is packed. */
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_FILES = 64;
/** Every file of a bundle; nothing in a name leads anywhere. */
const NAME = /^[a-z][a-z0-9-]{0,40}\.json$/;

/** The files of a bundle by name, each JSON text. */
export type Files = ReadonlyMap<string, string>;

/**
 * Writes a new file for root alone: a tar archive, packed with gzip. Throws GpuctlError where something is there already,
 * a link included: nothing is ever written through or over it.
 */
export function writeBundle(path: string, files: Files, at: number): void {
  const modifiedS = Math.floor(at / 1000);
  const blocks = [...files].map(([name, content]) => renderTar({ name, content, mode: 0o600, modifiedS }).subarray(0, -2 * BLOCK));
  const bytes = gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
  const file = create(path);
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSync(file, rest));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function create(path: string): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    const why = code === 'EEXIST' || code === 'ELOOP' ? 'there is something of that name already, and nothing is overwritten' : error instanceof Error ? error.message : String(error);
    throw new GpuctlError(`${path} cannot be written: ${why}`, { code: 'bundle-unwritable', exitCode: ExitCode.usage, cause: error });
  }
}

/** Reads a bundle of whatever origin. Throws GpuctlError (exit 2) for anything that `writeBundle` does not write. */
export function readBundle(path: string): Files {
  const tar = unpack(path);
  const files = new Map<string, string>();
  for (let at = 0; ;) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.length < BLOCK) throw bad(path, 'it is cut off');
    if (header.every((byte) => byte === 0)) return files;
    const { name, size } = readHeader(path, header);
    const content = tar.subarray(at + BLOCK, at + BLOCK + size);
    if (content.length < size) throw bad(path, 'it is cut off');
    if (files.has(name) || files.size >= MOST_FILES) throw bad(path, 'it has a file twice, or too many');
    files.set(name, content.toString('utf8'));
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function unpack(path: string): Buffer {
  try {
    const info = statSync(path);
    if (!info.isFile() || info.size > MOST_BYTES) throw bad(path, 'it is no plain file, or too large');
    return gunzipSync(readFileSync(path), { maxOutputLength: MOST_BYTES });
  } catch (error) {
    if (error instanceof GpuctlError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw bad(path, code === 'ERR_BUFFER_TOO_LARGE' ? 'it holds more than any host' : code === 'Z_BUF_ERROR' ? 'it is cut off' : code.startsWith('Z_') ? 'it is not packed with gzip' : error instanceof Error ? error.message : String(error));
  }
}

/** A plain file with a name that leads nowhere; its checksum holds. POSIX.1-1988, ustar. */
function readHeader(path: string, header: Buffer): { readonly name: string; readonly size: number } {
  const text = (from: number, to: number): string => header.toString('latin1', from, to).replace(/\0.*$/s, '');
  const octal = (from: number, to: number): number => (/^[0-7]{1,12} ?$/.test(text(from, to)) ? Number.parseInt(text(from, to), 8) : Number.NaN);
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (octal(148, 156) !== sum) throw bad(path, 'it is damaged, or no tar archive');
  const [name, type, size] = [text(0, 100), text(156, 157), octal(124, 136)];
  if (!NAME.test(name) || text(345, 500) !== '' || (type !== '0' && type !== '')) throw bad(path, `it holds ${JSON.stringify(name.slice(0, 60))}, which no bundle does`);
  if (Number.isNaN(size)) throw bad(path, 'it is damaged');
  return { name, size };
}

/** What makes a bundle unusable, in one line. */
export function bad(path: string, why: string): GpuctlError {
  return new GpuctlError(`${path} is no bundle that can be replayed: ${why}`, { code: 'bundle-bad', exitCode: ExitCode.usage, hint: 'gpuctl capture FILE makes one' });
}
