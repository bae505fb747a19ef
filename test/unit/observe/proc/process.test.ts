import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { readProcess } from '../../../../src/observe/proc/index.ts';
import { openBench, type Bench } from './bench.ts';

let bench: Bench;
beforeAll(() => { bench = openBench(); });
afterAll(() => { bench.clear(); });

/** The only child of a process, once it has one. */
async function childOf(pid: number): Promise<number> {
  const children = (): string => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  await vi.waitUntil(() => /^\d+$/.test(children()));
  return Number(children());
}

describe('a real process', () => {
  test('is present with all that the rules need', () => {
    expect(readProcess(process.pid)).toEqual({
      state: 'present', pid: process.pid, startTicks: expect.any(Number), runState: expect.stringMatching(/^[RS]$/), parentPid: process.ppid,
      uid: process.geteuid?.(), command: expect.any(String), cgroups: expect.arrayContaining([expect.stringMatching(/^\//)]), pidNamespace: 'host',
    });
  });

  test.each(['a) Z 1 (', 'new\nline', ') R 1 1 1 1 1 1', 'q"\'$(id)'])('may be named %j', async (name) => {
    const pid = bench.startAs(name);
    await vi.waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === `${name}\n`);
    expect(readProcess(pid)).toMatchObject({ state: 'present', pid, command: name, parentPid: process.pid });
  });

  test('that is dead and not yet waited for is a zombie', async () => {
    const parent = bench.start('busybox', ['sh', '-c', 'busybox true & exec busybox sleep 100']);
    const child = await childOf(parent);
    await vi.waitFor(() => { expect(readProcess(child)).toMatchObject({ state: 'present', runState: 'Z', parentPid: parent }); });
  });

  test.skipIf(process.getuid?.() !== 0)('in a pid namespace of its own says so', async () => {
    const child = await childOf(bench.start('unshare', ['-p', '-f', '--kill-child', 'busybox', 'sleep', '100']));
    expect(readlinkSync(`/proc/${child}/ns/pid`)).not.toBe(readlinkSync('/proc/self/ns/pid'));
    expect(readProcess(child)).toMatchObject({ state: 'present', pidNamespace: 'other' });
  });

  test('whose namespaces are not to be read is in an unknown one', () => {
    const pid = bench.startAs('plain');
    process.seteuid?.(65534);
    try {
      expect(readProcess(pid)).toMatchObject({ state: 'present', uid: 0, pidNamespace: 'unknown' });
    } finally {
      process.seteuid?.(0);
    }
  });

  test('that has ended is absent', async () => {
    const child = spawn('true');
    await once(child, 'exit');
    expect(readProcess(child.pid ?? 0)).toEqual({ state: 'absent', pid: child.pid });
  });

  test('that /proc does not show but a signal would reach is hidden, not absent', () => {
    expect(readProcess(bench.startAs('hidden'), bench.folder)).toMatchObject({ state: 'unreadable', why: expect.stringContaining('hides') });
  });

  test("is not mistaken for a thread that has a dead process's number", () => {
    const thread = readdirSync('/proc/self/task').map(Number).find((id) => id !== process.pid) ?? 0;
    expect(readProcess(thread)).toEqual({ state: 'unreadable', pid: thread, why: `it is a thread of process ${process.pid}` });
  });

  test.each([0, -1, 1.5, Number.NaN])('never has the number %d', (pid) => {
    expect(readProcess(pid)).toMatchObject({ state: 'unreadable', why: 'it is not a process id' });
  });
});

describe('a process number that changes hands while it is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-handover-'));
  const pid = 4_000_001;
  const own = join(folder, String(pid));
  const stat = (startTicks: number): string => `${pid} (job-${startTicks}) S 1${' 0'.repeat(17)} ${startTicks} 0\n`;

  /** Serves the texts one by one, each to one reader of `stat`: every pipe is replaced by the next before it is written to. */
  function serveStats(texts: readonly string[]): void {
    mkdirSync(join(own, 'ns'), { recursive: true });
    writeFileSync(join(own, 'status'), `Tgid:\t${pid}\nUid:\t0\t0\t0\t0\n`);
    writeFileSync(join(own, 'cgroup'), '0::/job\n');
    symlinkSync('pid:[4026531836]', join(own, 'ns/pid'));
    const pipes = texts.map((_, at) => join(own, at === 0 ? 'stat' : `next${at}`));
    execFileSync('mkfifo', pipes);
    const steps = texts.map((text, at) => `exec 3>stat; ${at + 1 < texts.length ? `mv next${at + 1} stat` : 'rm stat'}; printf %s '${text.trimEnd()}' >&3; exec 3>&-`);
    spawn('sh', ['-c', steps.join('\n')], { cwd: own, stdio: 'ignore' });
  }

  afterEach(() => { rmSync(own, { recursive: true, force: true }); });
  afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

  test('is read again until all of it is of one process', () => {
    serveStats([stat(5), stat(9), stat(9), stat(9)]);
    expect(readProcess(pid, folder)).toEqual({ state: 'present', pid, startTicks: 9, runState: 'S', parentPid: 1, uid: 0, command: 'job-9', cgroups: ['/job'], pidNamespace: 'host' });
  });

  test('is unreadable where that never happens', () => {
    serveStats([1, 2, 3, 4, 5, 6].map(stat));
    expect(readProcess(pid, folder)).toMatchObject({ state: 'unreadable', why: expect.stringContaining('changed') });
  });

  test('is absent where it vanishes in the middle', () => {
    serveStats([stat(5)]);
    expect(readProcess(pid, folder)).toEqual({ state: 'absent', pid });
  });

  test('is not absent where only its entry vanishes in the middle', () => {
    serveStats([stat(5)]);
    renameSync(own, join(folder, String(process.pid)));
    expect(readProcess(process.pid, folder)).toMatchObject({ state: 'unreadable', why: expect.stringContaining('hides') });
  });
});
