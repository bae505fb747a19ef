import { closeSync, constants, fstatSync, openSync, readdirSync, type Stats, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Majors of the kernel's terminals (Documentation/admin-guide/devices.txt, 2026-11): virtual consoles, and the Unix98 pseudo-terminals of every login. */
const CONSOLE_MAJOR = 4;
const PTY_MAJORS = { first: 136, last: 143 } as const;
/** `mesg y`: the group, which is tty, may write. */
const MESSAGES_WANTED = 0o020;
/** A user with more terminals than this reads the message on one of these. */
const MAX_TERMINALS = 32;

/** What became of writing to somebody's terminals; both 0: he has none that takes messages, which is no fault. */
export interface TerminalDelivery {
  readonly written: number;
  readonly failed: number;
}

/**
 * Writes to every terminal of this user that takes messages (mesg y), without waiting: a terminal whose reader has stopped
 * (Ctrl-S) is not written to. It is the terminal's owner that counts, not the login records, which containers and newer
 * systems do not keep. `text` must be printable; lines end in `\n`.
 */
export function writeToTerminals(uid: number, text: string, folder = '/dev/pts'): TerminalDelivery {
  const results: boolean[] = [];
  for (const path of placesOfTerminals(folder)) {
    const written = results.length < MAX_TERMINALS ? writeTo(path, uid, text) : null;
    if (written !== null) results.push(written);
  }
  return { written: results.filter(Boolean).length, failed: results.filter((written) => !written).length };
}

/** Where a terminal may be: every pseudo-terminal in this folder, and the virtual consoles. None where the folder cannot be read. */
export function placesOfTerminals(folder: string): readonly string[] {
  try {
    const terminals = readdirSync(folder).filter((name) => /^\d+$/.test(name)).map((name) => join(folder, name));
    return [...terminals, ...Array.from({ length: 12 }, (_, n) => `/dev/tty${n + 1}`)];
  } catch {
    return [];
  }
}

/** Null: not a terminal of his that takes messages. True: it took all of it. */
function writeTo(path: string, uid: number, text: string): boolean | null {
  let fd: number;
  try {
    // Not following a link, not waiting for a carrier, not becoming our controlling terminal.
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  try {
    if (!isHis(fstatSync(fd), uid)) return null;
    // The terminal may be in raw mode, where a line feed alone goes straight down.
    const bytes = Buffer.from(`\r\n${text.replaceAll('\n', '\r\n')}\r\n`);
    return writeSync(fd, bytes) === bytes.length;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

function isHis(stats: Stats, uid: number): boolean {
  return stats.isCharacterDevice() && stats.uid === uid && (stats.mode & MESSAGES_WANTED) !== 0 && isTerminal(majorOf(stats.rdev));
}

/** Is a character device of this major somebody's screen? Nothing is written to any other. */
export function isTerminal(major: number): boolean {
  return major === CONSOLE_MAJOR || (major >= PTY_MAJORS.first && major <= PTY_MAJORS.last);
}

/** glibc's gnu_dev_major for the device numbers that Linux gives out. */
function majorOf(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}
