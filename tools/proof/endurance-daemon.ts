import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NODE, ROOT } from '../bench/measure.ts';

/** Simulated seconds a second. A job is a shell that is over in a few milliseconds, so no job meets the next. */
const SPEED = 60;
const HOURS = 3;
/** The default schedule: the first minute of the hour, and every how many. */
const SCHEDULE: Readonly<Record<string, { readonly first: number; readonly every: number }>> = {
  'release-stale': { first: 5, every: 60 }, 'check-idle': { first: 20, every: 60 }, 'enforce-runtime': { first: 35, every: 60 }, 'cleanup-containers': { first: 50, every: 60 }, sample: { first: 2, every: 5 },
};
const JOBS = Object.values(SCHEDULE);

interface Judged { readonly what: string; readonly figure: string; readonly ok: boolean }

/**
 * `gpuctl daemon` for three hours of a clock that goes sixty times as fast. The daemon is real, with its timers and its
 * children; each child is a shell that writes down its name and the time, in place of a pass.
 */
export async function runDaemon(dir: string): Promise<readonly Judged[]> {
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('job'), `#!/bin/sh\necho "$1 $(date +%s)" >>'${at('ran')}'\n`, { mode: 0o755 });
  writeFileSync(at('entry.cjs'), `const job = process.argv[2];
if (job === 'daemon' || job === 'config') require(${JSON.stringify(join(ROOT, 'dist', 'gpuctl.cjs'))});
else require('node:child_process').spawn(${JSON.stringify(at('job'))}, process.argv.slice(2), { stdio: 'inherit' }).on('exit', (code) => process.exit(code ?? 1));
`);
  writeFileSync(at('daemon.yaml'), `version: 1\nevents: { file: "${at('daemon.jsonl')}" }\nstate: { dir: "${at('daemon-state')}" }\n`, { mode: 0o600 });
  writeFileSync(at('ran'), '');
  // A little before the first minute of the schedule of an hour.
  const daemon = spawn('faketime', ['-f', `@2026-01-01 03:00:30 x${SPEED}`, NODE, '--min-semi-space-size=1', at('entry.cjs'), 'daemon', '--quiet', '--config', at('daemon.yaml')], { stdio: 'ignore', detached: true, env: { ...process.env, TZ: 'UTC', FAKETIME_DONT_RESET: '1' } });
  const ended = once(daemon, 'exit');
  try {
    const sizes: number[] = [];
    for (let hour = 0; hour < HOURS; hour += 1) {
      await delay(3_600_000 / SPEED);
      sizes.push(residentMB(daemonOf(daemon.pid ?? -1)));
    }
    return judge(linesOf(at('ran')), sizes);
  } finally {
    // Not faketime itself, which then tidies up after it.
    if (daemon.pid !== undefined && daemon.exitCode === null) process.kill(daemonOf(daemon.pid), 'SIGTERM');
    await ended;
  }
}

function judge(lines: readonly string[], sizes: readonly number[]): readonly Judged[] {
  const late = lines.map((line) => lateness(line));
  const jobs = new Set(lines.map((line) => line.split(' ')[0]));
  const due = HOURS * JOBS.reduce((count, { every }) => count + 60 / every, 0);
  return [
    { what: `passes due in ${HOURS} hours at ${SPEED} times the speed, and started (${jobs.size} jobs)`, figure: `${due} ${lines.length}`, ok: Math.abs(lines.length - due) <= 1 && jobs.size === JOBS.length },
    { what: 'seconds past its minute: the first half, the second half (worst of each)', figure: `${Math.max(...late.slice(0, late.length / 2))} ${Math.max(...late.slice(late.length / 2))}`, ok: Math.max(...late) < 60 },
    { what: 'resident memory after each hour', figure: sizes.map((size) => `${size.toFixed(0)} MB`).join(' '), ok: Math.max(...sizes) < 80 && (sizes.at(-1) ?? Infinity) <= (sizes[0] ?? 0) * 1.15 },
  ];
}

/** Seconds since the last minute that this job was due; of a job that is not in the schedule, infinite. */
function lateness(line: string): number {
  const [job = '', at = ''] = line.split(' ');
  const { first, every } = SCHEDULE[job] ?? { first: Infinity, every: 1 };
  const late = (Number(at) / 60 - first) % every;
  return Number.isNaN(late) ? Infinity : Math.round(late * 60);
}

function linesOf(file: string): readonly string[] {
  return readFileSync(file, 'utf8').split('\n').filter(Boolean);
}

function residentMB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1000;
}

/** Of a daemon under faketime: its child, or itself on a system where faketime replaces itself. The jobs are children of that. */
function daemonOf(faketime: number): number {
  return readFileSync(`/proc/${faketime}/comm`, 'utf8').startsWith('faketime') ? (childrenOf(faketime)[0] ?? faketime) : faketime;
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number));
}
