import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DriverView, Gpu } from '../../../../src/model/device.ts';
import type { Observed } from '../../../../src/model/observation.ts';
import { observeDriver, observeListed } from '../../../../src/observe/nvidia-smi/index.ts';
import { DRIVERS, fixture, type Driver } from './captures.ts';
import { fakeSmi, type Answers, type FakeSmi } from './fake-smi.ts';

const L = '-L';
const X = '-q -x';
const Q = '--query-gpu=index,uuid,pci.bus_id --format=csv';
const A = '--query-compute-apps=gpu_uuid,pid,used_memory --format=csv';
const TIMEOUT_MS = 20_000;

let smi: FakeSmi | null = null;
afterEach(() => { smi?.remove(); smi = null; });

async function observe(driver: Driver, answers: Answers = {}): Promise<{ readonly seen: Observed<DriverView>; readonly calls: readonly string[] }> {
  smi = fakeSmi(driver, answers);
  const seen = await observeDriver({ path: smi.path, timeoutMs: TIMEOUT_MS });
  return { seen, calls: smi.calls() };
}

function gpus(seen: Observed<DriverView>): readonly Gpu[] {
  if (seen.state === 'failed') throw new Error(seen.why);
  return seen.value.gpus;
}

/** `known 1 2` or `unknown`, of each GPU. */
function lists(seen: Observed<DriverView>): readonly string[] {
  return gpus(seen).map(({ processes }) => (processes.state === 'known' ? ['known', ...processes.processes.map(({ pid }) => pid)].join(' ') : 'unknown'));
}

function subjects(seen: Observed<DriverView>): readonly string[] {
  return seen.state === 'partial' ? seen.missing.map(({ subject }) => subject) : [seen.state];
}

function row(uuid: string, pid: string): string {
  return `${uuid}, ${pid}, [N/A]\n`;
}

async function look(answers: Answers = {}): Promise<{ readonly seen: Awaited<ReturnType<typeof observeListed>>; readonly calls: readonly string[] }> {
  smi = fakeSmi('535', answers);
  return { seen: await observeListed({ path: smi.path, timeoutMs: TIMEOUT_MS }), calls: smi.calls() };
}

function edit(text: string, from: string | RegExp, to: string): string {
  const next = text.replace(from, to);
  if (next === text) throw new Error(`nothing to edit: ${String(from)}`);
  return next;
}

describe('a healthy host', () => {
  it.each(DRIVERS)('is seen completely (driver %s)', async (driver) => {
    const { seen } = await observe(driver);
    expect(seen.state).toBe('complete');
  });

  it('without MIG costs one call of each kind, the list first', async () => {
    expect((await observe('550')).calls).toEqual([L, X, Q, A]);
  });

  it('with MIG costs one list more, at the end', async () => {
    expect((await observe('535')).calls).toEqual([L, X, Q, A, L]);
  });

  it('has indices by UUID, whatever the order of the document and the minor numbers', async () => {
    const { seen } = await observe('550');
    expect(gpus(seen).map(({ pciBusId, index, minorNumber }) => [pciBusId, index, minorNumber])).toEqual([['00000001:c1:00.0', 1, 0], ['00000000:41:00.0', 0, 1]]);
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'known 1400 4200']);
  });

  it('has MIG devices with UUID and profile', async () => {
    const { seen } = await observe('570');
    expect(gpus(seen)[0]?.migDevices.map(({ uuid, profile, gpuInstanceId, computeInstanceId }) => [uuid, profile, gpuInstanceId, computeInstanceId])).toEqual([
      ['MIG-00000570-0001-5ccc-9ddd-000000057571', '1c.3g.40gb', 1, 0],
      ['MIG-00000570-0002-5ccc-9ddd-000000057572', '2c.3g.40gb', 1, 1],
      ['MIG-00000570-0003-5ccc-9ddd-000000057573', '1g.10gb+me', 5, 0],
    ]);
    expect(lists(seen)).toEqual(['known 52000 52000', 'known']);
  });
});

