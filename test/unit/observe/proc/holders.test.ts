import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { observeHolders } from '../../../../src/observe/proc/holders.ts';
import { makeNode } from './bench.ts';

/** Opens a node without the driver behind it: Linux's O_PATH, which Node does not name. */
const O_PATH = 0o10000000;
const opened: number[] = [];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpuctl-nodes-'));
});
afterEach(() => {
  for (const file of opened.splice(0)) closeSync(file);
  rmSync(folder, { recursive: true });
});

function hold(path: string): void {
  opened.push(openSync(path, O_PATH));
}

/** Minor numbers that this very process is said to hold. */
async function held(): Promise<readonly number[]> {
  const found = await observeHolders([process.pid]);
  return found.state === 'complete' ? found.value.map((holder) => holder.minorNumber) : [];
}

describe.skipIf(process.getuid?.() !== 0)("a holder of a GPU's device node", () => {
  test('is named with its identity, once a node, whatever the folder is called', async () => {
    makeNode(join(folder, 'nvidia0'), 195, 0);
    makeNode(join(folder, 'nvidia12'), 195, 12);
    for (const name of ['nvidia0', 'nvidia0', 'nvidia12']) hold(join(folder, name));
    const found = await observeHolders([process.pid, process.ppid]);
    expect(found).toMatchObject({ state: 'complete' });
    const holders = found.state === 'complete' ? found.value : [];
    expect(holders.map((holder) => holder.minorNumber).toSorted((a, b) => a - b)).toEqual([0, 12]);
    expect(holders[0]).toMatchObject({ pid: process.pid, uid: 0, startTicks: expect.any(Number), command: expect.any(String), cgroups: expect.any(Array) });
  });

  test('that nobody could look for in time, since others hold more files open than can be looked at, is not nobody', async () => {
    const mine = readdirSync(`/proc/${process.pid}/fd`).length;
    expect(await observeHolders([process.pid, process.ppid], '/proc', mine - 2)).toMatchObject({ state: 'partial', value: [], missing: [{ subject: 'holders', why: expect.stringContaining('of 2 processes') as string }] });
  });

  test('is found at another thread of it where the first one has ended, and with that its open files', async () => {
    for (const path of ['1', '77/fd', '77/task/77/fd', '77/task/78/fd', '77/ns']) mkdirSync(join(folder, path), { recursive: true });
    for (const pid of ['1', '77']) writeFileSync(join(folder, pid, 'stat'), `${pid} (train) Z 1 1 1 0 -1 4194304 91 0 0 0 1 2 0 0 20 0 2 0 8888 0 0\n`);
    writeFileSync(join(folder, '77/status'), 'Tgid:\t77\nUid:\t1000\t1000\t1000\t1000\n');
    writeFileSync(join(folder, '77/cgroup'), '0::/job\n');
    makeNode(join(folder, 'nvidia7'), 195, 7);
    symlinkSync(join(folder, 'nvidia7'), join(folder, '77/task/78/fd/4'));
    expect(await observeHolders([77], folder)).toEqual({ state: 'complete', value: [{ minorNumber: 7, pid: 77, startTicks: 8888, command: 'train', uid: 1000, cgroups: ['/job'] }] });
  });

  test('still holds a node that was removed under it', async () => {
    makeNode(join(folder, 'nvidia3'), 195, 3);
    hold(join(folder, 'nvidia3'));
    unlinkSync(join(folder, 'nvidia3'));
    expect(await held()).toEqual([3]);
  });

  test("holds the device that the kernel's number says, not the one in the name", async () => {
    makeNode(join(folder, 'nvidia1'), 195, 5);
    makeNode(join(folder, 'nvidia2'), 195, 300);
    hold(join(folder, 'nvidia1'));
    hold(join(folder, 'nvidia2'));
    expect((await held()).toSorted((a, b) => a - b)).toEqual([5, 300]);
  });

  test.each<[string, (path: string) => void]>([
    ['a regular file', (path) => { writeFileSync(path, ''); }],
    ['a folder', (path) => { mkdirSync(path); }],
    ['the null device', (path) => { makeNode(path, 1, 3); }],
    ['a block device of that number', (path) => { makeNode(path, 195, 0, 'b'); }],
  ])('is nobody who has %s of that name', async (_, make) => {
    make(join(folder, 'nvidia0'));
    hold(join(folder, 'nvidia0'));
    expect(await held()).toEqual([]);
  });

  test('is nobody who has only the control device', async () => {
    makeNode(join(folder, 'nvidiactl'), 195, 255);
    hold(join(folder, 'nvidiactl'));
    expect(await held()).toEqual([]);
  });

  test('cannot be ruled out where the open files of others are not readable: one gap for all of them', async () => {
    const everybody = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
    process.seteuid?.(65534);
    try {
      expect(await observeHolders(everybody)).toMatchObject({ state: 'partial', missing: [{ subject: 'holders', why: expect.stringMatching(/open files of \d+ processes/) }] });
    } finally {
      process.seteuid?.(0);
    }
  });

  test('cannot be ruled out where /proc hides pid 1', async () => {
    expect(await observeHolders([], folder)).toMatchObject({ state: 'partial', missing: [{ subject: 'holders', why: expect.stringContaining('hides') }] });
  });

  test('that has ended meanwhile is no gap', async () => {
    expect(await observeHolders([4_000_003])).toEqual({ state: 'complete', value: [] });
  });
});
