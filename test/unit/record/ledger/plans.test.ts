import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openLedger } from '../../../../src/record/ledger/open.ts';

/** Every statement that an opened ledger has ready or has run, after a pass that came to its end, on a file where its plan can be asked for. */
function statements(): { readonly file: string; readonly all: readonly string[] } {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-plans-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  const file = join(dir, 'ledger.db');
  const ledger = openLedger({ file, now: () => 0, mode: 'write' });
  ledger.beginPass({ id: 'p', job: 'sample', startedAt: 0 });
  ledger.endPass('p', 1, 0);
  ledger.close();
  const all: string[] = [];
  const { prepare } = DatabaseSync.prototype;
  onTestFinished(() => { DatabaseSync.prototype.prepare = prepare; });
  DatabaseSync.prototype.prepare = function remembering(this: DatabaseSync, sql: string) {
    all.push(sql);
    return Reflect.apply(prepare, this, [sql]) as ReturnType<typeof prepare>;
  };
  openLedger({ file, now: () => 0, mode: 'write' }).close();
  DatabaseSync.prototype.prepare = prepare;
  return { file, all };
}

/** Of these there are as many as the ledger has days, times hundreds. */
const GROWING = ['memory', 'samples', 'device_use', 'passes', 'acts', 'allocations'];

it('no statement of a pass goes through the samples of a month or the history of a year', () => {
  const { file, all } = statements();
  const db = new DatabaseSync(file, { readOnly: true });
  onTestFinished(() => { db.close(); });
  const partial = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %' AND name <> 'allocations_current'").all().map((row) => String(row['name']));
  const scans = all.filter((sql) => !sql.startsWith('PRAGMA') && !sql.endsWith('ORDER BY rowid DESC LIMIT 1') && db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().some(({ detail }) => {
    const [, table = '', index = ''] = /^SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?/.exec(String(detail)) ?? [];
    return GROWING.includes(table) && !partial.includes(index);
  }));
  expect(all.filter((sql) => new RegExp(`\\b(?:${GROWING.join('|')})\\b`).test(sql)).length).toBeGreaterThan(15);
  expect(scans).toEqual([]);
});

it('a ledger whose last pass came to its end is checked but for what grows with its age and decides nothing', () => {
  const checked = statements().all.flatMap((sql) => /^PRAGMA quick_check\("(\w+)"\)$/.exec(sql)?.[1] ?? []);
  expect(checked).toEqual(expect.arrayContaining(['allocations', 'containers', 'host', 'memory', 'resets', 'reset_debts']));
  expect(checked.filter((table) => ['samples', 'device_use', 'passes', 'acts'].includes(table))).toEqual([]);
});
