import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { inNamespace } from './arrange.ts';
import type { Expected } from './check.ts';
import type { FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

/** The ledger's file and its folder. */
export function ledgerCases(): readonly FaultCase[] {
  const file = ({ host }: Stage): string => join(host.stateDir, 'ledger.db');
  const ledger = (fault: string, arrange: FaultCase['arrange'], more: Partial<FaultCase> = {}): FaultCase => ({ callOut: 'ledger', fault, arrange, ...more });
  const begunAnew: Expected = { newLedger: true, nextExits: [0, 1] };
  /** The state on a small disk of its own, brought back afterwards. */
  const full = (spareKiB: number): FaultCase => ledger(`disk full, ${spareKiB} KiB left`, (stage) => {
    const kib = Math.ceil(statSync(file(stage)).size / 1024) + 16 + spareKiB;
    return inNamespace(stage, `mkdir -p $D/tiny && mount -t tmpfs -o size=${kib}k tmpfs $D/tiny && cp -a $D/state/. $D/tiny/ && mkdir $D/kept && mount --bind $D/state $D/kept && mount --bind $D/tiny $D/state`, { after: 'cp -a $D/tiny/. $D/kept/' });
  }, { expected: { exits: [0, 1, 3, 4], nextExits: [0, 1] }, quick: spareKiB === 0 });
  const damaged = (fault: string, damage: (path: string) => void, more: Partial<FaultCase> = {}): FaultCase => ledger(fault, (stage) => { damage(file(stage)); return {}; }, { expected: begunAnew, ...more });
  return [
    ...[0, 40, 80, 120, 200].map(full),
    ledger('a read-only folder', (stage) => inNamespace(stage, 'mount --bind $D/state $D/state && mount -o remount,bind,ro $D/state'), { quick: true, expected: { exits: [3] } }),
    ledger('locked by another writer', (stage) => {
      const db = new DatabaseSync(file(stage));
      db.exec('BEGIN IMMEDIATE');
      return { undo: () => { db.exec('ROLLBACK'); db.close(); } };
    }, { expected: { exits: [3] } }),
    ledger('slow: locked for a second', (stage) => {
      const db = new DatabaseSync(file(stage));
      db.exec('BEGIN IMMEDIATE');
      const free = delay(1500).then(() => { db.exec('ROLLBACK'); db.close(); });
      return { undo: () => free };
    }),
    ledger('a folder in its place', (stage) => {
      renameSync(file(stage), `${file(stage)}.kept`);
      mkdirSync(file(stage));
      return { undo: () => { rmSync(file(stage), { recursive: true }); renameSync(`${file(stage)}.kept`, file(stage)); } };
    }),
    ledger('a link in its place', (stage) => {
      renameSync(file(stage), `${file(stage)}.kept`);
      symlinkSync(`${file(stage)}.kept`, file(stage));
      return { undo: () => { rmSync(file(stage)); if (existsSync(`${file(stage)}.kept`)) renameSync(`${file(stage)}.kept`, file(stage)); } };
    }, { expected: { nextExits: [0, 1] } }),
    damaged('absent', (path) => { rmSync(path); }),
    damaged('empty', (path) => { writeFileSync(path, ''); }),
    damaged('half of it', (path) => { const bytes = readFileSync(path); writeFileSync(path, bytes.subarray(0, bytes.length >> 1)); }, { quick: true }),
    damaged('garbage', (path) => { writeFileSync(path, 'garbage '.repeat(1000)); }),
    damaged('a header that is none', (path) => { overwrite(path, 0, 100); }),
    damaged('garbage in the middle', (path) => { overwrite(path, statSync(path).size >> 1, 8192); }),
    damaged('a write-ahead log of garbage', (path) => { writeFileSync(`${path}-wal`, 'garbage '.repeat(4000)); }, { expected: { nextExits: [0, 1] } }),
    damaged('of a newer gpuctl', (path) => { const db = new DatabaseSync(path); db.exec('PRAGMA user_version = 99'); db.close(); }, {
      arrange: (stage) => {
        const version = (n: number): void => { const db = new DatabaseSync(file(stage)); db.exec(`PRAGMA user_version = ${n}`); db.close(); };
        const db = new DatabaseSync(file(stage));
        const was = Number(Object.values(db.prepare('PRAGMA user_version').get() ?? {})[0]);
        db.close();
        version(99);
        return { undo: () => { version(was); } };
      },
      expected: { exits: [3] },
    }),
  ];
}

function overwrite(path: string, at: number, length: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(length, 0xa5), 0, length, at);
  closeSync(fd);
}
