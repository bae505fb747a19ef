import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GpuctlError } from '../../../../src/model/errors.ts';
import { emptyHistory } from '../../../../src/model/history.ts';
import { openLedger, type OpenLedger } from '../../../../src/record/ledger/open.ts';
import { asNobody, isRoot, readOnlyViewOf, testFolder, tinyFileSystem } from '../folders.ts';
import { claim, container, engine, GPU0, GPU1, idOf, nobody, NOW, target } from './hosts.ts';

const open = (file: string, mode: 'write' | 'read' = 'write'): OpenLedger => openLedger({ file, now: () => NOW, mode });
const STAMP = '20261122T090500Z';

/** A ledger with something in every table, closed. */
function filledLedger(file: string): void {
  const ledger = open(file);
  ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
  ledger.beginAct('p', 'kill', target, NOW);
  const prefixes = ['a', 'b', 'c', 'd'];
  ledger.recordObservation(engine(prefixes.map((prefix) => container(prefix))), prefixes.map((prefix) => claim(prefix)), nobody, NOW);
  ledger.recordMemory(Array.from({ length: 100 }, (_, n) => ({ gpuUuid: GPU0, at: NOW - n * 1000, usedMiB: n, unexplainedMiB: n })));
  ledger.recordReset(GPU0, true, NOW);
  ledger.wantReset({ gpuUuid: GPU0, reason: 'dirty-memory', since: NOW });
  ledger.quarantine(GPU1, NOW);
  ledger.close();
}

/** Everything that a pass does with a ledger. */
function useWholly(ledger: OpenLedger): void {
  ledger.history();
  ledger.beginPass({ id: 'next', job: 'j', startedAt: NOW });
  ledger.markActsTold('next', ledger.untoldActs('next').map(({ number }) => number));
  ledger.markPassesTold(ledger.untoldPasses('next').map(({ id }) => id));
  ledger.endAct(ledger.beginAct('next', 'kill', target, NOW), { result: 'done', reason: null, detail: '' }, NOW);
  ledger.recordObservation(engine([container('a'), container('e')]), [claim('a'), claim('e')], nobody, NOW);
  ledger.release({ containerId: idOf('a'), startedAt: null, gpuUuid: GPU0, migUuid: null }, 'gone', NOW);
  ledger.recordMemory([{ gpuUuid: GPU0, at: NOW, usedMiB: 1, unexplainedMiB: 1 }]);
  ledger.wantReset({ gpuUuid: GPU1, reason: 'dirty-memory', since: NOW });
  ledger.withdrawReset(GPU0);
  ledger.recordReset(GPU0, true, NOW);
  ledger.quarantine(GPU0, NOW);
  ledger.endPass('next', NOW, 0);
  ledger.history();
}

describe('a ledger opened to write', () => {
  it('is made in a folder that others may enter, in a file that is root\'s alone', () => {
    const file = join(testFolder(), 'state', 'ledger.db');
    const ledger = open(file);
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(file, '..')).map((name) => statSync(join(file, '..', name)).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
    expect([ledger.setAside, ledger.unreadable]).toEqual([null, null]);
    ledger.close();
  });

  it('makes every write durable before it returns', () => {
    const file = join(testFolder(), 'ledger.db');
    open(file).close();
    const db = new DatabaseSync(file);
    expect(Object.values(db.prepare('PRAGMA journal_mode').get() ?? {})).toEqual(['wal']);
    db.close();
  });

  it('can be used by a second process of gpuctl at the same time', () => {
    const file = join(testFolder(), 'ledger.db');
    const [one, two] = [open(file), open(file)];
    one.quarantine(GPU0, NOW);
    two.quarantine(GPU1, NOW);
    expect(one.history().quarantined).toEqual([GPU0, GPU1]);
    one.close();
    two.close();
  });

  it('that a newer gpuctl wrote is refused and stays where it is', () => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 99');
    db.close();
    for (const mode of ['write', 'read'] as const) {
      expect(() => open(file, mode)).toThrow(expect.objectContaining({ code: 'ledger-too-new', exitCode: 3, hint: expect.any(String) as string }));
    }
    expect(readdirSync(join(file, '..')).filter((name) => name.includes('corrupt'))).toEqual([]);
  });

  it('that was only begun when the power went is finished', () => {
    const file = join(testFolder(), 'ledger.db');
    writeFileSync(file, '');
    const ledger = open(file);
    expect([ledger.setAside, ledger.history()]).toEqual([null, emptyHistory]);
    ledger.close();
  });
});

