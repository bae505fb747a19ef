import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A minimal Debian without any Node.js, made once on a machine and never changed: what is installed goes on top of it. */
const BASE = '/var/cache/gpuctl-test/bookworm';

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A root of one's own: the minimal Debian below, an empty layer above it. */
export interface CleanRoot {
  readonly dir: string;
  /** Runs a program in it, in namespaces of its own but in the host's pids, with nothing of this checkout on its PATH. */
  run(file: string, ...args: readonly string[]): Ended;
  /** The path of something in it, from outside. */
  at(path: string): string;
  dispose(): void;
}

/** Makes what is needed where it is missing: a minute, once on a machine. */
export function ensureBase(): void {
  if (existsSync(BASE)) return;
  mkdirSync(join(BASE, '..'), { recursive: true });
  const fresh = mkdtempSync(`${BASE}.new-`);
  try {
    execFileSync('debootstrap', ['--variant=minbase', '--include=libatomic1,logrotate', 'bookworm', fresh], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } });
    renameSync(fresh, BASE);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw error;
  }
}

export function makeCleanRoot(): CleanRoot {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-root-'));
  const [upper, work, dir] = ['upper', 'work', 'root'].map((name) => join(folder, name)) as [string, string, string];
  for (const path of [upper, work, dir]) mkdirSync(path, { mode: 0o755 });
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${BASE},upperdir=${upper},workdir=${work}`, dir]);
  return {
    dir,
    at: (path) => join(dir, path),
    run: (file, ...args) => {
      const inside = 'mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=755 run "$1/run" && mkdir -p /run/gpuctl && root=$1 && shift && exec chroot "$root" "$@"';
      const ended = spawnSync('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', inside, 'sh', dir, file, ...args], {
        encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }, timeout: 120_000,
      });
      return { exitCode: ended.status, stdout: ended.stdout, stderr: ended.stderr };
    },
    dispose: () => {
      execFileSync('umount', [dir]);
      rmSync(folder, { recursive: true });
    },
  };
}
