import type { NoticeLedger, OwedAlert, Told } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** Longer than any sensible cool-down. */
const KEEP_MS = 90 * 24 * 3_600_000;

/** More than this owes nobody: a message tells of fifty, and all are among the events. */
const OWED = 200;

/** The ledger's part about notices to admins: the cool-down of each sink and subject, and what is still to be told. */
export function noticesIn(store: Store): NoticeLedger {
  const all = store.prepare('SELECT sink, subject, job, at FROM notices ORDER BY at, sink, subject');
  const record = store.prepare('INSERT OR REPLACE INTO notices (sink, subject, job, at) VALUES (?, ?, ?, ?)');
  const forget = store.prepare('DELETE FROM notices WHERE sink = ? AND subject = ?');
  const prune = store.prepare('DELETE FROM notices WHERE at < ?');
  const owed = store.prepare('SELECT subject, at, line, sentence FROM owed_alerts ORDER BY at, rowid');
  const owe = store.prepare('INSERT OR REPLACE INTO owed_alerts (subject, at, line, sentence) VALUES (?, ?, ?, ?)');
  const limit = store.prepare(`DELETE FROM owed_alerts WHERE rowid NOT IN (SELECT rowid FROM owed_alerts ORDER BY rowid DESC LIMIT ${OWED})`);
  const settle = store.prepare('DELETE FROM owed_alerts WHERE subject = ?');
  return {
    owed: () => store.read(() => owed.all().map((row) => ({ ...row }) as unknown as OwedAlert)),
    recordOwed: ({ subject, at, line, sentence }) => store.write(() => {
      owe.run(subject, at, line, sentence);
      limit.run();
    }),
    forgetOwed: (subjects) => store.write(() => { for (const subject of subjects) settle.run(subject); }),
    told: () => store.read(() => all.all().map((row) => ({ ...row }) as unknown as Told)),
    recordTold: (told) => store.write(() => {
      for (const { sink, subject, job, at } of told) {
        record.run(sink, subject, job, at);
        prune.run(at - KEEP_MS);
      }
    }),
    forgetTold: (told) => store.write(() => {
      for (const { sink, subject } of told) forget.run(sink, subject);
    }),
  };
}
