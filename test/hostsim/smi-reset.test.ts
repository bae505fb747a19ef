import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { captureAnswer, hasCaptures } from './captures.ts';
import { startHost, type Host } from './host.ts';
import { newMig } from './new-world.ts';
import type { Architecture, NvmlError, ResetRefusal } from './world.ts';

let host: Host;
beforeEach(() => { host = startHost({ gpus: [{ busId: '00000000:10:00.0' }, { busId: '00000000:11:00.0' }] }); });
afterEach(() => host.dispose());

function smi(...args: string[]): { stdout: string; exitCode: number | null } {
  const { stdout, status } = spawnSync(host.smiPath, args, { encoding: 'utf8', env: {} });
  return { stdout, exitCode: status };
}

const DONE = { stdout: 'GPU 00000000:11:00.0 was successfully reset.\nAll done.\n', exitCode: 0 };

describe('a reset', () => {
  it('of one GPU frees what stuck, forgets ghosts and answers what asked for it, on that GPU only', () => {
    for (const ref of [0, 1]) {
      host.listOn(ref, 999_999_999, { ghost: true });
      host.updateGpu(ref, (gpu) => { Object.assign(gpu, { stickyMiB: 900, recovery: 'Reset', repairPending: true, powerLimitW: 250, computeMode: 'Exclusive_Process' }); });
    }
    const other = host.gpu(0);
    expect(smi('-r', '-i', '00000000:11:00.0')).toEqual(DONE);
    expect(host.gpu(1)).toMatchObject({ stickyMiB: 0, processes: [], recovery: 'None', repairPending: false, powerLimitW: 700, computeMode: 'Default', persistence: true });
    expect(host.gpu(0)).toEqual(other);
    expect(host.world().resets).toMatchObject([{ gpu: host.gpu(1).uuid, args: ['-r', '-i', '00000000:11:00.0'] }]);
  });

  it('without -i resets every GPU', () => {
    smi('-r');
    expect(host.world().resets.map(({ gpu }) => gpu)).toEqual([host.gpu(0).uuid, host.gpu(1).uuid]);
  });

  it('takes the MIG instances with it and leaves the mode', () => {
    host.updateGpu(1, (gpu) => { gpu.mig = [newMig(1, 0)]; });
    expect(smi('--gpu-reset', '-i', '1')).toEqual(DONE);
    expect(host.gpu(1).mig).toEqual([]);
  });

  it('is refused while a listed process lives, and not afterwards', async () => {
    const trainer = await host.process();
    host.listOn(1, trainer, { leavesMiB: 700 });
    expect(smi('-r', '-i', '1')).toMatchObject({ exitCode: 19, stdout: expect.stringContaining('is currently in use by another process.') as string });
    expect(host.world().resets).toEqual([]);
    await trainer.end();
    expect(smi('-r', '-i', '1')).toEqual(DONE);
    expect(host.gpu(1).processes).toEqual([]);
  });

  it('is refused while the persistence daemon holds the node, until -pm 0 makes it let go', async () => {
    const daemon = await host.process({ name: 'nvidia-persiste' });
    host.updateGpu(1, (gpu) => { gpu.holders.push({ pid: daemon.pid, startTicks: daemon.startTicks, persistence: true }); });
    expect(smi('-r', '-i', '1').exitCode).toBe(19);
    expect(smi('-pm', '0', '-i', '00000000:11:00.0')).toEqual({ stdout: 'Disabled persistence mode for GPU 00000000:11:00.0.\nAll done.\n', exitCode: 0 });
    expect(smi('-r', '-i', '1')).toEqual(DONE);
    expect(smi('-pm', '1', '-i', '1').stdout).toBe('Enabled persistence mode for GPU 00000000:11:00.0.\nAll done.\n');
    expect(host.gpu(1).persistence).toBe(true);
  });

  it('takes settings with it, which -c and -pl set again', () => {
    host.updateGpu(1, (gpu) => { Object.assign(gpu, { computeMode: 'Prohibited', powerLimitW: 250 }); });
    smi('-r', '-i', '1');
    expect(host.gpu(1)).toMatchObject({ computeMode: 'Default', powerLimitW: 700 });
    expect(smi('-c', '2', '-i', '00000000:11:00.0').stdout).toBe('Set compute mode to PROHIBITED for GPU 00000000:11:00.0.\nAll done.\n');
    expect(smi('-pl', '250', '-i', '00000000:11:00.0').stdout).toBe('Power limit for GPU 00000000:11:00.0 was set to 250.00 W from 700.00 W.\nAll done.\n');
    expect(host.gpu(1)).toMatchObject({ computeMode: 'Prohibited', powerLimitW: 250 });
  });

  it('is refused for the GPU that drives the display', () => {
    host.updateGpu(1, (gpu) => { gpu.display = 'primary'; });
    expect(smi('-r', '-i', '1').stdout).toBe("GPU Reset couldn't run because GPU 00000000:11:00.0 is the primary GPU.\n");
  });

  it('is refused to anybody but root', () => {
    const { stdout, status } = spawnSync(host.smiPath, ['-r', '-i', '1'], { encoding: 'utf8', env: {}, uid: 65_534, gid: 65_534 });
    expect({ stdout, status }).toEqual({ stdout: 'Unable to reset GPU 00000000:11:00.0: Insufficient Permissions\n', status: 4 });
    expect(host.world().resets).toEqual([]);
  });

  it('names the whole NVLink set where it asks for it', () => {
    host.fault({ kind: 'refuse-reset', as: 'nvlink' });
    expect(smi('-r', '-i', '1').stdout).toBe('The following GPUs could not be reset:\n  GPU 00000000:10:00.0: Not Supported\n  GPU 00000000:11:00.0: Not Supported\n');
  });

  it('can succeed and bring back another board than before', () => {
    const { uuid } = host.gpu(1);
    host.updateGpu(1, (gpu) => { gpu.stickyMiB = 900; });
    const resetLosing = (what: 'uuid' | 'persistence' | 'gpu' | 'nothing-repaired'): void => {
      host.clearFaults();
      host.fault({ kind: 'reset-loses', what });
      expect(smi('-r', '-i', '1')).toEqual(DONE);
    };
    resetLosing('nothing-repaired');
    expect(host.gpu(1).stickyMiB).toBe(900);
    resetLosing('persistence');
    expect(host.gpu(1)).toMatchObject({ persistence: false, stickyMiB: 0 });
    resetLosing('uuid');
    expect(host.gpu(1).uuid).not.toBe(uuid);
    resetLosing('gpu');
    expect(host.world().gpus).toHaveLength(1);
    expect(smi('-q', '-x').stdout).toContain('<attached_gpus>2</attached_gpus>');
  });
});

