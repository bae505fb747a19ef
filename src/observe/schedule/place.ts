import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { OwnPlace } from '../../model/schedule.ts';

/** A crontab is a few KiB; what is larger is not read. */
const MAX_BYTES = 1024 * 1024;

/** What lies at a path. A link is not followed unless `follow`: what lies at its end may be anybody's. Never throws for what a host can do. */
export function readPlace(path: string, { follow = false }: { readonly follow?: boolean } = {}): OwnPlace {
  try {
    // Not blocking: a FIFO would otherwise wait for its writer.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
    try {
      return textOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return placeOf(error);
  }
}

function textOf(fd: number): OwnPlace {
  const stats = fstatSync(fd);
  if (!stats.isFile()) return { state: 'other', why: 'is not a regular file' };
  if (stats.size > MAX_BYTES) return { state: 'other', why: 'is larger than 1 MiB' };
  const buffer = Buffer.alloc(stats.size);
  let length = 0;
  for (let got = -1; got !== 0 && length < buffer.length; length += got) got = readSync(fd, buffer, length, buffer.length - length, null);
  return { state: 'text', text: buffer.toString('utf8', 0, length) };
}

function placeOf(error: unknown): OwnPlace {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  if (code === null) throw error;
  if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'absent' };
  return { state: 'other', why: code === 'ELOOP' ? 'is a link' : `cannot be read (${code})` };
}
