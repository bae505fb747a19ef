import type { Condition, ConditionChange, UntoldChange } from '../../model/condition.ts';
import { conditionKey } from '../../model/condition.ts';
import type { Subject } from '../../model/finding.ts';
import type { ConditionLedger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** Years of an ordinary host; a host in constant trouble keeps at least the newest. Counted, so that a clock that jumps forgets nothing. */
const KEEP_CLEARED = 5000;
/** Untold ones too: where events could not be written for so long, the oldest are lost. */
const KEEP_CHANGES = 20_000;

/**
 * The ledger's part about conditions. A change is written together with what changed, as *untold*; its event is written
 * after that, and only then is it marked as told. So a kill loses no event, and what may be there twice is looked for.
 */
export function conditionsIn(store: Store): ConditionLedger {
  const open = store.prepare('SELECT * FROM conditions WHERE cleared_at IS NULL ORDER BY number');
  const untold = store.prepare('SELECT number, change, before, value, at FROM condition_changes WHERE told = 0 ORDER BY number');
  const mark = store.prepare('UPDATE condition_changes SET told = 1 WHERE number = ?');
  const write = writing(store);
  const forget = forgetting(store);
  return {
    open: () => store.read(() => open.all().map(conditionOf)),
    settle: ({ changes, still }, at) => {
      if (changes.length === 0 && still.length === 0) return;
      store.write(() => {
        for (const condition of still) write.refresh(condition);
        for (const change of changes) write.change(change, at);
        if (changes.length > 0) forget();
      });
    },
    untold: () => store.read(() => untold.all().map(changeOf)),
    markTold: (numbers) => { if (numbers.length > 0) store.write(() => { for (const number of numbers) mark.run(number); }); },
  };
}

interface Writing {
  refresh(condition: Condition): void;
  change(change: ConditionChange, at: number): void;
}

function writing(store: Store): Writing {
  const raise = store.prepare(`
    INSERT INTO conditions (key, id, subject, severity, message, remedy, seen_by, first_seen_at, last_seen_at)
    VALUES (:key, :id, :subject, :severity, :message, :remedy, :by, :first, :last)`);
  const refresh = store.prepare(`
    UPDATE conditions SET subject = :subject, severity = :severity, message = :message, remedy = :remedy, seen_by = :by, last_seen_at = :last
    WHERE key = :key AND cleared_at IS NULL RETURNING number`);
  const clear = store.prepare('UPDATE conditions SET cleared_at = ? WHERE key = ? AND cleared_at IS NULL RETURNING number');
  const log = store.prepare('INSERT INTO condition_changes (condition, change, before, value, at) VALUES (?, ?, ?, ?, ?)');
  const run = (change: ConditionChange, at: number): number => {
    const { condition } = change;
    switch (change.change) {
      case 'raised': return Number(raise.run({ ...columnsOf(condition), id: condition.id, first: condition.firstSeenAt }).lastInsertRowid);
      case 'changed': return numberIn(refresh.get(columnsOf(condition)), condition);
      case 'cleared': return numberIn(clear.get(at, conditionKey(condition)), condition);
    }
  };
  return {
    refresh: (condition) => { numberIn(refresh.get(columnsOf(condition)), condition); },
    change: (change, at) => { log.run(run(change, at), change.change, change.before, JSON.stringify(change.condition), at); },
  };
}

function numberIn(row: Row | undefined, { id }: Condition): number {
  if (row === undefined) throw new Error(`the condition ${id} was to be changed and is not open`);
  return Number(row['number']);
}

function forgetting(store: Store): () => void {
  const conditions = store.prepare('DELETE FROM conditions WHERE cleared_at IS NOT NULL AND number <= (SELECT max(number) FROM conditions) - ?');
  const changes = store.prepare('DELETE FROM condition_changes WHERE number <= (SELECT max(number) FROM condition_changes) - ?');
  return () => {
    conditions.run(KEEP_CLEARED);
    changes.run(KEEP_CHANGES);
  };
}

type Row = Readonly<Record<string, unknown>>;

function columnsOf(condition: Condition): { readonly [name: string]: string | number } {
  const { subject, severity, message, remedy, seenBy, lastSeenAt } = condition;
  return { key: conditionKey(condition), subject: JSON.stringify(subject), severity, message, remedy, by: JSON.stringify(seenBy), last: lastSeenAt };
}

function conditionOf(row: Row): Condition {
  return {
    id: String(row['id']), subject: JSON.parse(String(row['subject'])) as Subject, severity: row['severity'] as Condition['severity'],
    message: String(row['message']), remedy: String(row['remedy']),
    firstSeenAt: Number(row['first_seen_at']), lastSeenAt: Number(row['last_seen_at']), seenBy: JSON.parse(String(row['seen_by'])) as readonly string[],
  };
}

function changeOf(row: Row): UntoldChange {
  return {
    number: Number(row['number']), at: Number(row['at']), change: row['change'] as UntoldChange['change'],
    before: row['before'] as UntoldChange['before'], condition: JSON.parse(String(row['value'])) as Condition,
  };
}
