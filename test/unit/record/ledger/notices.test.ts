import { expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLedger } from '../../../../src/record/ledger/open.ts';

const DAY_MS = 86_400_000;

function ledgers(): () => ReturnType<typeof openLedger> {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-ledger-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  return () => openLedger({ file: join(dir, 'ledger.db'), now: () => 0, mode: 'write' });
}

it('remembers when a sink was told of a subject over passes, once each, until it is forgotten', () => {
  const open = ledgers();
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

it('remembers alerts that are still to be told over passes, one a subject, until they are told', () => {
  const open = ledgers();
  const alert = (subject: string, at: number) => ({ subject, at, line: `{"at":${at}}`, sentence: `${subject} at ${at}` });
  const first = open();
  for (const each of [alert('b', 1), alert('a', 2), alert('c', 3), alert('b', 4)]) first.notices.recordOwed(each);
  first.close();
  const second = open();
  expect(second.notices.owed()).toEqual([alert('a', 2), alert('c', 3), alert('b', 4)]);
  second.notices.forgetOwed(['a', 'b', 'x']);
  expect(second.notices.owed()).toEqual([alert('c', 3)]);
  second.close();
});

it('of very many alerts that nobody takes remembers the newest', () => {
  const ledger = ledgers()();
  for (let at = 0; at < 205; at += 1) ledger.notices.recordOwed({ subject: `s${at}`, at, line: '', sentence: '' });
  expect(ledger.notices.owed().map(({ at }) => at)).toEqual(Array.from({ length: 200 }, (_, n) => n + 5));
  ledger.close();
});
