import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { captureOnFailure } from './leave-capture.ts';

/**
 * Mount and pid namespaces of their own in which /usr/bin/gpuctl is what the test says, and /etc/cron.d, the crontabs,
 * /etc/systemd/system, /etc/gpuctl, /run, /dev and /var/lib/gpuctl are the test's: nothing of it reaches the host.
 */
const ENTER = `set -e
D=$1; shift
mount -t overlay overlay -o "lowerdir=/usr/bin,upperdir=$D/bin,workdir=$D/work" /usr/bin
mkdir -p /etc/gpuctl /etc/systemd/system /var/lib/gpuctl /var/log/gpuctl /var/spool/cron/crontabs
mount --bind "$D/cron.d" /etc/cron.d
mount --bind "$D/system" /etc/systemd/system
mount --bind "$D/gpuctl" /etc/gpuctl
mount --bind "$D/lib" /var/lib/gpuctl
mount --bind "$D/log" /var/log/gpuctl
mount -t tmpfs tmpfs /var/spool/cron
mkdir /var/spool/cron/crontabs
[ ! -e /etc/crontab ] || mount --bind "$D/empty" /etc/crontab
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/random c 1 8
mkdir -m 1777 /dev/shm
mount -t proc proc /proc
[ ! -e "$D/uptime" ] || mount --bind "$D/uptime" /proc/uptime
exec "$@"`;

/** A host of the schedule's own. */
export interface Room {
  readonly dir: string;
  readonly cronFolder: string;
  readonly unitFolder: string;
  /** Puts a program in the place of the installed one. */
  program(script: string): void;
  config(yaml: string): void;
  /** Must be said before anything is started. */
  uptime(seconds: number): void;
  /** Runs to its end in the room. */
  run(...command: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string };
  /** Runs until it is killed or the test ends; everything in the room ends with it. */
  start(...command: readonly string[]): ChildProcess;
  /** The same among the processes of the host, without which gpuctl acts on nothing: only it and its process group end with the test. */
  startOnHost(...command: readonly string[]): ChildProcess;
  /** The text of a file of `dir`; none is empty. */
  read(name: string): string;
}

/** Makes a room for one test. */
export function makeRoom(): Room {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-room-'));
  for (const name of ['bin', 'work', 'cron.d', 'system', 'gpuctl', 'lib', 'log']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'empty'), '');
  chmodSync(dir, 0o755);
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
  const put = (name: string, text: string, mode = 0o644): void => { writeFileSync(join(dir, name), text, { mode }); };
  const inRoom = (command: readonly string[]): readonly string[] => ['--mount', '--propagation', 'private', 'sh', '-c', ENTER, 'sh', dir, ...command];
  const enter = (command: readonly string[]): readonly string[] => ['--pid', '--fork', '--kill-child', ...inRoom(command)];
  captureOnFailure(dir, ['unshare', ...inRoom([])]);
  return {
    dir, cronFolder: join(dir, 'cron.d'), unitFolder: join(dir, 'system'),
    program: (script) => { put('bin/gpuctl', script, 0o755); },
    config: (yaml) => { put('gpuctl/config.yaml', yaml); },
    uptime: (seconds) => { put('uptime', `${seconds.toFixed(2)} 1.00\n`); },
    run: (...command) => spawnSync('unshare', enter(command), { encoding: 'utf8', timeout: 60_000 }),
    start: (...command) => endedWithTest(spawn('unshare', enter(command), { stdio: ['ignore', 'pipe', 'pipe'] }), (child) => { child.kill('SIGKILL'); }),
    startOnHost(...command) {
      const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...inRoom(command)], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      return endedWithTest(child, ({ pid }) => { if (pid !== undefined) process.kill(-pid, 'SIGKILL'); });
    },
    read(name) {
      try {
        return readFileSync(join(dir, name), 'utf8');
      } catch {
        return '';
      }
    },
  };
}

function endedWithTest(child: ChildProcess, kill: (child: ChildProcess) => void): ChildProcess {
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once('exit', () => { resolve(); });
    kill(child);
    await promise;
  });
  return child;
}

/** Looks until it is so. Fails after a time with what was last seen. */
export async function eventually<T>(look: () => T, isSo: (seen: T) => boolean, limitMs: number): Promise<T> {
  const until = performance.now() + limitMs;
  for (;;) {
    const seen = look();
    if (isSo(seen)) return seen;
    if (performance.now() > until) throw new Error(`not so after ${limitMs} ms: ${String(seen)}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}
