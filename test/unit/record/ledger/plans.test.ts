import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openLedger } from '../../../../src/record/ledger/open.ts';

/** Every statement that an opened ledger has ready, on a file where its plan can be asked for. */
function statements(): { readonly file: string; readonly all: readonly string[] } {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-plans-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  const file = join(dir, 'ledger.db');
  openLedger({ file, now: () => 0, mode: 'write' }).close();
  const all: string[] = [];
  const { prepare } = DatabaseSync.prototype;
  onTestFinished(() => { DatabaseSync.prototype.prepare = prepare; });
  DatabaseSync.prototype.prepare = function remembering(this: DatabaseSync, sql: string) {
    all.push(sql);
    return Reflect.apply(prepare, this, [sql]) as ReturnType<typeof prepare>;
  };
  openLedger({ file, now: () => 0, mode: 'write' }).close();
  DatabaseSync.prototype.prepare = prepare;
  return { file, all: all.filter((sql) => !sql.startsWith('PRAGMA')) };
}

it('no statement of a pass goes through the samples of a month, of which there are hundreds of thousands', () => {
  const { file, all } = statements();
  const db = new DatabaseSync(file, { readOnly: true });
  onTestFinished(() => { db.close(); });
  const scans = all.filter((sql) => db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().some(({ detail }) => /^SCAN (memory|samples|device_use)\b/.test(String(detail))));
  expect(all.filter((sql) => /\b(?:memory|samples|device_use)\b/.test(sql)).length).toBeGreaterThan(5);
  expect(scans).toEqual([]);
});
