import { describe, expect, it } from 'vitest';
import { decideInventory, lostNamed } from '../../../src/decide/inventory.ts';
import { decideLatch, type LatchFacts } from '../../../src/decide/latch.ts';
import { lostFindings } from '../../../src/decide/lost.ts';
import type { DriverView } from '../../../src/model/device.ts';
import type { InventoryEntry, KernelView } from '../../../src/model/lost.ts';
import { complete, failed, observed, type Observed } from '../../../src/model/observation.ts';
import { assessed } from './good-case.ts';

const [gpu] = assessed().gpus;
if (gpu === undefined) throw new Error('the good case has a GPU');

const here: InventoryEntry = { gpuUuid: gpu.uuid, pciBusId: gpu.pciBusId, name: gpu.name, firstSeenAt: 1, missingSince: null };
const gone: InventoryEntry = { gpuUuid: 'GPU-99999999-0000-0000-0000-000000000000', pciBusId: '00000000:99:00.0', name: 'NVIDIA H100', firstSeenAt: 1, missingSince: Date.UTC(2026, 10, 1) };
const answer: Observed<DriverView> = complete({ driverVersion: '535.274.02', attachedGpus: 1, gpus: [gpu] });
const kernel: KernelView = { pciGpus: [{ pciBusId: gpu.pciBusId, driver: 'nvidia' }], moduleVersion: '535.274.02', blocked: [] };

function ids(driver: Observed<DriverView>, inventory: readonly InventoryEntry[], view: KernelView = kernel): readonly string[] {
  return lostFindings({ driver, kernel: view }, { inventory }).map(({ id }) => id);
}

describe('the inventory', () => {
  it('learns what is new, has moved or is back, and notes once what is missing', () => {
    expect(decideInventory([], answer)).toEqual({ seen: [{ gpuUuid: gpu.uuid, pciBusId: gpu.pciBusId, name: gpu.name }], missing: [] });
    expect(decideInventory([{ ...here, pciBusId: '00000000:01:00.0' }], answer)?.seen).toHaveLength(1);
    expect(decideInventory([{ ...here, missingSince: 5 }], answer)?.seen).toHaveLength(1);
    expect(decideInventory([here, { ...gone, missingSince: null }], answer)).toEqual({ seen: [], missing: [gone.gpuUuid] });
    expect(decideInventory([here, gone], answer)).toBeNull();
  });

  it('learns nothing where nvidia-smi did not answer; "no devices" is an answer', () => {
    expect(decideInventory([here], failed('no-driver', 'it is not loaded'))).toBeNull();
    expect(decideInventory([here], failed('timeout', 'late'))).toBeNull();
    expect(decideInventory([here], failed('no-devices', 'No devices were found'))).toEqual({ seen: [], missing: [gpu.uuid] });
  });

  it('names a lost GPU by its UUID or its bus id in any form, never one that is there', () => {
    expect(lostNamed(gone.gpuUuid, [here, gone], answer)).toBe(gone);
    expect(lostNamed('0000:99:00.0', [here, gone], answer)).toBe(gone);
    expect(lostNamed(gpu.uuid, [here, gone], answer)).toBeNull();
  });
});

