import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { lookAtProcesses, observeListedProcesses, withShims } from '../../../../src/observe/proc/index.ts';
import { observeShims } from '../../../../src/observe/proc/shims.ts';
import { openBench, type Bench } from './bench.ts';

const ID = '0123456789abcdef'.repeat(4);
let bench: Bench;
beforeAll(() => { bench = openBench(); });
afterAll(() => { bench.clear(); });

async function started(name: string, args: readonly string[], options = {}): Promise<number> {
  const pid = bench.startAs(name, args, options);
  await vi.waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === `${name.slice(0, 15)}\n`);
  return pid;
}

async function shimOf(pid: number): Promise<readonly string[] | undefined> {
  const { shims } = await lookAtProcesses([]);
  return shims.state === 'complete' ? shims.value.find((shim) => shim.pid === pid)?.containerIds : undefined;
}

/** A process of root as /proc would show it, in the test's own folder. */
function writeProcess(pid: number, { comm, cgroup, args }: { readonly comm: string; readonly cgroup: string; readonly args: readonly string[] }): void {
  const folder = join(bench.folder, String(pid));
  mkdirSync(folder);
  for (const [name, text] of Object.entries({ comm: `${comm}\n`, cgroup, cmdline: args.map((each) => `${each}\0`).join(''), status: `Name:\t${comm}\nTgid:\t${pid}\nUid:\t0\t0\t0\t0\n` })) writeFileSync(join(folder, name), text);
}

describe.skipIf(process.getuid?.() !== 0)('a container shim', () => {
  test.each(['containerd-shim-runc-v2', 'containerd-shim', 'conmon'])('is told by the name %s, and names the containers in its arguments', async (name) => {
    expect(await shimOf(await started(name, ['-namespace', 'moby', '-id', ID, '-workdir', `/run/moby/${'e'.repeat(64)}`, 'f'.repeat(65)]))).toEqual([ID, 'e'.repeat(64)]);
  });

  test("is no user's process of that name, for a name is no shield", async () => {
    expect(await shimOf(await started('containerd-shim-runc-v2', ['-id', ID], { uid: 65534, gid: 65534 }))).toBeUndefined();
  });

  test('is no setuid program that a user starts under that name: his is the real user id', async () => {
    const program = join(bench.folder, 'setuid-sleep');
    copyFileSync('/bin/sleep', program);
    chmodSync(program, 0o4755);
    symlinkSync(program, join(bench.folder, 'containerd-shim-1'));
    // The digits are a container id and a time at once.
    const pid = bench.start('/usr/bin/setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', join(bench.folder, 'containerd-shim-1'), '1'.repeat(64)]);
    await vi.waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'containerd-shim\n');
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\t65534\t0\t0\t/m);
    expect(await shimOf(pid)).toBeUndefined();
  });

  test('in a container is told with that container, as anybody may run one there', async () => {
    const [inside, other] = ['a'.repeat(64), 'b'.repeat(64)];
    writeProcess(4001, { comm: 'containerd-shim', cgroup: `1:cpu:/docker/${inside}\n0::/system.slice/docker-${inside}.scope\n`, args: ['containerd-shim', '-id', other] });
    writeProcess(4002, { comm: 'containerd-shim', cgroup: '0::/system.slice/containerd.service\n', args: ['containerd-shim', '-id', inside] });
    expect(await observeShims([4001, 4002], bench.folder)).toMatchObject({ state: 'complete', value: [{ pid: 4001, containerIds: [other], inContainers: [inside] }, { pid: 4002, containerIds: [inside] }] });
    expect(await observeShims([4002], bench.folder)).not.toMatchObject({ value: [{ inContainers: expect.anything() as unknown }] });
  });

  test('that names thousands of containers is read to a bounded length, and a few of them count', async () => {
    writeProcess(4003, { comm: 'containerd-shim', cgroup: '0::/\n', args: Array.from({ length: 30_000 }, (_, n) => n.toString(16).padStart(64, '0')) });
    const shims = await observeShims([4003], bench.folder);
    expect(shims.state === 'complete' && shims.value.map(({ containerIds }) => containerIds.length)).toEqual([16]);
  });

  test('is no process that only names a container', async () => {
    expect(await shimOf(await started('shim', ['-id', ID]))).toBeUndefined();
  });
});

describe('the view of /proc', () => {
  test('has the boot, gpuctl and its ancestors, and every listed process once', async () => {
    const view = await withShims(await observeListedProcesses([process.pid, process.pid, 4_000_004]));
    expect(view).toMatchObject({ state: 'complete', value: { bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() } });
    const { ownPids = [], listed = [] } = view.state === 'complete' ? view.value : {};
    expect(ownPids.slice(0, 2)).toEqual([process.pid, process.ppid]);
    expect(ownPids.at(-1)).toBe(1);
    expect(listed.map((each) => [each.pid, each.state])).toEqual([[process.pid, 'present'], [4_000_004, 'absent']]);
  });

  test('has nobody who holds a device node, which is not the same as an empty list, where it was not asked', async () => {
    expect(await observeListedProcesses([process.pid], undefined, false)).toMatchObject({ state: 'complete', value: { view: { holders: null }, missing: [] } });
    expect(await observeListedProcesses([process.pid])).toMatchObject({ state: 'complete', value: { view: { holders: expect.any(Array) } } });
  });

  test('is partial where a listed process cannot be read', async () => {
    const thread = readdirSync('/proc/self/task').map(Number).find((id) => id !== process.pid) ?? 0;
    expect(await withShims(await observeListedProcesses([process.pid, thread]))).toMatchObject({ state: 'partial', missing: [{ subject: `pid ${thread}` }] });
  });

  test('has failed, and every process is unreadable, where /proc is not one', async () => {
    expect(await withShims(await observeListedProcesses([1], bench.folder), bench.folder)).toMatchObject({ state: 'failed' });
    expect(await lookAtProcesses([1], bench.folder)).toMatchObject({ bootId: null, ownPids: [], processes: [{ state: 'unreadable', pid: 1 }], shims: { state: 'failed' } });
  });

  test.skipIf(process.getuid?.() !== 0)('has failed inside a pid namespace of its own, where every listed process would look like a ghost', () => {
    const source = `import { lookAtProcesses, observeListedProcesses } from ${JSON.stringify(new URL('../../../../src/observe/proc/index.ts', import.meta.url).pathname)};
      console.log(JSON.stringify([await observeListedProcesses([${process.pid}]), await lookAtProcesses([${process.pid}])]));`;
    const printed = execFileSync('unshare', ['-p', '-f', '--mount-proc', process.execPath, '--input-type=module-typescript', '-e', source], { encoding: 'utf8' });
    expect(JSON.parse(printed)).toMatchObject([{ state: 'failed', code: 'untrusted' }, { bootId: null, processes: [{ state: 'unreadable' }], shims: { state: 'failed' } }]);
  });
});
