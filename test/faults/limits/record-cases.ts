import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { inNamespace } from '../arrange.ts';
import type { LimitExpected } from './check.ts';
import type { LimitCase } from './run.ts';
import type { Kind, LimitStage } from './stage.ts';

/** Ledger and events file of a pass that stops or removes: what cannot be written down before is not done, and what was done is told. */
export function recordCases(): readonly LimitCase[] {
  return (['due', 'leftover'] as const).flatMap((kind) => [
    ...[0, 8, 16, 24, 32, 48, 64, 96, 128].map((spareKiB) => full(kind, spareKiB)),
    recorded(kind, 'ledger', 'read-only', (stage) => inNamespace(stage, 'mount --bind $D/state $D/state && mount -o remount,bind,ro $D/state'), { exits: [3], says: [] }),
    recorded(kind, 'ledger', 'locked by another writer', (stage) => {
      const db = new DatabaseSync(join(stage.host.stateDir, 'ledger.db'));
      db.exec('BEGIN IMMEDIATE');
      return { undo: () => { db.exec('ROLLBACK'); db.close(); } };
    }, { exits: [3], says: [] }),
    recorded(kind, 'events file', 'disk full', (stage) => inNamespace(stage, 'mkdir $D/tiny && mount -t tmpfs -o size=64k tmpfs $D/tiny && touch $D/events.jsonl; : >$D/tiny/e; head -c 65536 /dev/zero >$D/tiny/filler 2>/dev/null; mount --bind $D/tiny/e $D/events.jsonl'), { blindFile: true }),
    recorded(kind, 'events file', 'read-only', (stage) => inNamespace(stage, 'touch $D/events.jsonl && mount --bind $D/events.jsonl $D/events.jsonl && mount -o remount,bind,ro $D/events.jsonl'), { blindFile: true }),
  ]);
}

const PASS = { due: 'stop', leftover: 'removal' } as const;

function recorded(kind: keyof typeof PASS, of: string, fault: string, arrange: LimitCase['arrange'], expected: LimitExpected): LimitCase {
  return { callOut: `${of} of a ${PASS[kind]}`, fault, kind: kind satisfies Kind, arrange, expected: { nextExits: [0, 1], ...expected } };
}

/** The state on a small disk of its own, brought back afterwards. */
function full(kind: keyof typeof PASS, spareKiB: number): LimitCase {
  return recorded(kind, 'ledger', `disk full, ${spareKiB} KiB left`, (stage: LimitStage) => {
    const kib = Math.ceil(statSync(join(stage.host.stateDir, 'ledger.db')).size / 1024) + 16 + spareKiB;
    return inNamespace(stage, `mkdir -p $D/tiny && mount -t tmpfs -o size=${kib}k tmpfs $D/tiny && cp -a $D/state/ledger.db $D/tiny/ && mkdir $D/kept && mount --bind $D/state $D/kept && mount --bind $D/tiny $D/state`, { after: 'cp -a $D/tiny/. $D/kept/' });
  }, { exits: [0, 1, 3, 4] });
}