const REFUSALS: readonly [string, Architecture, ResetRefusal][] = [
  ['reset-inuse-hopperpath-535.274.02.txt', 'Hopper', 'in-use'],
  ['reset-lost-hopperpath-535.274.02.txt', 'Hopper', 'lost'],
  ['reset-noperm-hopperpath-535.274.02.txt', 'Hopper', 'no-permission'],
  ['reset-notsupported-hopperpath-535.274.02.txt', 'Hopper', 'not-supported'],
  ['reset-unavailable-hopperpath-535.274.02.txt', 'Hopper', 'unavailable'],
  ['reset-inuse-legacypath-555.58.02.txt', 'Ampere', 'in-use'],
  ['reset-lost-legacypath-555.58.02.txt', 'Ampere', 'lost'],
  ['reset-noperm-legacypath-555.58.02.txt', 'Ampere', 'no-permission'],
  ['reset-notsupported-legacypath-555.58.02.txt', 'Ampere', 'not-supported'],
  ['reset-unknown-legacypath-555.58.02.txt', 'Ampere', 'unknown'],
];

describe.skipIf(!hasCaptures)('as the real program printed it', () => {
  it.each(REFUSALS)('%s', (file, architecture, as) => {
    host.updateGpu(1, (gpu) => { gpu.architecture = architecture; });
    host.fault({ kind: 'refuse-reset', as });
    const { stdout, exitCode } = captureAnswer(file);
    // The stub library of those runs did not tell the chip, which a real one does.
    expect(smi('-r', '-i', '1')).toEqual({ stdout: stdout.replace(/^Cannot detect chip architecture.*\n/, ''), exitCode });
  });

  it.each([['reset-handle-lost-535.274.02.txt', 'lost'], ['reset-handle-resetrequired-535.274.02.txt', 'reset-required']] satisfies [string, NvmlError][])('%s', (file, error) => {
    host.fault({ kind: 'sick-gpu', gpu: host.gpu(1).uuid, error, style: 'handle' });
    expect(smi('-r', '-i', '1')).toEqual(captureAnswer(file));
  });

  it('reset-ok: both GPUs', () => {
    expect(smi('-r')).toEqual(captureAnswer('reset-ok-hopperpath-535.274.02.txt'));
  });
});
