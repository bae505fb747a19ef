import type { Target, Verb } from '../../model/decision.ts';
import type { InFlightAct, Ledger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** The ledger's part about acts: written before each is tried and after it ended. */
export function actsIn(store: Store): Pick<Ledger, 'beginAct' | 'endAct' | 'takeInFlight'> {
  const begin = store.prepare('INSERT INTO acts (pass_id, verb, target, begun_at) VALUES (?, ?, ?, ?)');
  const end = store.prepare('UPDATE acts SET ended_at = ?, result = ?, reason = ?, detail = ? WHERE number = ? AND ended_at IS NULL');
  return {
    beginAct: (passId, verb, target, at) =>
      store.write(() => Number(begin.run(passId, verb, JSON.stringify(target), at).lastInsertRowid)),
    endAct: (act, { result, reason, detail }, at) => store.write(() => {
      const { changes } = end.run(at, result, reason, detail, act);
      if (changes !== 1) throw new Error(`act ${act} was ended that is not in flight`);
    }),
    takeInFlight: takingInFlight(store),
  };
}

/**
 * A pass that told of such acts and was killed itself may have told nobody: what it took is taken again, until a pass
 * that took it has ended.
 */
function takingInFlight(store: Store): (passId: string) => readonly InFlightAct[] {
  const find = store.prepare(`
    SELECT number, pass_id AS passId, verb, target, begun_at AS at FROM acts
    WHERE ended_at IS NULL AND pass_id <> :pass AND reported_by IS NOT :pass
      AND NOT EXISTS (SELECT 1 FROM passes WHERE id = reported_by AND passes.ended_at IS NOT NULL)
    ORDER BY number`);
  const mark = store.prepare("UPDATE acts SET result = 'unknown', reported_by = ? WHERE number = ?");
  return (passId) => store.write(() =>
    find.all({ pass: passId }).map((row) => {
      mark.run(passId, Number(row['number']));
      return { passId: String(row['passId']), verb: row['verb'] as Verb, target: JSON.parse(String(row['target'])) as Target, at: Number(row['at']) };
    }));
}
