import { describe, expect, it } from 'vitest';
import { blockersIn } from '../../../../src/decide/reset.ts';
import { misread, read } from '../../../../src/model/reading.ts';
import type { GpuState, HostState } from '../../../property/host.ts';
import { resets } from '../../../property/rules.ts';
import { assessed, GPU0, gpuState, runningJob, worldOf } from '../good-case.ts';

/** Verdict and reason of the first GPU, and the hard blockers of its reset. */
function decided(gpu: Partial<GpuState>, more: Partial<HostState> = {}): readonly string[] {
  const host = { gpus: [gpuState(0, gpu)], ...more };
  const [decision] = resets(assessed(host), worldOf(host), { orphanEnded: false, ghosts: [] });
  if (decision === undefined) throw new Error('no decision');
  return [`${decision.verdict} ${decision.reason}`, ...blockersIn(decision).filter(({ hard }) => hard).map(({ kind }) => kind)];
}

const requiresReset = { faults: ['GPU requires reset'] };

describe('a board that answers "GPU requires reset"', () => {
  it('is reset where everything that a reset is decided by is known: what it says stands not against it', () => {
    expect(decided(requiresReset)).toEqual(['act reset-asked']);
    expect(decided({ ...requiresReset, recovery: misread('GPU requires reset') })).toEqual(['act reset-asked']);
  });

  it.each<[string, Partial<GpuState>, string]>([
    ['its process list', { listUnknown: '-q -x says "GPU requires reset"' }, 'process-list-unknown'],
    ['its MIG mode', { mig: 'error' }, 'mig-unknown'],
    ['its display', { display: 'error' }, 'display-active'],
  ])('is wanted reset and left alone where it does not answer for %s', (_, more, blocker) => {
    expect(decided({ ...requiresReset, ...more })).toEqual(['refuse blocked', blocker]);
  });

  it('is left alone with a container on it, or with a fault besides', () => {
    expect(decided(requiresReset, { containers: [runningJob({ labels: { 'gpuctl.device': GPU0 } })] })).toEqual(['refuse blocked', 'container-claim']);
    expect(decided({ faults: ['GPU requires reset', 'Unknown Error'] })).toEqual(['refuse blocked', 'device-unknown']);
  });
});

describe('the driver’s recovery action', () => {
  it.each(['reboot', 'drain-p2p', 'imex-domain-reset', 'bus-reset', 'system-reboot', 'other'] as const)('%s outranks a repair that waits for a reset: none is tried', (action) => {
    expect(decided({ recovery: read(action), repairPending: 'yes' })).toEqual(['refuse blocked', 'device-unknown']);
  });

  it('none does not: the repair waits for the next reset', () => {
    expect(decided({ recovery: read('none'), repairPending: 'yes' })).toEqual(['act repair-pending']);
  });
});
