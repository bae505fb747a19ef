import { closeSync, constants, fstatSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { makeFolderFor } from './folder.ts';

/** An append-only file of lines. */
export interface LineFile {
  /** Appends one whole line in one write. Throws what the file system says; the next line begins on a line of its own. */
  append(line: string): void;
  close(): void;
}

interface Opened {
  readonly fd: number;
  readonly dev: number;
  readonly ino: number;
}

/** Opens `file` at the first line, and anew after somebody (logrotate) has renamed or removed it. */
export function createLineFile(file: string): LineFile {
  let opened: Opened | null = null;
  let cutOff = false;

  const reopened = (): Opened => {
    if (opened !== null && isStill(opened, file)) return opened;
    close();
    opened = openToAppend(file);
    cutOff = endsInTheMiddle(opened.fd);
    return opened;
  };
  const close = (): void => {
    if (opened !== null) closeSync(opened.fd);
    opened = null;
  };
  return {
    append(line) {
      const { fd } = reopened();
      const bytes = Buffer.from(cutOff ? `\n${line}` : line);
      const written = writeSync(fd, bytes);
      cutOff = written < bytes.length && bytes[written - 1] !== 0x0a;
      if (written < bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes could be written (is the disk full?)`);
    },
    close,
  };
}

/** A link is not followed: what lies at its end may be anybody's. A pipe or a terminal could make a pass wait for ever. */
function openToAppend(file: string): Opened {
  makeFolderFor(file);
  const fd = openSync(file, constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW, 0o640);
  const found = fstatSync(fd);
  if (found.isFile()) return { fd, dev: found.dev, ino: found.ino };
  closeSync(fd);
  throw new Error('it is not a plain file');
}

function isStill({ dev, ino }: Opened, file: string): boolean {
  const now = statSync(file, { throwIfNoEntry: false });
  return now?.dev === dev && now.ino === ino;
}

/** A full disk or a power cut left half a line; the next one must not be glued to it. */
function endsInTheMiddle(fd: number): boolean {
  const { size } = fstatSync(fd);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

/** What a pass writes fits in it many times over. */
const LATELY_BYTES = 1024 * 1024;

/** Does the end of the file, or of the one that logrotate made of it last, hold this text? A file that cannot be read holds nothing. */
export function holdsLately(file: string, text: string): boolean {
  return [file, `${file}.1`].some((each) => endOf(each).includes(text));
}

function endOf(file: string): string {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = fstatSync(fd);
      const end = Buffer.alloc(Math.min(size, LATELY_BYTES));
      return end.toString('utf8', 0, readSync(fd, end, 0, end.length, size - end.length));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}
