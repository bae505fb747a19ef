import type { Target, Verb } from '../../model/decision.ts';
import type { Ledger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** The ledger's part about acts: written before each is tried and after it ended. */
export function actsIn(store: Store): Pick<Ledger, 'beginAct' | 'endAct' | 'untoldActs' | 'markActsTold'> {
  const begin = store.prepare('INSERT INTO acts (pass_id, verb, target, begun_at) VALUES (?, ?, ?, ?)');
  const end = store.prepare('UPDATE acts SET ended_at = ?, result = ?, reason = ?, detail = ? WHERE number = ? AND ended_at IS NULL');
  return {
    beginAct: (passId, verb, target, at) =>
      store.write(() => Number(begin.run(passId, verb, JSON.stringify(target), at).lastInsertRowid)),
    endAct: (act, { result, reason, detail }, at) => store.write(() => {
      const { changes } = end.run(at, result, reason, detail, act);
      if (changes !== 1) throw new Error(`act ${act} was ended that is not in flight`);
    }),
    ...inFlightIn(store),
  };
}

/** What was in flight stays untold until a pass that told of it says so: one that was killed in the middle of telling may have told nobody. */
function inFlightIn(store: Store): Pick<Ledger, 'untoldActs' | 'markActsTold'> {
  const find = store.prepare(`
    SELECT number, pass_id AS passId, verb, target, begun_at AS at FROM acts
    WHERE ended_at IS NULL AND pass_id <> ? AND reported_by IS NULL ORDER BY number`);
  const mark = store.prepare("UPDATE acts SET result = 'unknown', reported_by = ? WHERE number = ? AND ended_at IS NULL");
  return {
    untoldActs: (passId) => store.read(() => find.all(passId).map((row) => (
      { number: Number(row['number']), passId: String(row['passId']), verb: row['verb'] as Verb, target: JSON.parse(String(row['target'])) as Target, at: Number(row['at']) }))),
    markActsTold: (passId, numbers) => { if (numbers.length > 0) store.write(() => { for (const number of numbers) mark.run(passId, number); }); },
  };
}
