import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Mounting, and being somebody else for a while, are root's. */
export const isRoot = process.getuid?.() === 0;

/** A folder of the running test, gone after it. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-record-'));
  onTestFinished(() => { rmSync(folder, { recursive: true, force: true }); });
  return folder;
}

/** A file system of the running test with room for `kibibytes`. */
export function tinyFileSystem(kibibytes: number): string {
  const folder = join(testFolder(), 'tiny');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'none', folder]);
  onTestFinished(() => { execFileSync('umount', ['-l', folder]); });
  return folder;
}

/** The same folder, seen through a mount that cannot be written. */
export function readOnlyViewOf(folder: string): string {
  const view = join(testFolder(), 'view');
  mkdirSync(view);
  execFileSync('mount', ['--bind', folder, view]);
  onTestFinished(() => { execFileSync('umount', ['-l', view]); });
  execFileSync('mount', ['-o', 'remount,bind,ro', view]);
  return view;
}

/** Runs `work` as the user `nobody`, as far as the file system is concerned. */
export function asNobody<T>(work: () => T): T {
  process.seteuid?.(65_534);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
  }
}
