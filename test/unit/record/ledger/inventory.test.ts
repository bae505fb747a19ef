import { describe, expect, it } from 'vitest';
import { GPU0, GPU1, HOUR, NOW, testLedger } from './hosts.ts';

const one = { gpuUuid: GPU0, pciBusId: '00000000:3b:00.0', name: 'NVIDIA H100' };
const two = { gpuUuid: GPU1, pciBusId: '00000000:3c:00.0', name: 'NVIDIA H100' };

describe('the inventory', () => {
  it('keeps the first sight of a GPU, its latest place, and since when it is missing', () => {
    const { ledger, reopen } = testLedger();
    ledger.recordInventory({ seen: [one, two], missing: [] }, NOW);
    ledger.recordInventory({ seen: [{ ...one, pciBusId: '00000000:01:00.0' }], missing: [GPU1] }, NOW + HOUR);
    ledger.recordInventory({ seen: [], missing: [GPU1] }, NOW + 2 * HOUR);
    expect(reopen().history().inventory).toStrictEqual([
      { ...one, pciBusId: '00000000:01:00.0', firstSeenAt: NOW, missingSince: null },
      { ...two, firstSeenAt: NOW, missingSince: NOW + HOUR },
    ]);
  });

  it('has a GPU that came back as if it had never been away', () => {
    const { ledger } = testLedger();
    ledger.recordInventory({ seen: [one], missing: [] }, NOW);
    ledger.recordInventory({ seen: [], missing: [GPU0] }, NOW + HOUR);
    ledger.recordInventory({ seen: [one], missing: [] }, NOW + 2 * HOUR);
    expect(ledger.history().inventory).toStrictEqual([{ ...one, firstSeenAt: NOW, missingSince: null }]);
  });

  it('forgets what is missing, and nothing else, where an admin accepts it', () => {
    const { ledger } = testLedger();
    ledger.recordInventory({ seen: [one, two], missing: [] }, NOW);
    ledger.recordInventory({ seen: [], missing: [GPU1] }, NOW + HOUR);
    expect(ledger.acceptInventory()).toEqual([GPU1]);
    expect(ledger.acceptInventory()).toEqual([]);
    expect(ledger.history().inventory?.map(({ gpuUuid }) => gpuUuid)).toEqual([GPU0]);
  });
});

describe('an nvidia-smi that hung', () => {
  it('is remembered since the first time in this boot, with the latest child, until it is cleared', () => {
    const { ledger, reopen } = testLedger();
    expect(ledger.hungSmi()).toBeNull();
    ledger.recordHung({ since: NOW, bootId: 'a', pid: 7, startTicks: 9 });
    ledger.recordHung({ since: NOW + HOUR, bootId: 'a', pid: null, startTicks: null });
    expect(reopen().hungSmi()).toEqual({ since: NOW, bootId: 'a', pid: null, startTicks: null });
    const again = reopen();
    again.recordHung({ since: NOW + 2 * HOUR, bootId: 'b', pid: 8, startTicks: 1 });
    expect(again.hungSmi()).toEqual({ since: NOW + 2 * HOUR, bootId: 'b', pid: 8, startTicks: 1 });
    again.clearHung();
    expect(again.hungSmi()).toBeNull();
  });
});
