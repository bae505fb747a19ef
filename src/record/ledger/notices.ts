import type { NoticeLedger, Told } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** Longer than any sensible cool-down. */
const KEEP_MS = 90 * 24 * 3_600_000;

/** The ledger's part about notices to admins: the cool-down of each sink and subject. */
export function noticesIn(store: Store): NoticeLedger {
  const all = store.prepare('SELECT sink, subject, job, at FROM notices ORDER BY at, sink, subject');
  const record = store.prepare('INSERT OR REPLACE INTO notices (sink, subject, job, at) VALUES (?, ?, ?, ?)');
  const forget = store.prepare('DELETE FROM notices WHERE sink = ? AND subject = ?');
  const prune = store.prepare('DELETE FROM notices WHERE at < ?');
  return {
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
