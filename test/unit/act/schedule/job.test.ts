import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type RunningJob, startJob } from '../../../../src/act/schedule/job.ts';

const DEADLINE = 10_000;
const GRACE = 4000;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpuctl-job-'));
  // Processes are real; time goes on when a test says so.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** A shell script as a job, in a folder of its own. */
function run(script: string, ...args: readonly string[]): RunningJob {
  return startJob({ file: '/bin/sh', args: ['-c', `cd '${folder}'; ${script}`, 'job', ...args], deadlineMs: DEADLINE, graceMs: GRACE });
}

/** Waits until a job has made that file. */
async function made(name: string): Promise<void> {
  for (const from = performance.now(); !existsSync(join(folder, name)) && performance.now() - from < 5000;) await new Promise(setImmediate);
  expect(existsSync(join(folder, name)), name).toBe(true);
}

describe('a job', () => {
  it.each([0, 3])('that ends by itself has its own exit code, %i, and nothing waits for its deadline any more', async (code) => {
    expect(await run('exit "$1"', String(code)).done).toEqual({ exitCode: code, ended: null, problem: null });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has the output of this process, and nothing to read', async () => {
    await run('a=$(readlink "/proc/$$/fd/0" "/proc/$$/fd/1" "/proc/$$/fd/2"); echo "$a" > fds').done;
    expect(readFileSync(join(folder, 'fds'), 'utf8').trimEnd().split('\n')).toEqual(['/dev/null', readlinkSync('/proc/self/fd/1'), readlinkSync('/proc/self/fd/2')]);
  });

  it('is asked to end as a stop asks it, and finishes what it does', async () => {
    const job = run('trap "exit 7" TERM; touch ready; while :; do sleep 0.01; done');
    await made('ready');
    job.end();
    expect(await job.done).toEqual({ exitCode: 7, ended: null, problem: null });
  });

  it('that runs is asked to end at its deadline, not before, and is killed after its grace', async () => {
    const job = run('trap "touch asked" TERM; touch ready; while :; do sleep 0.01; done');
    await made('ready');
    vi.advanceTimersByTime(DEADLINE - 1);
    expect(existsSync(join(folder, 'asked'))).toBe(false);
    vi.advanceTimersByTime(1);
    await made('asked');
    vi.advanceTimersByTime(GRACE);
    expect(await job.done).toEqual({ exitCode: null, ended: 'SIGKILL', problem: null });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that ends when it is asked at its deadline is not killed', async () => {
    const job = run('trap "exit 0" TERM; touch ready; while :; do sleep 0.01; done');
    await made('ready');
    vi.advanceTimersByTime(DEADLINE);
    expect(await job.done).toEqual({ exitCode: 0, ended: 'SIGTERM', problem: null });
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([['is not there', '/nonexistent/gpuctl', 'ENOENT'], ['may not be run', '/', 'EACCES'], ['lies in what is no folder', '/dev/null/gpuctl', 'ENOTDIR'], ['has no name', '', "'file' cannot be empty"]])('that %s is told as one that could not be started, and ends nobody', async (_, file, why) => {
    const job = startJob({ file, args: [], deadlineMs: DEADLINE, graceMs: GRACE });
    job.end();
    expect(await job.done).toEqual({ exitCode: null, ended: null, problem: expect.stringContaining(why) });
    expect(vi.getTimerCount()).toBe(0);
  });
});