describe('a damaged ledger', () => {
  const damages: Readonly<Record<string, (file: string) => void>> = {
    'no database at all': (file) => { writeFileSync(file, 'garbage '.repeat(1000)); },
    'cut in the middle': (file) => { writeFileSync(file, readFileSync(file).subarray(0, 9000)); },
    'with a page of zeros': (file) => { writeFileSync(file, Buffer.from(readFileSync(file)).fill(0, 8192, 12_288)); },
    'whose header wants a newer writer': (file) => { writeFileSync(file, Buffer.from(readFileSync(file)).fill(7, 18, 19)); },
    'that lacks a table': (file) => { sql(file, 'DROP TABLE quarantine'); },
    'that lacks a column': (file) => { sql(file, 'ALTER TABLE acts DROP COLUMN detail'); },
    'that lacks the row about the host': (file) => { sql(file, 'DELETE FROM host'); },
    'whose version is below its content': (file) => { sql(file, 'PRAGMA user_version = 0'); },
    'that belongs to another program': (file) => { rmSync(file); sql(file, 'CREATE TABLE theirs (a)'); },
  };

  it.each(Object.entries(damages))('(%s) is set aside whole under a new name, and a new one begun', (_, damage) => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    damage(file);
    const bytes = readFileSync(file);
    const ledger = open(file);
    expect(ledger.setAside).toBe(`${file}.corrupt-${STAMP}`);
    expect(readFileSync(ledger.setAside ?? '')).toEqual(bytes);
    expect(ledger.history()).toEqual(emptyHistory);
    useWholly(ledger);
    ledger.close();
    const again = open(file);
    expect(again.setAside).toBeNull();
    again.close();
  });

  it('takes its -wal along, which would otherwise be played into the new one', () => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    const ledger = open(file);
    ledger.quarantine(GPU0, NOW);
    const wal = readFileSync(`${file}-wal`);
    ledger.close();
    writeFileSync(file, 'garbage '.repeat(1000));
    writeFileSync(`${file}-wal`, wal);
    const anew = open(file);
    expect(existsSync(`${anew.setAside}-wal`)).toBe(true);
    expect(anew.history()).toEqual(emptyHistory);
    anew.close();
  });

  it('never takes the name of one that was set aside before', () => {
    const file = join(testFolder(), 'ledger.db');
    for (const name of [`${file}.corrupt-${STAMP}`, `${file}.corrupt-${STAMP}.2`]) {
      writeFileSync(file, 'garbage '.repeat(1000));
      const ledger = open(file);
      expect(ledger.setAside).toBe(name);
      ledger.close();
    }
  });

  it('is left alone by a reader, who is told', () => {
    const file = join(testFolder(), 'ledger.db');
    writeFileSync(file, 'garbage '.repeat(1000));
    const ledger = open(file, 'read');
    expect([ledger.setAside, ledger.unreadable, ledger.history()]).toEqual([null, expect.stringContaining('damaged'), emptyHistory]);
    ledger.close();
    expect(readdirSync(join(file, '..'))).toEqual(['ledger.db']);
  });

  it('at whatever bytes opens, or is set aside, or is refused with an error of ours', { timeout: 60_000 }, () => {
    const folder = testFolder();
    const sound = join(folder, 'sound.db');
    filledLedger(sound);
    const bytes = readFileSync(sound);
    const place = fc.oneof(fc.nat(bytes.length - 1), fc.nat(200), fc.nat(bytes.length / 4096 - 1).map((page) => page * 4096 + 3));
    const wounds = fc.array(fc.record({ place, value: fc.nat(255), length: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(600) }) }), { minLength: 1, maxLength: 3 });
    let round = 0;
    fc.assert(fc.property(wounds, fc.oneof({ weight: 4, arbitrary: fc.constant(bytes.length) }, { weight: 1, arbitrary: fc.nat(bytes.length) }), (all, cut) => {
      const damaged = Buffer.from(bytes);
      for (const { place: at, value, length } of all) damaged.fill(value, at, Math.min(at + length, damaged.length));
      const file = join(folder, `${round += 1}`, 'ledger.db');
      mkdirSync(join(file, '..'));
      writeFileSync(file, damaged.subarray(0, cut));
      for (const mode of ['read', 'write'] as const) useDamaged(file, mode);
      rmSync(join(file, '..'), { recursive: true });
    }), { numRuns: 150 });
  });
});

