import { expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLedger } from '../../../../src/record/ledger/open.ts';

const DAY_MS = 86_400_000;

it('remembers when a sink was told of a subject over passes, once each, until it is forgotten', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-ledger-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  const open = () => openLedger({ file: join(dir, 'ledger.db'), now: () => 0, mode: 'write' });
  const [one, two] = [{ sink: 's', subject: '["a"]', job: 'j', at: DAY_MS }, { sink: 't', subject: '["a"]', job: 'j', at: DAY_MS }];
  const first = open();
  first.notices.recordTold([one, two]);
  first.notices.recordTold([{ ...one, job: 'k', at: 2 * DAY_MS }]);
  first.close();
  const second = open();
  expect(second.notices.told()).toEqual([two, { ...one, job: 'k', at: 2 * DAY_MS }]);
  second.notices.forgetTold([two]);
  expect(second.notices.told()).toHaveLength(1);
  second.notices.recordTold([{ ...two, at: 200 * DAY_MS }]);
  expect(second.notices.told(), 'what is very old goes by itself').toEqual([{ ...two, at: 200 * DAY_MS }]);
  second.close();
});
