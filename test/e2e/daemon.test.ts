import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectValidEvents, REPOSITORY } from '../cli/workbench.ts';
import { readLines } from '../hostsim/gpuctl-call.ts';
import { eventually, makeRoom, type Room } from './room.ts';

const NODE = join(REPOSITORY, 'node_modules', '.bin', 'node');
const BUNDLE = join(REPOSITORY, 'dist', 'gpuctl.cjs');

/** Every job is this script; the daemon itself is gpuctl. Node.js starts whatever of the two its first argument asks for. */
function jobs(room: Room, script: string): readonly string[] {
  const entry = join(room.dir, 'entry.cjs');
  writeFileSync(join(room.dir, 'job'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  writeFileSync(entry, `const job = process.argv[2];
if (job === 'daemon' || job === 'config') require(${JSON.stringify(BUNDLE)});
else {
  const child = require('node:child_process').spawn(${JSON.stringify(join(room.dir, 'job'))}, process.argv.slice(2), { stdio: 'inherit' });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
}
`);
  return [NODE, entry];
}

const EVERY_MINUTE = 'version: 1\nschedule: { sample: "* * * * *" }\n';
const events = (room: Room): ReturnType<typeof readLines> => readLines(join(room.dir, 'log', 'events.jsonl'));

/** The daemon on a clock that is 30 times as fast: a minute in two seconds. */
function startDaemon(room: Room, program: readonly string[], ...args: readonly string[]): { readonly child: ChildProcess; readonly said: () => string; pid(): Promise<number> } {
  const child = room.start('faketime', '-f', '@2026-01-01 03:00:30 x30', 'sh', '-c', 'exec "$@"', 'sh', ...program, 'daemon', ...args);
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => { said += chunk.toString(); });
  child.stdout?.on('data', (chunk: Buffer) => { said += chunk.toString(); });
  return { child, said: () => said, pid: async () => Number(await eventually(() => descendant(child.pid ?? -1, 'daemon'), (pid) => pid !== null, 10_000)) };
}

/** The pid, as the host counts, of the Node.js process below `pid` that runs the daemon. */
function descendant(pid: number, argument: string): number | null {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  for (const child of children) {
    const args = readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0');
    if (args[0] === NODE && args.includes(argument)) return child;
    const below = descendant(child, argument);
    if (below !== null) return below;
  }
  return null;
}

describe('gpuctl daemon', () => {
  it('starts its jobs as processes of their own, each with --scheduled', async () => {
    const room = makeRoom();
    room.config(EVERY_MINUTE);
    startDaemon(room, jobs(room, `echo "$@" >>${room.dir}/ran`));
    await eventually(() => room.read('ran'), (text) => text.includes('release-stale') && text.includes('sample'), 40_000);
    expect(new Set(room.read('ran').split('\n').filter(Boolean))).toEqual(new Set(['sample --scheduled --quiet', 'release-stale --scheduled --quiet']));
  });

  it('ends on SIGTERM when what is in flight has ended, and passes the signal on', async () => {
    const room = makeRoom();
    room.config(EVERY_MINUTE);
    const daemon = startDaemon(room, jobs(room, `trap 'sleep 1; echo "finished its act" >>${room.dir}/ran; exit 0' TERM\necho began >>${room.dir}/ran\nwhile :; do sleep 0.1; done`));
    await eventually(() => room.read('ran'), (text) => text.includes('began'), 20_000);
    process.kill(await daemon.pid(), 'SIGTERM');
    const [code] = await once(daemon.child, 'exit') as [number | null];
    expect(code).toBe(0);
    expect(room.read('ran')).toBe('began\nfinished its act\n');
  });

  it('reads its configuration anew on SIGHUP, and keeps the one before where the new one is refused', async () => {
    const room = makeRoom();
    room.config('version: 1\n');
    const daemon = startDaemon(room, jobs(room, `echo "$1" >>${room.dir}/ran`));
    const pid = await daemon.pid();
    await eventually(() => room.read('ran'), (text) => text.includes('sample'), 20_000);
    room.config('version: 1\nschedule: { check-idle: nonsense }\n');
    process.kill(pid, 'SIGHUP');
    await eventually(daemon.said, (text) => text.includes('the configuration before it stays'), 10_000);
    room.config('version: 1\nschedule: { check-idle: "35 * * * *" }\n');
    process.kill(pid, 'SIGHUP');
    await eventually(() => events(room).length, (count) => count >= 2, 10_000);
    await eventually(() => room.read('ran'), (text) => text.includes('release-stale'), 30_000);
    expectValidEvents(events(room));
    expect(events(room).map((event) => event['event.action'])).toEqual(['config.rejected', 'schedule.collision']);
  });

  it('skips a job while another still runs, and says so', async () => {
    const room = makeRoom();
    room.config(EVERY_MINUTE);
    const daemon = startDaemon(room, jobs(room, 'sleep 90'));
    // The job sleeps on the same clock, so for longer than the minute until the next one.
    await eventually(daemon.said, (text) => /sample of \S+ was skipped: sample still runs/.test(text), 30_000);
    expect(events(room).at(-1)).toMatchObject({ 'event.action': 'pass.refused', 'event.reason': 'still-busy', 'gpuctl.job': 'sample' });
  });

  it('refuses to begin with a schedule that collides', async () => {
    const room = makeRoom();
    room.config('version: 1\nschedule: { check-idle: "5 * * * *" }\n');
    const daemon = startDaemon(room, jobs(room, ''));
    const [code] = await once(daemon.child, 'exit') as [number | null];
    expect(code).toBe(2);
  });

  it('rests in less than 70 MB, and does not wake up before its time', async () => {
    const room = makeRoom();
    room.config(`version: 1\nschedule: { ${['release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers', 'sample'].map((job, hour) => `${job}: "0 ${hour} 31 12 *"`).join(', ')} }\n`);
    const daemon = room.start(NODE, BUNDLE, 'daemon');
    const pid = await eventually(() => descendant(daemon.pid ?? -1, 'daemon'), (found) => found !== null, 10_000);
    const statusOf = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    // Of every thread: the main one sleeps on its timer, those of the runtime on nothing.
    const wakes = (): number => readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'))?.[1]), 0);
    const second = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 1000); });
    // Begun: once it has checked its configuration it listens to SIGHUP (the lowest bit), and sleeps.
    await eventually(() => /^SigCgt:\s+\w+(\w)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1], (digit) => (parseInt(digit ?? '0', 16) & 1) === 1, 20_000);
    await second();
    const before = wakes();
    await second();
    await second();
    await second();
    expect(wakes() - before).toBe(0);
    expect(statusOf('VmRSS')).toBeLessThan(70_000_000 / 1024);
  });
});
