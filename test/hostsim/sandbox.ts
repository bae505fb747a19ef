import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SWEEP = join(import.meta.dirname, 'sweep.sh');

/**
 * The folders of all that were made; what is waited for before one is swept; and what is done with one in which something
 * went wrong that no test framework knows of yet: nothing, unless somebody wants to see them first.
 */
export const sandboxes = {
  dirs: [] as string[],
  beforeSweep: (): Promise<void> => Promise.resolve(),
  wentWrong: (_what: string, _dir: string): Promise<void> => Promise.resolve(),
};

/** A folder of its own and a record of all that was started or made outside it, removed with it. */
export interface Sandbox {
  readonly dir: string;
  trackProcess(pid: number, startTicks: number): void;
  trackContainer(id: string): void;
  /** A cgroup folder that this sandbox made. */
  trackCgroup(dir: string): void;
  trackNode(path: string): void;
  /** Ends and removes everything; returns when it is gone. */
  dispose(): Promise<void>;
}

/**
 * Makes a sandbox. Beside it waits a janitor that sees the end of this process, however it ends, and sweeps up what a
 * crashed or killed test left behind.
 */
export function makeSandbox(): Sandbox {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-sim-'));
  for (const list of ['.pids', '.containers', '.cgroups', '.nodes']) writeFileSync(join(dir, list), '');
  writeFileSync(join(dir, '.sandbox'), `${dir}\n`);
  sandboxes.dirs.push(dir);
  const janitor = spawn('sh', ['-c', 'cat >/dev/null; exec sh "$0"', SWEEP], { cwd: dir, detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  janitor.unref();
  (janitor.stdin as unknown as { unref(): void }).unref();
  const note = (list: string) => (line: string): void => appendFileSync(join(dir, list), `${line}\n`);
  return {
    dir,
    trackProcess: (pid, startTicks) => note('.pids')(`${pid} ${startTicks}`),
    trackContainer: note('.containers'),
    trackCgroup: note('.cgroups'),
    trackNode: note('.nodes'),
    async dispose() {
      if (existsSync(dir)) await sandboxes.beforeSweep().then(() => sweep(dir));
      janitor.stdin?.destroy();
    },
  };
}

async function sweep(dir: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn('sh', [SWEEP], { cwd: dir, stdio: 'ignore' });
  child.on('error', reject);
  child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`sweeping ${dir} ended with ${code}`))));
  await promise;
}
