import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readDurations } from '../../../../src/record/ledger/durations.ts';
import { openLedger } from '../../../../src/record/ledger/open.ts';

let file = '';
beforeEach(() => { file = join(mkdtempSync(join(tmpdir(), 'gpuctl-durations-')), 'ledger.db'); });
afterEach(() => { rmSync(join(file, '..'), { recursive: true }); });

describe('measured durations', () => {
  it('are none where there is no ledger, and none is made', () => {
    expect(readDurations(file)).toEqual({ byJob: new Map(), unreadable: null });
  });

  it('are those of the passes that ended, newest first; killed passes and clocks that jumped say nothing', () => {
    const ledger = openLedger({ file, now: () => 0, mode: 'write' });
    const pass = (id: string, job: string, startedAt: number, endedAt: number | null): void => {
      ledger.beginPass({ id, job, startedAt });
      if (endedAt !== null) ledger.endPass(id, endedAt, 0);
    };
    pass('1', 'release-stale', 1000, 1400);
    pass('2', 'release-stale', 2000, 2900);
    pass('3', 'release-stale', 3000, null);
    pass('4', 'release-stale', 4000, 3000);
    pass('5', 'sample', 5000, 5100);
    ledger.close();
    expect(readDurations(file)).toEqual({ byJob: new Map([['release-stale', [900, 400]], ['sample', [100]]]), unreadable: null });
  });

  it('are not known where the ledger cannot be read, which is said', () => {
    writeFileSync(file, 'not a database at all, but long enough to look like one to nobody'.repeat(20));
    const { byJob, unreadable } = readDurations(file);
    expect(byJob.size).toBe(0);
    expect(unreadable).toMatch(/\S/);
  });
});