function useDamaged(file: string, mode: 'write' | 'read'): void {
  let ledger: OpenLedger | null = null;
  try {
    ledger = open(file, mode);
    if (mode === 'write') useWholly(ledger);
    else ledger.history();
  } catch (error) {
    expect(error).toBeInstanceOf(GpuctlError);
  } finally {
    ledger?.close();
  }
}

function sql(file: string, text: string): void {
  const db = new DatabaseSync(file);
  db.exec(text);
  db.close();
}

describe('a ledger that cannot be written', () => {
  const refusal = expect.objectContaining({ name: 'LedgerError', code: 'ledger-unwritable', exitCode: 3, hint: expect.any(String) as string }) as Error;

  it('because a file is where its folder should be, is an error', () => {
    const file = join(testFolder(), 'ledger.db');
    writeFileSync(file, '');
    expect(() => open(join(file, 'ledger.db'))).toThrow(refusal);
  });

  it('because a folder is in its place, is an error', () => {
    const file = join(testFolder(), 'ledger.db');
    mkdirSync(file);
    expect(() => open(file)).toThrow(refusal);
  });

  it('because another process keeps it locked, is an error and no damage', { timeout: 20_000 }, () => {
    const file = join(testFolder(), 'ledger.db');
    const ledger = open(file);
    const db = new DatabaseSync(file);
    db.exec('BEGIN IMMEDIATE');
    expect(() => { ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW }); }).toThrow(refusal);
    db.exec('ROLLBACK');
    db.close();
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    ledger.close();
  });

  it.runIf(isRoot)('because its file system is read-only, is an error, and it can still be read', () => {
    const folder = testFolder();
    filledLedger(join(folder, 'ledger.db'));
    const file = join(readOnlyViewOf(folder), 'ledger.db');
    expect(() => open(file)).toThrow(refusal);
    const ledger = open(file, 'read');
    expect([ledger.unreadable, ledger.history().quarantined]).toEqual([null, [GPU1]]);
    ledger.close();
  });

  it.runIf(isRoot)('because it is somebody else\'s, is an error', () => {
    const folder = testFolder();
    chmodSync(folder, 0o755);
    const file = join(folder, 'ledger.db');
    filledLedger(file);
    expect(() => asNobody(() => open(file))).toThrow(refusal);
    expect(() => asNobody(() => open(join(folder, 'new.db')))).toThrow(refusal);
  });

  it.runIf(isRoot)('because the disk is full, is an error at the write, and nothing acknowledged is lost', () => {
    const file = join(tinyFileSystem(512), 'ledger.db');
    const ledger = open(file);
    ledger.beginPass({ id: 'p', job: 'j', startedAt: NOW });
    const acknowledged: number[] = [];
    const big = { ...target, name: 'x'.repeat(4000) };
    expect(() => { for (let n = 0; n < 1000; n += 1) acknowledged.push(ledger.beginAct('p', 'kill', big, NOW)); }).toThrow(refusal);
    const found = ledger.history();
    ledger.close();
    const roomy = join(testFolder(), 'ledger.db');
    for (const suffix of ['', '-wal']) if (existsSync(file + suffix)) copyFileSync(file + suffix, roomy + suffix);
    const again = open(roomy);
    expect([again.setAside, again.history()]).toEqual([null, found]);
    again.beginPass({ id: 'q', job: 'j', startedAt: NOW });
    expect(again.untoldActs('q').length).toBeGreaterThanOrEqual(acknowledged.length);
    expect(acknowledged.length).toBeGreaterThan(5);
    again.close();
  });

  it.runIf(isRoot)('because the disk is full from the start, is an error, and is a ledger once there is room', () => {
    const folder = tinyFileSystem(64);
    const filler = join(folder, 'filler');
    expect(() => { writeFileSync(filler, Buffer.alloc(128 * 1024)); }).toThrow('ENOSPC');
    expect(() => open(join(folder, 'ledger.db'))).toThrow(refusal);
    expect(readdirSync(folder).filter((name) => name.includes('corrupt'))).toEqual([]);
  });
});

