import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openLedger } from '../../../../src/record/ledger/open.ts';
import { testFolder } from '../folders.ts';
import { DAY, NOW, target, testLedger } from './hosts.ts';

const ended = { result: 'done', reason: null, detail: 'gone after TERM' } as const;

describe('an act', () => {
  it('that was begun and never ended is told of once, by the next pass, exactly as it was written', () => {
    const { ledger, reopen } = testLedger();
    ledger.beginPass({ id: 'killed', job: 'release-stale', startedAt: NOW });
    const first = ledger.beginAct('killed', 'kill', target, NOW);
    const second = ledger.beginAct('killed', 'kill', target, NOW + 1);
    expect(second).toBeGreaterThan(first);
    ledger.endAct(first, ended, NOW + 2);

    const next = reopen();
    next.beginPass({ id: 'next', job: 'release-stale', startedAt: NOW + 3 });
    expect(next.untoldActs('next')).toStrictEqual([{ number: second, passId: 'killed', verb: 'kill', target, at: NOW + 1 }]);
    next.markActsTold('next', [second]);
    expect(next.untoldActs('next')).toEqual([]);
    next.endPass('next', NOW + 4, 0);
    next.beginPass({ id: 'third', job: 'release-stale', startedAt: NOW + 5 });
    expect(next.untoldActs('third')).toEqual([]);
  });

  it('stays untold until a pass that told of it says so', () => {
    const { ledger } = testLedger();
    for (const id of ['killed', 'killed-too', 'third']) ledger.beginPass({ id, job: 'j', startedAt: NOW });
    ledger.beginAct('killed', 'reset', target, NOW);
    expect(ledger.untoldActs('killed-too')).toHaveLength(1);
    expect(ledger.untoldActs('third')).toHaveLength(1);
  });

  it('of the pass itself is not in flight for that pass', () => {
    const { ledger } = testLedger();
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    ledger.beginAct('p', 'kill', target, NOW);
    expect(ledger.untoldActs('p')).toEqual([]);
  });

  it('cannot be ended twice, nor without having been begun', () => {
    const { ledger } = testLedger();
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    const act = ledger.beginAct('p', 'kill', target, NOW);
    ledger.endAct(act, ended, NOW);
    expect(() => { ledger.endAct(act, ended, NOW); }).toThrow('not in flight');
    expect(() => { ledger.endAct(4711, ended, NOW); }).toThrow('not in flight');
  });

  it('is kept with its outcome, and its pass with its exit code', () => {
    const { ledger, file } = testLedger();
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    ledger.endAct(ledger.beginAct('p', 'kill', target, NOW), { result: 'refused', reason: 'identity-changed', detail: 'd' }, NOW + 1);
    ledger.endPass('p', NOW + 2, 4);
    const db = new DatabaseSync(file, { readOnly: true });
    expect({ ...db.prepare('SELECT result, reason, detail, begun_at, acts.ended_at, exit FROM acts JOIN passes ON id = pass_id').get() })
      .toEqual({ result: 'refused', reason: 'identity-changed', detail: 'd', begun_at: NOW, ended_at: NOW + 1, exit: 4 });
    db.close();
  });
});

describe('the background of the history', () => {
  it('goes after 30 days: passes that ended well and did nothing, and warnings that were given; the rest stays for 400', () => {
    const { ledger, file } = testLedger();
    const pass = (id: string, at: number, more: { readonly verb?: 'warn' | 'kill'; readonly exit?: number; readonly told?: boolean } = {}): void => {
      ledger.beginPass({ id, job: 'check-idle', startedAt: at });
      if (more.verb !== undefined) ledger.endAct(ledger.beginAct(id, more.verb, target, at), ended, at);
      ledger.endPass(id, at, more.exit ?? 0);
      if (more.told !== false) ledger.markPassesTold([id]);
    };
    const left = (): readonly string[] => {
      const db = new DatabaseSync(file, { readOnly: true });
      const rows = db.prepare('SELECT id, group_concat(verb) AS verbs FROM passes LEFT JOIN acts ON pass_id = id GROUP BY passes.rowid').all();
      db.close();
      return rows.map(({ id, verbs }) => `${String(id)} ${String(verbs)}`);
    };
    pass('plain', NOW);
    pass('warned', NOW + 1, { verb: 'warn' });
    pass('killed', NOW + 2, { verb: 'kill' });
    pass('failed', NOW + 3, { exit: 4 });
    pass('untold', NOW + 4, { told: false });
    ledger.beginPass({ id: 'cut off', job: 'check-idle', startedAt: NOW + 5 });
    ledger.beginAct('cut off', 'warn', target, NOW + 5);
    pass('a month', NOW + 29 * DAY);
    pass('later', NOW + 29 * DAY + 1);
    expect(left()).toHaveLength(8);
    pass('and', NOW + 31 * DAY);
    pass('a day', NOW + 31 * DAY + 1);
    expect(left().slice(0, 4)).toEqual(['killed kill', 'failed null', 'untold null', 'cut off warn']);
    expect(ledger.untoldActs('a day')).toHaveLength(1);
    pass('a year', NOW + 401 * DAY);
    pass('on', NOW + 401 * DAY + 1);
    expect(left().map((row) => row.split(' ')[0])).not.toContain('killed');
  });
});

describe('a pass that is killed at any moment', () => {
  it('loses nothing of what was acknowledged, and its ledger opens as it was', { timeout: 60_000 }, async () => {
    const file = join(testFolder(), 'ledger.db');
    const begun = new Set<number>();
    const done = new Set<number>();
    for (let round = 0; round < 20; round += 1) {
      for (const line of (await outputUntilKilled(file, `pass-${round}`, round)).split('\n').slice(0, -1)) {
        const [what, number] = line.split(' ');
        (what === 'begun' ? begun : done).add(Number(number));
      }
    }
    const ledger = openLedger({ file, now: () => NOW, mode: 'write' });
    expect(ledger.setAside).toBeNull();
    ledger.close();
    const db = new DatabaseSync(file, { readOnly: true });
    const rows = db.prepare('SELECT number, ended_at AS endedAt FROM acts').all();
    db.close();
    expect(done.size).toBeGreaterThan(20);
    expect([...begun].filter((number) => !rows.some((row) => row['number'] === number))).toEqual([]);
    expect([...done].filter((number) => !rows.some((row) => row['number'] === number && row['endedAt'] !== null))).toEqual([]);
  });
});

/** What the loop said before SIGKILL, which comes after a number of acknowledged lines that differs from round to round. */
async function outputUntilKilled(file: string, pass: string, round: number): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'children', 'act-loop.ts'), file, pass], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = 1 + ((round * 7) % 23);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.split('\n').length > lines) child.kill('SIGKILL');
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return said;
}
