import { closeSync, existsSync, fsyncSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Renames a damaged ledger to `….corrupt-<UTC stamp>`, nothing of it lost, and returns the new name. The -wal goes first:
 * left behind by a crash in between, it would be played into the next ledger.
 */
export function setLedgerAside(file: string, now: number): string {
  const name = freeName(`${file}.corrupt-${new Date(now).toISOString().replace(/\.\d+|[-:]/g, '')}`);
  for (const suffix of ['-wal', '-shm', '']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, name + suffix);
  }
  syncFolder(dirname(file));
  return name;
}

function freeName(wanted: string): string {
  let name = wanted;
  for (let n = 2; ['', '-wal', '-shm'].some((suffix) => existsSync(name + suffix)); n += 1) name = `${wanted}.${n}`;
  return name;
}

/** Makes new names in a folder survive a power cut. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
