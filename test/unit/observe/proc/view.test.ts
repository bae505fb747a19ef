import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { lookAtProcesses, observeProcesses } from '../../../../src/observe/proc/index.ts';
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

function shimOf(pid: number): readonly string[] | undefined {
  const { shims } = lookAtProcesses([]);
  return shims.state === 'complete' ? shims.value.find((shim) => shim.pid === pid)?.containerIds : undefined;
}

describe.skipIf(process.getuid?.() !== 0)('a container shim', () => {
  test.each(['containerd-shim-runc-v2', 'containerd-shim', 'conmon'])('is told by the name %s, and names the containers in its arguments', async (name) => {
    expect(shimOf(await started(name, ['-namespace', 'moby', '-id', ID, '-workdir', `/run/moby/${'e'.repeat(64)}`, 'f'.repeat(65)]))).toEqual([ID, 'e'.repeat(64)]);
  });

  test("is no user's process of that name, for a name is no shield", async () => {
    expect(shimOf(await started('containerd-shim-runc-v2', ['-id', ID], { uid: 65534, gid: 65534 }))).toBeUndefined();
  });

  test('is no process that only names a container', async () => {
    expect(shimOf(await started('shim', ['-id', ID]))).toBeUndefined();
  });
});

describe('the view of /proc', () => {
  test('has the boot, gpuctl and its ancestors, and every listed process once', () => {
    const view = observeProcesses([process.pid, process.pid, 4_000_004]);
    expect(view).toMatchObject({ state: 'complete', value: { bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() } });
    const { ownPids = [], listed = [] } = view.state === 'complete' ? view.value : {};
    expect(ownPids.slice(0, 2)).toEqual([process.pid, process.ppid]);
    expect(ownPids.at(-1)).toBe(1);
    expect(listed.map((each) => [each.pid, each.state])).toEqual([[process.pid, 'present'], [4_000_004, 'absent']]);
  });

  test('is partial where a listed process cannot be read', () => {
    const thread = readdirSync('/proc/self/task').map(Number).find((id) => id !== process.pid) ?? 0;
    expect(observeProcesses([process.pid, thread])).toMatchObject({ state: 'partial', missing: [{ subject: `pid ${thread}` }] });
  });

  test('has failed, and every process is unreadable, where /proc is not one', () => {
    expect(observeProcesses([1], bench.folder)).toMatchObject({ state: 'failed' });
    expect(lookAtProcesses([1], bench.folder)).toMatchObject({ bootId: null, ownPids: [], processes: [{ state: 'unreadable', pid: 1 }], shims: { state: 'failed' } });
  });

  test.skipIf(process.getuid?.() !== 0)('has failed inside a pid namespace of its own, where every listed process would look like a ghost', () => {
    const source = `import { lookAtProcesses, observeProcesses } from ${JSON.stringify(new URL('../../../../src/observe/proc/index.ts', import.meta.url).pathname)};
      console.log(JSON.stringify([observeProcesses([${process.pid}]), lookAtProcesses([${process.pid}])]));`;
    const printed = execFileSync('unshare', ['-p', '-f', '--mount-proc', process.execPath, '--input-type=module-typescript', '-e', source], { encoding: 'utf8' });
    expect(JSON.parse(printed)).toMatchObject([{ state: 'failed', code: 'untrusted' }, { bootId: null, processes: [{ state: 'unreadable' }], shims: { state: 'failed' } }]);
  });
});