describe('a lost GPU', () => {
  it('is told with UUID, bus id, since when, whether it is on the bus, and what the driver says of it', () => {
    const partial = observed({ driverVersion: null, attachedGpus: 2, gpus: [gpu] }, [{ subject: gone.pciBusId, why: 'GPU is lost' }]);
    const [finding] = lostFindings({ driver: partial, kernel: { ...kernel, pciGpus: [...kernel.pciGpus ?? [], { pciBusId: gone.pciBusId, driver: 'nvidia' }] } }, { inventory: [here, gone] });
    expect(finding).toMatchObject({ id: 'gpu.lost', severity: 'critical', subject: { gpu: gone.gpuUuid } });
    expect(finding?.message).toMatch(/GPU-99999999.*00000000:99:00\.0.*missing since 2026-11-01.*still on the PCI bus.*GPU is lost/);
    expect(lostFindings({ driver: answer, kernel }, { inventory: [gone] })[0]?.message).toContain('not on the PCI bus either');
    expect(lostFindings({ driver: answer }, { inventory: [gone] })[0]?.message).toContain('not known');
  });

  it('is the one that a failed call names, and no other', () => {
    expect(ids(failed('device-fault', `GPU ${gone.pciBusId}: Unable to determine the device handle`), [here, gone])).toEqual(['gpu.lost']);
    expect(ids(failed('device-fault', 'GPU is lost'), [here, gone])).toEqual([]);
  });

  it('in whose place another one is, is told as that', () => {
    expect(lostFindings({ driver: answer, kernel }, { inventory: [{ ...gone, pciBusId: gpu.pciBusId }] })[0]?.message).toContain(`${gpu.uuid} is in its place`);
  });
});

it('a GPU on the bus that was never seen is critical where the driver has it, else a warning; nothing without an answer to compare with', () => {
  const view = { ...kernel, pciGpus: [{ pciBusId: '00000000:f1:00.0', driver: 'nvidia' }, { pciBusId: '00000000:f2:00.0', driver: 'nouveau' }] };
  expect(lostFindings({ driver: answer, kernel: view }, { inventory: [] }).map(({ id, severity }) => [id, severity])).toEqual([['gpu.unlisted', 'critical'], ['gpu.unlisted', 'warning']]);
  expect(ids(failed('timeout', 'late'), [], view)).toEqual([]);
});

describe('a driver of two versions', () => {
  it('is found by the library\'s refusal and by comparison, and no reset is advised', () => {
    for (const [driver, version] of [[failed('version-mismatch', 'x'), '550.1.1'], [answer, '550.1.1'], [failed('version-mismatch', 'x'), null]] as const) {
      const [finding] = lostFindings({ driver, kernel: { ...kernel, moduleVersion: version } }, {});
      expect(finding).toMatchObject({ id: 'driver.mismatch', severity: 'critical' });
      expect(finding?.remedy).not.toContain('reset');
    }
  });

  it('is not found where a version is not known', () => {
    expect(ids(answer, [here], { ...kernel, moduleVersion: null })).toEqual([]);
    expect(ids(complete({ driverVersion: null, attachedGpus: 1, gpus: [gpu] }), [here])).toEqual([]);
  });
});

it('a hung driver names who is stuck, escaped', () => {
  const [finding] = lostFindings({ driver: failed('hung', 'it hung'), kernel: { ...kernel, blocked: [{ pid: 77, command: 'nvidia-\u001b[2J' }] } }, {});
  expect(finding).toMatchObject({ id: 'driver.hung', severity: 'critical', message: expect.stringContaining('(pid 77)') });
  expect(finding?.message).not.toContain('\u001b');
});

describe('after an nvidia-smi that hung', () => {
  const hung = { since: 1, bootId: 'this', pid: 7, startTicks: 9 };
  const facts: LatchFacts = { hung, bootId: 'this', holder: 'gone', mayProbe: true };

  it.each<readonly [string, Partial<LatchFacts>, ReturnType<typeof decideLatch>]>([
    ['none is remembered', { hung: null }, 'ask'],
    ['its process lives', { holder: 'lives' }, 'wait'],
    ['it is not known whether its process lives', { holder: 'unknown' }, 'wait'],
    ['its process is gone, and this pass may probe', {}, 'probe'],
    ['nothing names its process, and this pass may probe', { holder: 'unnamed' }, 'probe'],
    ['its process is gone, and this run may not probe', { mayProbe: false }, 'wait'],
    ['the host has rebooted', { bootId: 'next', holder: 'lives' }, 'lift'],
    ['the host has rebooted, and this run may not write', { bootId: 'next', mayProbe: false }, 'ask'],
    ['the boot is not known', { bootId: null }, 'wait'],
  ])('where %s', (_, more, decision) => {
    expect(decideLatch({ ...facts, ...more })).toBe(decision);
  });
});
