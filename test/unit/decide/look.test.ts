import { expect, it } from 'vitest';
import { lookOf } from '../../../src/decide/look.ts';
import type { Gap } from '../../../src/model/observation.ts';
import { snapshotOf } from '../../property/host.ts';
import { hostOf, NOW } from './good-case.ts';

/** What is known of the shims where this is missing of the processes; pid 7 is listed and unreadable. */
function shimsWithout(gap: Gap): string {
  const snapshot = snapshotOf(hostOf(), NOW);
  if (snapshot.processes.state === 'failed') throw new Error('the processes are known');
  const value = { ...snapshot.processes.value, listed: [{ state: 'unreadable' as const, pid: 7, why: 'EIO' }] };
  return lookOf({ ...snapshot, processes: { state: 'partial', value, missing: [gap] } }).shims.state;
}

it('shims are not known completely where one may not have been read, whatever the words for it are', () => {
  expect(shimsWithout({ kind: 'shim', subject: 'pid 7', why: 'EIO' })).toBe('partial');
  expect(shimsWithout({ subject: 'pid 7', why: 'its name is shim: EIO' })).toBe('complete');
  expect(shimsWithout({ subject: 'pid 8', why: 'EIO' })).toBe('partial');
  expect(shimsWithout({ kind: 'files', subject: 'holders', why: 'too many' })).toBe('complete');
});