describe('a process list', () => {
  const HEAD = 'gpu_uuid, pid, used_gpu_memory [MiB]\n';
  const FIRST = 'GPU-0000550b-0002-4aaa-8bbb-0000550b550d';
  const SECOND = 'GPU-0000550a-0001-4aaa-8bbb-0000550a550b';
  const all = fixture('550', 'compute-apps.csv');
  const emptied = fixture('550', 'qx.xml').replace(/<process_info>[^]*?<\/process_info>\s*/g, '');

  it.each(['[Insufficient Permissions]', '[Unknown Error]', '[N/A]'])('that was swallowed with %s is unknown, though the XML shows an empty one', async (error) => {
    const { seen, calls } = await observe('550', { '-q -x': [{ stdout: emptied }], '--query-compute-apps': [{ stdout: HEAD + row(FIRST, error) + row(SECOND, error) }] });
    expect(lists(seen)).toEqual(['unknown', 'unknown']);
    expect(subjects(seen)).toEqual(['00000001:c1:00.0', '00000000:41:00.0']);
    expect(calls).toEqual([L, X, Q, A]);
  });

  it('is unknown only on the GPU whose row is an error', async () => {
    const { seen } = await observe('550', { '--query-compute-apps': [{ stdout: HEAD + row(FIRST, '[Unknown Error]') + row(SECOND, '4200') }] });
    expect(lists(seen)).toEqual(['unknown', 'known 1400 4200']);
    expect(subjects(seen)).toEqual(['00000001:c1:00.0']);
  });

  it('is read once more where the two readings differ, and known if they then agree', async () => {
    const { seen, calls } = await observe('550', { '--query-compute-apps': [{ stdout: `${all}${row(SECOND, '4300')}` }, { stdout: all }] });
    expect(seen.state).toBe('complete');
    expect(calls).toEqual([L, X, Q, A, X, A]);
  });

  it('is taken from the second document where a process ended in between', async () => {
    const without = edit(fixture('550', 'qx.xml'), /<process_info>(?:(?!<process_info>)[^])*?<pid>4200<[^]*?<\/process_info>/, '');
    const { seen } = await observe('550', { '-q -x': [{}, { stdout: without }].map((answer) => ({ stdout: fixture('550', 'qx.xml'), ...answer })), '--query-compute-apps': [{ stdout: edit(all, /.* 4200,.*\n/, '') }] });
    expect(seen.state).toBe('complete');
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'known 1400']);
  });

  it('that differs twice is unknown on that GPU alone, and both readings are told', async () => {
    const { seen, calls } = await observe('550', { '--query-compute-apps': [{ stdout: edit(all, /.* 4200,.*\n/, '') }] });
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'unknown']);
    expect(seen).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:41:00.0', why: 'its processes: the process lists differ: -q -x has 4200, --query-compute-apps has none' }] });
    expect(calls).toEqual([L, X, Q, A, X, A]);
  });

  it('that is empty in the XML alone is unknown', async () => {
    const { seen } = await observe('550', { '-q -x': [{ stdout: emptied }] });
    expect(lists(seen)).toEqual(['unknown', 'unknown']);
  });

  it('of hundreds of processes that differ is told in a line', async () => {
    const many = Array.from({ length: 500 }, (_, at) => row(SECOND, String(90_000 + at))).join('');
    const { seen } = await observe('550', { '--query-compute-apps': [{ stdout: all + many }] });
    const why = seen.state === 'partial' ? (seen.missing[0]?.why ?? '') : '';
    expect(why).toContain('and 493 more');
    expect(why.length).toBeLessThan(300);
  });

  it('under MIG that differs costs one whole round more', async () => {
    const apps = fixture('535', 'compute-apps.csv');
    const { seen, calls } = await observe('535', { '--query-compute-apps': [{ stdout: edit(apps, /.* 31002,.*\n/, '') }, { stdout: apps }] });
    expect(seen.state).toBe('complete');
    expect(calls).toEqual([L, X, Q, A, L, L, X, Q, A, L]);
  });

  it('is unknown on every GPU where the compute list cannot be had', async () => {
    const { seen } = await observe('550', { '--query-compute-apps': [{ stdout: 'Unknown Error', exit: 255 }] });
    expect(lists(seen)).toEqual(['unknown', 'unknown']);
    expect(subjects(seen)).toEqual(['00000001:c1:00.0', '00000000:41:00.0']);
  });

  it('is unknown on every GPU where the compute list comes back as nothing at all', async () => {
    const { seen } = await observe('550', { '-q -x': [{ stdout: emptied }], '--query-compute-apps': [{ stdout: '' }] });
    expect(lists(seen)).toEqual(['unknown', 'unknown']);
  });

  it('may be about any GPU without rows where an error row names none', async () => {
    const lost = '[GPU is lost], [GPU is lost], [GPU is lost]\n';
    const onlyFirst = edit(fixture('550', 'qx.xml'), /<pid>4200<[^]*?<type>C\+G/, '<pid>4200</pid><type>G');
    const { seen } = await observe('550', { '-q -x': [{ stdout: onlyFirst }], '--query-compute-apps': [{ stdout: edit(all, /.* 4200,.*\n/, lost) }] });
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'unknown']);
  });

  it('is known beside a lost GPU whose error row has no name either', async () => {
    const lost = edit(fixture('550', 'qx.xml'), FIRST, 'GPU is lost');
    const { seen } = await observe('550', { '-q -x': [{ stdout: lost }], '--query-compute-apps': [{ stdout: `${HEAD}[GPU is lost], [GPU is lost], [GPU is lost]\n${row(SECOND, '4200')}` }] });
    expect(lists(seen)).toEqual(['known 1400 4200']);
    expect(subjects(seen)).toContain('00000001:c1:00.0');
  });

  it('with rows on a GPU that nothing describes is a gap of that GPU', async () => {
    const stranger = 'GPU-ffffffff-0000-4aaa-8bbb-000000000000';
    const { seen } = await observe('550', { '--query-compute-apps': [{ stdout: all + row(stranger, '5') }] });
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'known 1400 4200']);
    expect(subjects(seen)).toEqual([stranger]);
  });
});

