import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../hostsim/host.ts';
import { processStat } from '../hostsim/smi-device.ts';

/** A process that writes down each SIGTERM that it gets. */
export interface Recorder {
  readonly pid: number;
  readonly startTicks: number;
  readonly isAlive: () => boolean;
  /** How many it got so far. */
  readonly terms: () => number;
  /** When the last one was written down, milliseconds since 1970 UTC; null: none was. */
  readonly termAt: () => number | null;
}

/** Starts one in this cgroup. `obeys`: the first SIGTERM ends it; otherwise none does. */
export async function startRecorder(host: Host, { cgroup, obeys }: { readonly cgroup: string; readonly obeys: boolean }): Promise<Recorder> {
  const file = join(host.dir, `terms-${cgroup.slice(-12)}-${obeys}`);
  const script = `trap 'echo TERM >>"$0"${obeys ? '; exit 0' : ''}' TERM; echo trapped; while :; do read -r never || :; done`;
  const child = spawn('/bin/sh', ['-c', script, file], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  const pid = child.pid ?? -1;
  const startTicks = processStat(pid)?.startTicks ?? -1;
  host.sandbox.trackProcess(pid, startTicks);
  host.putInCgroup(pid, cgroup);
  return {
    pid, startTicks,
    isAlive: () => isSameAndAlive({ pid, startTicks }),
    terms: () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0),
    termAt: () => (existsSync(file) ? statSync(file).mtimeMs : null),
  };
}

/** Is it there still, and no other process under its pid? */
export function isSameAndAlive({ pid, startTicks }: { readonly pid: number; readonly startTicks: number }): boolean {
  const stat = processStat(pid);
  return stat !== null && stat.startTicks === startTicks && stat.state !== 'Z';
}
