import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { captureAnswer, captureXml, hasCaptures } from './captures.ts';
import { startHost, type Host } from './host.ts';
import { newMig } from './new-world.ts';
import type { ExitFault, Fault, NvmlError } from './world.ts';

/** The two boards of the captures. */
const BOARDS = [1, 2].map((n) => ({
  uuid: `GPU-0000000${n}-aaaa-bbbb-cccc-0123456789ab`, busId: `00000000:1${n - 1}:00.0`, name: 'NVIDIA H100 80GB HBM3',
  architecture: 'Hopper', usedMiB: 71_424, utilization: 42,
}) as const);
const BAD = BOARDS[1]?.uuid ?? '';

let host: Host;
afterEach(() => host.dispose());

function smi(...args: string[]): { stdout: string; exitCode: number | null } {
  const { stdout, status, stderr } = spawnSync(host.smiPath, args, { encoding: 'utf8', env: {} });
  expect(stderr).toBe('');
  return { stdout, exitCode: status };
}

describe('lists and queries', () => {
  beforeEach(() => { host = startHost({ driver: '555.58.02', gpus: BOARDS }); });

  it('lists a process while it lives, in every answer, and not once it has ended', async () => {
    const trainer = await host.process();
    host.listOn(0, trainer, { usedMiB: 1536 });
    const row = `${BOARDS[0]?.uuid}, ${trainer.pid}, 1536 MiB\n`;
    const apps = (): string => smi('--query-compute-apps=gpu_uuid,pid,used_memory', '--format=csv,noheader').stdout;
    expect(apps()).toBe(row);
    expect(smi('-q', '-x').stdout).toContain(`<pid>${trainer.pid}</pid>`);
    expect(smi('pmon', '-c', '1').stdout).toContain(` ${trainer.pid}     C `);
    await trainer.end();
    expect(apps()).toBe('');
    expect(smi('-q', '-x').stdout).not.toContain(`<pid>`);
  });

  it('does not take a re-used pid for the process that had it', () => {
    host.listOn(0, { pid: process.pid, startTicks: 1 });
    expect(smi('-q', '-x').stdout).not.toContain('<pid>');
  });

  it('lists a ghost for ever, without a name', () => {
    host.listOn(0, 999_999_999, { ghost: true, name: 'Not Found' });
    expect(smi('--query-compute-apps=pid,process_name', '--format=csv,noheader').stdout).toBe('999999999, [Not Found]\n');
  });

  it('leaves what a process leaves behind in use when it has ended', async () => {
    const leaver = await host.process();
    host.listOn(0, leaver, { usedMiB: 1000, leavesMiB: 300 });
    const question = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-i', '0'];
    expect(smi(...question).stdout).toBe('72424\n');
    await leaver.end();
    expect(smi(...question).stdout).toBe('71724\n');
  });

  it('finds a device by index, bus id in any spelling and UUID, and says when there is none', () => {
    for (const id of ['1', '00000000:11:00.0', '0000:11:00.0', '11:00.0', BAD]) {
      const { stdout } = smi('-q', '-x', '-i', id);
      expect(stdout.match(/<gpu id="[^"]*"/g)).toEqual(['<gpu id="00000000:11:00.0"']);
      expect(stdout).toContain('<attached_gpus>2</attached_gpus>');
    }
    expect(smi('-q', '-x', '-i', '7')).toEqual({ stdout: 'No devices were found\n', exitCode: 6 });
  });

  it('prints units and headers as the format says', () => {
    const formats = ['csv', 'csv,noheader', 'csv,noheader,nounits', 'csv,nounits'];
    expect(formats.map((format) => smi('--query-gpu=index,memory.used,utilization.gpu', `--format=${format}`, '-i', '0').stdout)).toEqual([
      'index, memory.used [MiB], utilization.gpu [%]\n0, 71424 MiB, 42 %\n',
      '0, 71424 MiB, 42 %\n',
      '0, 71424, 42\n',
      'index, memory.used [MiB], utilization.gpu [%]\n0, 71424, 42\n',
    ]);
  });

  it('knows no utilisation under MIG', () => {
    host.updateGpu(0, (gpu) => { gpu.mig = [newMig(0, 0)]; });
    expect(smi('--query-gpu=utilization.gpu', '--format=csv,noheader').stdout).toBe('[N/A]\n42 %\n');
    host.listOn(0, process.pid, { mig: 0, name: '/usr/bin/train' });
    expect(smi('pmon', '-c', '1', '-i', '0').stdout).toMatch(/ {6}-{1}(?: {6}-){5} {4}train/);
  });

  it('notes every call, and which kind it was', () => {
    smi('-q', '-x');
    smi('-L');
    smi('-r', '-i', '0');
    expect(host.calls().map(({ kind, args }) => [kind, args])).toEqual([['xml', ['-q', '-x']], ['list', ['-L']], ['reset', ['-r', '-i', '0']]]);
    expect(host.calls('xml')).toHaveLength(1);
  });

  it('is there without an environment, and can be missing', () => {
    host.removeSmi();
    expect(spawnSync(host.smiPath, ['-L']).error).toMatchObject({ code: 'ENOENT' });
  });

  it('can be made instant, with the answers that it had then', () => {
    host.updateGpu(0, (gpu) => { gpu.usedMiB = 7; });
    const before = smi('-L').stdout;
    const document = smi('-q', '-x').stdout.replace(/<timestamp>.*/, '');
    host.makeSmiInstant();
    expect(smi('-L')).toEqual({ stdout: before, exitCode: 0 });
    expect(smi('-q', '-x').stdout.replace(/<timestamp>.*/, '')).toBe(document);
    expect(host.calls()).toHaveLength(4);
  });
});

describe('faults', () => {
  beforeEach(() => { host = startHost({ driver: '550.163.01', gpus: 2 }); });

  it.each(['plain', 'ignores-term', 'unreapable'] as const)('hangs, in the style "%s"', (style) => {
    host.fault({ kind: 'hang', style });
    const { signal, status } = spawnSync(host.smiPath, ['-q', '-x'], { stdio: 'ignore', timeout: 400, killSignal: style === 'ignores-term' ? 'SIGKILL' : 'SIGTERM' });
    expect({ signal, status }).toEqual({ signal: style === 'ignores-term' ? 'SIGKILL' : 'SIGTERM', status: null });
  });

  it('stops short where it is told to', () => {
    const whole = smi('-q', '-x').stdout.length;
    host.fault({ kind: 'truncate', bytes: 3000 });
    expect(smi('-q', '-x').stdout).toHaveLength(3000);
    expect(whole).toBeGreaterThan(3000);
  });

  it('prints anything with exit 0, or nothing', () => {
    host.fault({ kind: 'print', text: 'Unable to determine the device handle', times: 1 }, { kind: 'print', text: '', on: ['list'] });
    expect(smi('-q', '-x')).toEqual({ stdout: 'Unable to determine the device handle', exitCode: 0 });
    expect(smi('-L')).toEqual({ stdout: '', exitCode: 0 });
    expect(smi('-q', '-x').stdout).toContain('<nvidia_smi_log>');
  });

  it('drops a GPU that attached_gpus still counts', () => {
    host.fault({ kind: 'drop-gpu', gpu: host.gpu(1).uuid });
    const { stdout } = smi('-q', '-x');
    expect(stdout).toContain('<attached_gpus>2</attached_gpus>');
    expect(stdout.match(/<gpu id=/g)).toHaveLength(1);
  });

  it('lets the two process lists disagree, for as many calls as told', () => {
    host.listOn(0, process.pid);
    host.fault({ kind: 'disagree', hideFrom: 'xml', on: ['xml'], times: 1 });
    const seen = [smi('-q', '-x'), smi('--query-compute-apps=pid', '--format=csv,noheader'), smi('-q', '-x')];
    expect(seen.map(({ stdout }) => stdout.includes(String(process.pid)))).toEqual([false, true, true]);
  });

  it('answers N/A for a process list that the board does not support', () => {
    host.fault({ kind: 'process-list-unsupported' });
    expect(smi('-q', '-x').stdout).toContain('<processes>N/A</processes>');
    expect(smi('--query-compute-apps=gpu_uuid,pid', '--format=csv,noheader').stdout).toContain(`${host.gpu(0).uuid}, [N/A]`);
  });

  it('says that a handle is missing before the rest, in new drivers', () => {
    host.updateWorld((world) => { world.driver = '570.148.08'; });
    host.fault({ kind: 'sick-gpu', gpu: host.gpu(1).uuid, error: 'unknown', style: 'handle' });
    const { stdout, exitCode } = smi('-q', '-x');
    expect(exitCode).toBe(0);
    expect(stdout.startsWith('Unable to determine the device handle for GPU1: 0000:11:00.0: Unknown Error\n<?xml')).toBe(true);
    expect(stdout.match(/<gpu id=/g)).toHaveLength(1);
  });
});

const APPS = ['--query-compute-apps=gpu_uuid,pid,process_name,used_memory', '--format=csv'] as const;
const lostAt = (error: NvmlError, style: 'handle' | 'property' = 'handle'): Fault => ({ kind: 'sick-gpu', gpu: BAD, error, style });
const exits = (code: ExitFault): Fault => ({ kind: 'exit', code });

/** Captured file, the fault that imitates it, and the arguments of the call. */
const SAME: readonly [string, Fault | null, readonly string[]][] = [
  ...(['lost', 'unknown', 'power', 'irq', 'reset-required'] as const).flatMap((error): [string, Fault, string[]][] => {
    const name = error.replace('-', '');
    return [[`qx-handle1-${name}-535.274.02.txt`, lostAt(error), ['-q', '-x']], [`L-handle1-${name}-535.274.02.txt`, lostAt(error), ['-L']]];
  }),
  ['L-handle1-noperm-535.274.02.txt', lostAt('no-permission'), ['-L']],
  ['L-handle1-notfound-535.274.02.txt', lostAt('not-found'), ['-L']],
  ['qx-i0-while-gpu1-lost-535.274.02.txt', lostAt('lost'), ['-q', '-x', '-i', '1']],
  ['qx-iuuid-healthy-while-other-lost-535.274.02.txt', lostAt('lost'), ['-q', '-x', '-i', BOARDS[0]?.uuid ?? '']],
  ['querygpu-handle1-lost-535.274.02.txt', lostAt('lost'), ['--query-gpu=index,uuid,memory.used', '--format=csv']],
  ['querygpu-prop1-lost-535.274.02.txt', lostAt('lost', 'property'), ['--query-gpu=index,uuid,memory.used,utilization.gpu', '--format=csv']],
  ['querygpu-prop1-resetrequired-535.274.02.txt', lostAt('reset-required', 'property'), ['--query-gpu=index,uuid,memory.used,utilization.gpu', '--format=csv']],
  ['computeapps-err-noperm-555.58.02.txt', { kind: 'swallow-processes', error: 'Insufficient Permissions' }, APPS],
  ['computeapps-err-unknown-555.58.02.txt', { kind: 'compute-apps-error', error: 'Unknown Error' }, APPS],
  ['computeapps-err-lost-555.58.02.txt', { kind: 'compute-apps-error', error: 'GPU is lost' }, APPS],
  ['computeapps-err-notsupported-555.58.02.txt', { kind: 'process-list-unsupported' }, APPS],
  ['init-mismatch-535.274.02.txt', exits(18), ['-q', '-x']],
  ['init-noperm-535.274.02.txt', exits(4), ['-q', '-x']],
  ['init-osblocked-535.274.02.txt', exits(17), ['-q', '-x']],
  ['init-unknown-535.274.02.txt', exits(255), ['-q', '-x']],
  ['nodriver-real-535.274.02.txt', exits(9), ['-q', '-x']],
  ['nolib-real-535.274.02.txt', exits(12), ['-q', '-x']],
  ['nogpu-qx-535.274.02.txt', exits(6), ['-q', '-x']],
  ['badfield-535.274.02.txt', null, ['--query-gpu=bogus', '--format=csv']],
  ['badid-535.274.02.txt', null, ['-q', '-x', '-i', '7']],
  ['badoption-535.274.02.txt', null, ['--bogus']],
];

describe.skipIf(!hasCaptures)('as the real program printed it', () => {
  it.each(SAME)('%s', (file, fault, args) => {
    host = startHost({ driver: /(\d+\.[\d.]+)\.txt/.exec(file)?.[1] ?? '', gpus: BOARDS });
    if (fault !== null) host.fault(fault);
    expect(smi(...args)).toEqual(captureAnswer(file));
  });

  it('L-mig: five MIG devices under their parent', () => {
    const profiles = ['1c.3g.40gb', '2c.3g.40gb', '2g.20gb', '1g.10gb', '1g.10gb'];
    const mig = profiles.map((profile, n) => newMig(0, n, { profile, uuid: `MIG-0000000${n + 1}-1111-5222-8333-0123456789ab` }));
    host = startHost({ driver: '555.58.02', gpus: [{ ...BOARDS[0], mig }, { ...BOARDS[1] }] });
    expect(smi('-L')).toEqual(captureAnswer('L-mig-555.58.02.txt'));
  });

  it.each(['no-permission', 'not-found'] as const)('drops the GPU from the document and exits 0 when its handle says %s', (error) => {
    host = startHost({ driver: '535.274.02', gpus: BOARDS });
    host.fault(lostAt(error));
    const { stdout, exitCode } = smi('-q', '-x');
    const which = /<gpu id="[^"]*"|<attached_gpus>\d+/g;
    expect([exitCode, stdout.match(which)]).toEqual([0, captureXml('errors/qx-handle1-noperm-535.274.02.txt').match(which)]);
  });

  it('no GPU at all: -L says so and exits 0', () => {
    host = startHost({ driver: '535.274.02', gpus: 0 });
    expect(smi('-L')).toEqual(captureAnswer('nogpu-L-535.274.02.txt'));
  });

  it('replaces commas in names, and prints memory that it does not know as [N/A]', () => {
    host = startHost({ driver: '555.58.02', gpus: BOARDS });
    host.listOn(0, process.pid, { name: 'python -c "a, b"', usedMiB: null });
    expect(smi(...APPS).stdout.split('\n')[1]).toBe(`${BOARDS[0]?.uuid}, ${process.pid}, python -c "a? b", [N/A]`);
  });
});