describe('MIG devices', () => {
  const moved = edit(fixture('535', 'list.txt'), 'MIG-00000535-0003', 'MIG-00000535-0033');

  it('that change meanwhile are read once more', async () => {
    const { seen, calls } = await observe('535', { '-L': [{ stdout: moved }, { stdout: fixture('535', 'list.txt') }] });
    expect(seen.state).toBe('complete');
    expect(gpus(seen)[1]?.migDevices[2]?.uuid).toBe('MIG-00000535-0003-5ccc-9ddd-000000053a38');
    expect(calls).toEqual([L, X, Q, A, L, L, X, Q, A, L]);
  });

  it('that keep changing have no UUID and no profile, and their GPU is a gap', async () => {
    const list = fixture('535', 'list.txt');
    const { seen, calls } = await observe('535', { '-L': [{ stdout: list }, { stdout: moved }, { stdout: list }, { stdout: moved }] });
    expect(gpus(seen)[1]?.migDevices.map(({ uuid, profile }) => [uuid, profile])).toEqual([[null, null], [null, null], [null, null]]);
    expect(subjects(seen)).toEqual(['00000000:5d:00.0']);
    expect(calls).toHaveLength(10);
  });

  it.each([
    ['lacks one', /\n.*Device {2}2:.*/, '', [true, true, false]],
    ['numbers one otherwise', 'Device  2:', 'Device  7:', [true, true, false]],
  ] as const)('of which the list %s are a gap', async (_, from, to, named) => {
    const { seen } = await observe('535', { '-L': [{ stdout: edit(fixture('535', 'list.txt'), from, to) }] });
    expect(gpus(seen)[1]?.migDevices.map(({ uuid }) => uuid !== null)).toEqual(named);
    expect(subjects(seen)).toEqual(['00000000:5d:00.0']);
  });

  it('are not joined with a list that did not come to its end', async () => {
    const { seen } = await observe('535', { '-L': [{ stdout: `${fixture('535', 'list.txt')}Unable to determine the device handle for gpu 0000:AA:00.0: Unknown Error\n`, exit: 255 }] });
    expect(gpus(seen)[1]?.migDevices.map(({ uuid }) => uuid)).toEqual([null, null, null]);
    expect(subjects(seen)).toEqual(expect.arrayContaining(['00000000:aa:00.0', '00000000:5d:00.0']));
  });

  it('are not joined with a first list that did not come to its end, even if the second does', async () => {
    const list = fixture('535', 'list.txt');
    const line = 'Unable to determine the device handle for gpu 0000:AA:00.0: Unknown Error\n';
    const { seen } = await observe('535', { '-L': [{ stdout: list + line, exit: 255 }, { stdout: list }, { stdout: list + line, exit: 255 }, { stdout: list }] });
    expect(gpus(seen)[1]?.migDevices.map(({ uuid }) => uuid)).toEqual([null, null, null]);
  });

  it('that the document denies are a gap too', async () => {
    const off = edit(fixture('535', 'qx.xml'), /<mig_devices>\s*<mig_device>[^]*<\/mig_devices>/, '<mig_devices>None</mig_devices>');
    const { seen } = await observe('535', { '-q -x': [{ stdout: off }] });
    expect(seen).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:5d:00.0', why: 'its MIG devices: -q -x has none, -L has Device 0, Device 1, Device 2' }] });
  });
});

