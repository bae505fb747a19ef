import { describe, expect, it } from 'vitest';
import { resolveReference } from '../../../src/decide/device-reference.ts';
import { gpuUuid } from '../../property/host.ts';
import { assessed, GPU0, GPU1, gpuState, MIG10, MIG11, migState } from './good-case.ts';

/** Twelve GPUs, of which 1 has two MIG devices. */
const { gpus } = assessed({ gpus: Array.from({ length: 12 }, (_, n) => (n === 1 ? migState(1) : gpuState(n))) });
const [first] = migState(1).migDevices;
const withNameless = assessed({ gpus: [gpuState(0), migState(1, { migDevices: first === undefined ? [] : [{ ...first, uuid: null }] })] }).gpus;

function named(reference: string, on = gpus): readonly string[] {
  return resolveReference(reference, on).map((device) => device.migUuid ?? device.gpuUuid);
}

const ALL = gpus.map(({ uuid }) => uuid);

describe('a reference names', () => {
  it.each<[string, readonly string[]]>([
    ['all', ALL], [' ALL ', ALL], ['small', []], ['allocated', []],
    ['1', [GPU1]], [' 10', [gpuUuid(10)]], ['12', []], ['x1', []],
    ['1:1', [MIG11]], ['1.0', [MIG10]], ['10:1', [gpuUuid(10)]], ['1:10', [GPU1]],
    // Bus ids, although a number, a separator and a number are in each.
    ['00000000:11:00.0', [GPU1]], ['0000:11:00.0', [GPU1]], ['11:00.0', [GPU1]], ['0000:1A:00.0', [gpuUuid(10)]], ['0000:99:00.0', []],
    [GPU0, [GPU0]], ['gpu-0', [GPU0]], ['GPU-', []], [`x${GPU0}`, []],
    [MIG10, [MIG10]], ['mig-1', [MIG10, MIG11]], ['MIG-', []], ['MIG-ffff', []],
    [`MIG-${GPU1}/7/0`, [GPU1]], [`MIG-${GPU1}`, [GPU1]], [`MIG-MIG-${GPU1}/7/0`, []], [`MIG-${GPU1}0/7/0`, []],
    ['', []], ['gpu0', []],
  ])('%j', (reference, expected) => {
    expect(named(reference)).toEqual(expected);
  });

  it.each([['MIG-ffff', [GPU1]], ['xMIG-ffff', []], ['ffff', []]])('%j where a MIG device has no name', (reference, expected) => {
    expect(named(reference, withNameless)).toEqual(expected);
  });
});
