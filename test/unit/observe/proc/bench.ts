import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of a test's own, and the processes that it started; both end with `clear`. */
export interface Bench {
  readonly folder: string;
  /** Starts busybox under another file name, which is what the kernel names the process after. It lives until its stdin closes. */
  startAs(name: string, args?: readonly string[], options?: SpawnOptions): number;
  start(file: string, args: readonly string[]): number;
  clear(): void;
}

export function openBench(): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-proc-'));
  chmodSync(folder, 0o755);
  const children: ChildProcess[] = [];
  const start = (file: string, args: readonly string[], options: SpawnOptions = {}): number => {
    const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], ...options });
    children.push(child);
    if (child.pid === undefined) throw new Error(`${file} did not start`);
    return child.pid;
  };
  return {
    folder,
    start,
    startAs: (name, args = [], options = {}) => {
      if (!existsSync(join(folder, name))) copyFileSync('/usr/bin/busybox', join(folder, name));
      return start(join(folder, name), ['-c', 'read line', ...args], { argv0: 'sh', ...options });
    },
    clear: () => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A device node, of characters unless `kind` says b; nothing has to answer behind it. */
export function makeNode(path: string, major: number, minor: number, kind: 'b' | 'c' = 'c'): void {
  execFileSync('mknod', [path, kind, String(major), String(minor)]);
}