describe('a GPU that not all calls know', () => {
  const secondGpu = /\t<gpu id="00000000:41[^]*?<\/gpu>\n/;
  const hidden = edit(fixture('550', 'qx.xml'), secondGpu, '');
  const onlyFirst = edit(fixture('550', 'compute-apps.csv'), /.* 4200,.*\n/, '');

  it('is a gap named by the bus id that --query-gpu gives', async () => {
    const { seen } = await observe('550', { '-q -x': [{ stdout: hidden }], '--query-compute-apps': [{ stdout: onlyFirst }] });
    expect(lists(seen)).toEqual(['known 4100 4101 4099']);
    expect(subjects(seen)).toEqual(['00000000:41:00.0']);
  });

  it('is a gap named by the line with which the list fails', async () => {
    const line = 'Unable to determine the device handle for gpu 0000:41:00.0: Insufficient Permissions\n';
    const { seen } = await observe('550', {
      '-L': [{ stdout: `${edit(fixture('550', 'list.txt'), /GPU 0.*\n/, '')}${line}`, exit: 4 }],
      '-q -x': [{ stdout: hidden }],
      '--query-gpu': [{ stdout: edit(fixture('550', 'query-gpu.csv'), /0, .*\n/, '') }],
      '--query-compute-apps': [{ stdout: onlyFirst }],
    });
    expect(seen).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:41:00.0', why: line.trim() }] });
  });

  it('is a gap without a name where only the count tells of it', async () => {
    const { seen } = await observe('550', {
      '-L': [{ stdout: edit(fixture('550', 'list.txt'), /GPU 0.*\n/, '') }],
      '-q -x': [{ stdout: hidden }],
      '--query-gpu': [{ stdout: edit(fixture('550', 'query-gpu.csv'), /0, .*\n/, '') }],
      '--query-compute-apps': [{ stdout: onlyFirst }],
    });
    expect(subjects(seen)).toEqual(['gpu']);
  });

  it('is a gap by its UUID where only the list has it, besides that nobody counted', async () => {
    const { seen } = await observe('550', {
      '-q -x': [{ stdout: edit(hidden, /\s<attached_gpus>.*/, '') }],
      '--query-gpu': [{ stdout: edit(fixture('550', 'query-gpu.csv'), /0, .*\n/, '') }],
      '--query-compute-apps': [{ stdout: onlyFirst }],
    });
    expect(subjects(seen)).toEqual(['gpu', 'GPU-0000550a-0001-4aaa-8bbb-0000550a550b']);
  });

  it('is a gap where the list leaves it out', async () => {
    const { seen } = await observe('550', { '-L': [{ stdout: edit(fixture('550', 'list.txt'), /GPU 0.*\n/, '') }] });
    expect(seen).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:41:00.0', why: '-L does not list it' }] });
  });

  it('has no index where its row is an error, belongs to another bus id, or the query failed', async () => {
    for (const csv of ['[Unknown Error], [Unknown Error], [Unknown Error]\n', '0, GPU-0000550a-0001-4aaa-8bbb-0000550a550b, 00000000:42:00.0\n']) {
      const { seen } = await observe('550', { '--query-gpu': [{ stdout: edit(fixture('550', 'query-gpu.csv'), /0, .*\n/, csv) }] });
      expect(gpus(seen).map(({ index }) => index)).toEqual([1, null]);
      expect(subjects(seen)).toContain('00000000:41:00.0');
      smi?.remove();
    }
    const { seen } = await observe('550', { '--query-gpu': [{ stdout: 'Unknown Error', exit: 255 }] });
    expect(gpus(seen).map(({ index }) => index)).toEqual([null, null]);
    expect(subjects(seen)).toEqual(['--query-gpu']);
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'known 1400 4200']);
  });

  it('is not trusted where no second answer names it: the list broke off before it, and the index is not there', async () => {
    const broken = 'Unable to determine the device handle for GPU0000:11:00.0: Unknown Error\n';
    const { seen } = await observe('550', { '-L': [{ stdout: broken, exit: 15 }], '--query-gpu': [{ stdout: '' }] });
    expect(lists(seen)).toEqual(['unknown', 'unknown']);
    expect(seen).toMatchObject({ missing: expect.arrayContaining([expect.objectContaining({ subject: '--query-gpu' })]) as unknown });
    smi?.remove();
    const one = fixture('550', 'list.txt').split('\n').filter((line) => line.startsWith('GPU 0')).join('\n');
    const { seen: half } = await observe('550', { '-L': [{ stdout: `${one}\n${broken}`, exit: 15 }], '--query-gpu': [{ stdout: '' }] });
    expect(lists(half), 'the list still names one of them').toContain('unknown');
    expect(lists(half).filter((list) => list !== 'unknown')).toHaveLength(1);
  });

  it('is not trusted where a single call could not open it', async () => {
    const line = 'Unable to determine the device handle for GPU0000:41:00.0: Unknown Error\n';
    const { seen } = await observe('550', { '--query-compute-apps': [{ stdout: line + fixture('550', 'compute-apps.csv') }] });
    expect(lists(seen)).toEqual(['known 4100 4101 4099', 'unknown']);
    expect(gpus(seen)[1]?.faults).toEqual([line.trim()]);
  });
});

