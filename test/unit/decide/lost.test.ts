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
    expect(decideInventory([{ ...here, name: 'NVIDIA A100' }], answer)?.seen).toHaveLength(1);
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
  });

  it.each<[string, Observed<DriverView>, KernelView | undefined, InventoryEntry, string]>([
    ['a board that fell off the bus', answer, kernel, gone, 'missing since 2026-11-01T00:00:00.000Z; it is not on the PCI bus either'],
    ['one that was there a moment ago', answer, kernel, { ...gone, missingSince: null }, 'it was there at the pass before; it is not on the PCI bus either'],
    ['a kernel that was not asked', answer, undefined, gone, 'missing since 2026-11-01T00:00:00.000Z; whether it is still on the PCI bus is not known'],
    ['a bus that could not be read', answer, { ...kernel, pciGpus: null }, gone, 'missing since 2026-11-01T00:00:00.000Z; whether it is still on the PCI bus is not known'],
    ['what the driver says of all', failed('no-devices', 'No devices were found'), kernel, gone, 'missing since 2026-11-01T00:00:00.000Z; it is not on the PCI bus either; No devices were found'],
    ['what the driver says of another one', observed({ driverVersion: null, attachedGpus: 2, gpus: [gpu] }, [{ subject: '00000000:01:00.0', why: 'cut' }]), kernel, gone, 'missing since 2026-11-01T00:00:00.000Z; it is not on the PCI bus either'],
  ])('is told as far as it is known: %s', (_, driver, view, entry, known) => {
    const findings = lostFindings({ driver, ...(view !== undefined && { kernel: view }) }, { inventory: [entry] });
    expect(findings.filter(({ id }) => id === 'gpu.lost').map(({ message, remedy }) => [message, remedy])).toEqual([[
      `GPU ${gone.gpuUuid} (NVIDIA H100) at 00000000:99:00.0 is missing from nvidia-smi's answer: ${known}`,
      'look at the kernel log (Xid 79: it fell off the bus); a reboot or a power cycle of the host brings a sound board back; if it was taken out on purpose: gpuctl health-check --baseline accept',
    ]]);
  });

  it('is the one that a failed call names, and no other', () => {
    expect(ids(failed('device-fault', `GPU ${gone.pciBusId}: Unable to determine the device handle`), [here, gone])).toEqual(['gpu.lost']);
    expect(ids(failed('device-fault', 'GPU is lost'), [here, gone])).toEqual([]);
    expect(ids(failed('timeout', `GPU ${gone.pciBusId}: late`), [here, gone])).toEqual([]);
  });

  it('in whose place another one is, is told as that', () => {
    expect(lostFindings({ driver: answer, kernel }, { inventory: [{ ...gone, pciBusId: gpu.pciBusId }] })[0]?.message).toContain(`${gpu.uuid} is in its place`);
  });
});

it('a GPU on the bus that was never seen is critical where the driver has it, else a warning; nothing without an answer to compare with', () => {
  const bound = ['nvidia', 'nouveau', null];
  const view = { ...kernel, pciGpus: bound.map((driver, n) => ({ pciBusId: `00000000:f${n}:00.0`, driver })) };
  const found = lostFindings({ driver: answer, kernel: view }, { inventory: [] });
  expect(found.map(({ id, severity, message }) => [id, severity, message])).toEqual([['critical', '0', 'nvidia'], ['warning', '1', 'nouveau'], ['warning', '2', 'none']].map(([severity, n, driver]) =>
    ['gpu.unlisted', severity, `an NVIDIA GPU is on the PCI bus at 00000000:f${n}:00.0, but nvidia-smi does not show it; its kernel driver is ${driver}`]));
  expect(new Set(found.map(({ remedy }) => remedy))).toEqual(new Set(['look at the kernel log for NVRM lines of that bus id: a board that does not start, or that this driver does not support']));
  expect(ids(failed('timeout', 'late'), [], view)).toEqual([]);
  expect(ids(answer, [], { ...kernel, pciGpus: null })).toEqual([]);
});

describe('a driver of two versions', () => {
  it('is found by the library\'s refusal and by comparison, and no reset is advised', () => {
    for (const [driver, version, message] of [
      [failed('version-mismatch', 'x'), '550.1.1', "the kernel module that is loaded (550.1.1) and the driver's library are of different versions: no GPU can be used by a new process"],
      [failed('version-mismatch', 'x'), null, "the kernel module that is loaded and the driver's library are of different versions: no GPU can be used by a new process"],
      [answer, '550.1.1', 'the kernel module that is loaded (550.1.1) is not the version that nvidia-smi tells (535.274.02)'],
    ] as const) {
      const [finding] = lostFindings({ driver, kernel: { ...kernel, moduleVersion: version } }, {});
      expect(finding).toMatchObject({ id: 'driver.mismatch', severity: 'critical', message });
      expect(finding?.remedy).not.toContain('reset');
    }
  });

  it('is not found where a version is not known', () => {
    expect(ids(answer, [here], { ...kernel, moduleVersion: null })).toEqual([]);
    for (const driverVersion of [null, '[N/A]', 'R535', '535.x']) expect(ids(complete({ driverVersion, attachedGpus: 1, gpus: [gpu] }), [here])).toEqual([]);
  });
});

describe('a hung driver', () => {
  const stuck = (most: number): KernelView => ({ ...kernel, blocked: Array.from({ length: most }, (_, n) => ({ pid: n, command: 'nvidia-\u001b[' })) });
  const names = (most: number): string => Array.from({ length: most }, (_, n) => `nvidia-\\u{1b}[ (pid ${n})`).join(', ');

  it.each<[string, KernelView | undefined]>([
    ['no process named nvidia… is in uninterruptible sleep now', undefined],
    ['no process named nvidia… is in uninterruptible sleep now', stuck(0)],
    [`in uninterruptible sleep: ${names(8)}`, stuck(8)],
    [`in uninterruptible sleep: ${names(8)} and 2 more`, stuck(10)],
  ])('names who is stuck, escaped: %s', (who, view) => {
    expect(lostFindings({ driver: failed('hung', 'it hung'), ...(view !== undefined && { kernel: view }) }, {})).toEqual([{
      id: 'driver.hung', severity: 'critical', subject: {}, message: `the driver hangs: it hung; ${who}`,
      remedy: 'look at the kernel log for Xid lines; drain the host and reboot it. gpuctl asks nvidia-smi nothing until it answers a probe or the host has rebooted',
    }]);
  });
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
