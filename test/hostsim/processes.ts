import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { putInCgroup } from './cgroups.ts';
import { processStat } from './smi-device.ts';
import type { Sandbox } from './sandbox.ts';

/** open(2): a descriptor of the file's place, which asks no driver for anything. */
const O_PATH = 0o10000000;

/** A real process that does nothing, in a session of its own. */
export interface SimProcess {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat. */
  readonly startTicks: number;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>;
  readonly isAlive: () => boolean;
  /** Ends it with SIGKILL and waits for that. */
  readonly end: () => Promise<void>;
}

export interface ProcessOptions {
  /** Its path in every cgroup hierarchy, without the leading slash; default: where the test runs. */
  readonly cgroup?: string;
  readonly uid?: number;
  /** Command name (≤ 15 bytes are shown by the kernel) and first argument. */
  readonly name?: string;
  /** Only SIGKILL ends it. */
  readonly ignoreTerm?: boolean;
  /** Files it holds open, such as a device node. */
  readonly holdsOpen?: readonly string[];
}

/** Starts a process of the sandbox. When this resolves it runs under its name, in its cgroup, with its files open. */
export async function startProcess(sandbox: Sandbox, options: ProcessOptions = {}): Promise<SimProcess> {
  const { name = 'trainer', uid, ignoreTerm = false, holdsOpen = [] } = options;
  const held = holdsOpen.map((file) => openSync(file, O_PATH));
  const script = `${ignoreTerm ? 'trap "" TERM; ' : ''}read -r go; exec "$0" 1000000 </dev/null`;
  const child = spawn('/bin/sh', ['-c', script, sleeperCalled(sandbox, name)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore', ...held],
    ...(uid !== undefined && { uid, gid: uid }),
  });
  await once(child, 'spawn');
  for (const fd of held) closeSync(fd);
  const pid = child.pid ?? -1;
  const startTicks = processStat(pid)?.startTicks ?? -1;
  sandbox.trackProcess(pid, startTicks);
  if (options.cgroup !== undefined) putInCgroup(sandbox, pid, options.cgroup);
  // It became what it will be only now, so that nobody sees it half-made.
  child.stdin?.end('go\n');
  await untilExecuted(pid);
  return simProcess(child, pid, startTicks);
}

/** The kernel takes the command's name from the file that is run, so each name is a link to sleep. */
function sleeperCalled(sandbox: Sandbox, name: string): string {
  const link = join(sandbox.dir, name.replaceAll('/', '_'));
  if (!existsSync(link)) symlinkSync('/bin/sleep', link);
  return link;
}

async function untilExecuted(pid: number): Promise<void> {
  while (!readlinkSync(`/proc/${pid}/exe`).endsWith('sleep')) await delay(2);
}

function simProcess(child: ChildProcess, pid: number, startTicks: number): SimProcess {
  const ended = once(child, 'exit').then(() => undefined);
  child.unref();
  const isAlive = (): boolean => {
    const stat = processStat(pid);
    return stat !== null && stat.startTicks === startTicks && stat.state !== 'Z';
  };
  return {
    pid, startTicks, ended, isAlive,
    async end() {
      if (isAlive()) process.kill(pid, 'SIGKILL');
      child.ref();
      if (child.exitCode === null && child.signalCode === null) await ended;
    },
  };
}