describe('nvidia-smi that fails', () => {
  it.each([
    [L, { run: 'exec sleep 60' }, [L]],
    [X, { run: 'exec sleep 60' }, [L, X]],
    ['--query-gpu', { run: 'exec sleep 60' }, [L, X, Q]],
    ['--query-compute-apps', { run: 'exec sleep 60' }, [L, X, Q, A]],
  ] as const)('by not coming back from %s is asked nothing more', async (call, answer, calls) => {
    smi = fakeSmi('550', { [call]: [answer] });
    expect(await observeDriver({ path: smi.path, timeoutMs: 1500 })).toMatchObject({ state: 'failed', code: 'timeout' });
    expect(smi.calls()).toEqual(calls);
  });

  it('by not even dying is asked nothing more', async () => {
    // The pipe stays open beyond the death of the child, as it does with one in uninterruptible sleep.
    smi = fakeSmi('550', { '-L': [{ run: 'sleep 4 & wait' }] });
    expect(await observeDriver({ path: smi.path, timeoutMs: 500 })).toMatchObject({ state: 'failed', code: 'hung' });
    expect(smi.calls()).toEqual([L]);
  });

  it('by not coming back from the second list fails the source, not only MIG', async () => {
    smi = fakeSmi('535', { '-L': [{ stdout: fixture('535', 'list.txt') }, { run: 'exec sleep 60' }] });
    expect(await observeDriver({ path: smi.path, timeoutMs: 1500 })).toMatchObject({ state: 'failed', code: 'timeout' });
    expect(smi.calls()).toEqual([L, X, Q, A, L]);
  });

  it.each([
    [2, 'refused'], [3, 'refused'], [4, 'not-permitted'], [6, 'no-devices'], [9, 'no-driver'], [12, 'no-driver'], [17, 'not-permitted'], [18, 'version-mismatch'], [19, 'refused'], [255, 'error'], [1, 'error'],
  ])('with exit %i at once is not asked again', async (exit, code) => {
    const { seen, calls } = await observe('550', { '-L': [{ exit }] });
    expect(seen).toMatchObject({ state: 'failed', code });
    expect(calls).toEqual([L]);
  });

  it.each([8, 11, 15])('with exit %i for one GPU, and no document, has failed for that GPU', async (exit) => {
    const line = 'Unable to determine the device handle for GPU0000:41:00.0: GPU is lost.  Reboot the system to recover this GPU\n\n\n';
    const { seen, calls } = await observe('550', { '-L': [{ stdout: edit(fixture('550', 'list.txt'), /GPU 1.*\n/, line), exit }], '-q -x': [{ stdout: line, exit }] });
    expect(seen).toEqual({ state: 'failed', code: 'device-fault', why: 'GPU 00000000:41:00.0: Unable to determine the device handle for GPU0000:41:00.0: GPU is lost. Reboot the system to recover this GPU' });
    expect(calls).toEqual([L, X]);
  });

  it.each([['garbage', 'hello\n'], ['nothing', ''], ['an error with exit 0', 'Failed to initialize NVML: Unknown Error\n'], ['binary noise', '\0\u0001\u0002\uFFFD\n']])('by printing %s is malformed', async (_, stdout) => {
    expect(await observe('550', { '-L': [{ stdout }] })).toMatchObject({ seen: { state: 'failed', code: 'malformed' }, calls: [L] });
    smi?.remove();
    expect(await observe('550', { '-q -x': [{ stdout }] })).toMatchObject({ seen: { state: 'failed', code: 'malformed' }, calls: [L, X] });
  });

  it('by a document that contradicts itself is malformed, although the next question was put before it was read, and is asked nothing more', async () => {
    const stdout = edit(fixture('550', 'qx.xml'), /<attached_gpus>.*<\/attached_gpus>/, '<attached_gpus>1</attached_gpus>');
    const { seen, calls } = await observe('550', { '-q -x': [{ stdout }] });
    expect(seen).toMatchObject({ state: 'failed', code: 'malformed' });
    expect(calls).toEqual([L, X, Q]);
  });

  it('by such a document and by not coming back from the next question has not come back', async () => {
    const stdout = edit(fixture('550', 'qx.xml'), /<attached_gpus>.*<\/attached_gpus>/, '<attached_gpus>1</attached_gpus>');
    smi = fakeSmi('550', { '-q -x': [{ stdout }], '--query-gpu': [{ run: 'exec sleep 60' }] });
    expect(await observeDriver({ path: smi.path, timeoutMs: 1500 })).toMatchObject({ state: 'failed', code: 'timeout' });
    expect(smi.calls()).toEqual([L, X, Q]);
  });

  it('by cutting its document off is malformed', async () => {
    const xml = fixture('550', 'qx.xml');
    const { seen } = await observe('550', { '-q -x': [{ stdout: xml.slice(0, xml.indexOf('<processes>') + 11) }] });
    expect(seen).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('by a signal has failed', async () => {
    expect((await observe('550', { '-L': [{ run: 'kill -SEGV $$' }] })).seen).toMatchObject({ state: 'failed', code: 'error' });
  });

  it('on stderr alone is quoted from there', async () => {
    const { seen } = await observe('550', { '-L': [{ stderr: 'error while loading shared libraries: libfoo.so\n', exit: 127 }] });
    expect(seen).toEqual({ state: 'failed', code: 'error', why: 'nvidia-smi (exit 127): error while loading shared libraries: libfoo.so' });
  });

  it('by not being there, or not being allowed to run, says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'no-nvidia-smi-'));
    const path = join(folder, 'nvidia-smi');
    expect(await observeDriver({ path, timeoutMs: TIMEOUT_MS })).toMatchObject({ state: 'failed', code: 'not-installed' });
    expect(await observeListed({ path, timeoutMs: TIMEOUT_MS })).toMatchObject({ state: 'failed', code: 'not-installed' });
    writeFileSync(path, '');
    chmodSync(path, 0o600);
    expect(await observeDriver({ path, timeoutMs: TIMEOUT_MS })).toMatchObject({ state: 'failed', code: 'not-permitted' });
    rmSync(folder, { recursive: true });
  });
});

describe('the second look', () => {
  it('is one call', async () => {
    const gpuUuid = 'GPU-0000535b-0002-4aaa-8bbb-0000535b535d';
    expect(await look()).toEqual({ seen: { state: 'complete', value: [{ gpuUuid, pid: 31001 }, { gpuUuid, pid: 31002 }] }, calls: [A] });
  });

  it('is partial where a GPU\'s list could not be read', async () => {
    const { seen } = await look({ '--query-compute-apps': [{ stdout: edit(fixture('535', 'compute-apps.csv'), '31001', '[Unknown Error]') }] });
    expect(seen).toMatchObject({ state: 'partial', value: [{ pid: 31002 }], missing: [{ subject: 'GPU-0000535b-0002-4aaa-8bbb-0000535b535d' }] });
  });

  it('has failed where nothing, or no list, comes back', async () => {
    expect((await look({ '--query-compute-apps': [{ stdout: '' }] })).seen).toMatchObject({ state: 'failed', code: 'malformed' });
    smi?.remove();
    expect((await look({ '--query-compute-apps': [{ exit: 15 }] })).seen).toMatchObject({ state: 'failed', code: 'device-fault' });
  });
});