describe('a ledger opened to read', () => {
  it('that does not exist remembers nothing, and nothing is made', () => {
    const folder = testFolder();
    const ledger = open(join(folder, 'state', 'ledger.db'), 'read');
    expect([ledger.unreadable, ledger.setAside, ledger.history()]).toEqual([null, null, emptyHistory]);
    expect(readdirSync(folder)).toEqual([]);
    ledger.close();
  });

  it('tells what was written, also while a pass is writing', () => {
    const file = join(testFolder(), 'ledger.db');
    const writer = open(file);
    writer.quarantine(GPU0, NOW);
    const reader = open(file, 'read');
    expect([reader.unreadable, reader.history().quarantined]).toEqual([null, [GPU0]]);
    reader.close();
    writer.close();
  });

  it('tells one state of it, also where a pass wrote and closed it in the middle of the reading', () => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    let looks = 0;
    const reader = openLedger({ file, mode: 'read', now: () => {
      looks += 1;
      if (looks === 1) {
        const writer = open(file);
        writer.quarantine(GPU0, NOW);
        writer.recordObservation(engine([container('z')]), [], nobody, NOW);
        writer.close();
      }
      return NOW;
    } });
    const { quarantined, knownContainerIds } = reader.history();
    expect([looks, quarantined.toSorted(), knownContainerIds.includes(idOf('z'))]).toEqual([2, [GPU0, GPU1].toSorted(), true]);
    expect(reader.history().quarantined).toHaveLength(2);
    reader.close();
    expect(readdirSync(join(file, '..'))).toEqual(['ledger.db']);
  });

  it('takes no more memory than what is read of it, however large its history is', () => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    sql(file, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) INSERT INTO acts (pass_id, verb, target, begun_at, ended_at, detail) SELECT 'p', 'warn', '{}', 0, 0, hex(zeroblob(500000)) FROM n");
    expect(statSync(file).size).toBeGreaterThan(150e6);
    const { rss } = process.memoryUsage();
    const ledger = open(file, 'read');
    expect([ledger.unreadable, ledger.history().quarantined]).toEqual([null, [GPU1]]);
    expect(process.memoryUsage().rss - rss).toBeLessThan(75e6);
    ledger.close();
  });

  it('cannot be written, whether it exists or not', () => {
    const folder = testFolder();
    filledLedger(join(folder, 'there.db'));
    for (const name of ['there.db', 'missing.db']) {
      const ledger = open(join(folder, name), 'read');
      expect(() => { ledger.quarantine(GPU0, NOW); }).toThrow('opened for reading');
      ledger.close();
    }
  });

  it('that no pass has brought up to date yet says that it cannot tell', () => {
    const file = join(testFolder(), 'ledger.db');
    writeFileSync(file, '');
    const ledger = open(file, 'read');
    expect([ledger.unreadable, ledger.history()]).toEqual([expect.stringContaining('older version'), emptyHistory]);
    ledger.close();
  });

  it('whose tables are not what its version promises says that it cannot tell', () => {
    const file = join(testFolder(), 'ledger.db');
    filledLedger(file);
    sql(file, 'ALTER TABLE acts DROP COLUMN detail');
    const ledger = open(file, 'read');
    expect([ledger.unreadable, ledger.history()]).toEqual([expect.stringContaining('detail'), emptyHistory]);
    ledger.close();
  });

  it.runIf(isRoot)('by a user who may not, is an empty history that says so', () => {
    const folder = testFolder();
    chmodSync(folder, 0o755);
    const file = join(folder, 'ledger.db');
    filledLedger(file);
    const ledger = asNobody(() => open(file, 'read'));
    expect([ledger.unreadable, ledger.history()]).toEqual([expect.stringContaining(file), emptyHistory]);
    ledger.close();
  });
});
