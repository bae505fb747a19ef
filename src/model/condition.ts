import type { Severity, Subject } from './finding.ts';

/** A finding that lasts, from the pass that saw it first until one that could have seen it saw it no more. Instants are milliseconds since 1970 UTC. */
export interface Condition {
  /** Of the finding: `gpu.row_remap.pending`. With the subject it is what tells two conditions apart. */
  readonly id: string;
  readonly subject: Subject;
  /** Never *info*: what is for information alone does not last. */
  readonly severity: Exclude<Severity, 'info'>;
  /** As last seen. */
  readonly message: string;
  readonly remedy: string;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  /** Jobs that have seen it and have not since seen it gone. */
  readonly seenBy: readonly string[];
}

/** One change of a condition. `changed`: its severity is another one. */
export interface ConditionChange {
  readonly change: 'raised' | 'changed' | 'cleared';
  /** As it is after the change; for one that was cleared, as it was last seen. */
  readonly condition: Condition;
  /** Severity before; null: it was not there. */
  readonly before: Condition['severity'] | null;
}

/** A change that is in the ledger and may not be among the events yet. */
export interface UntoldChange extends ConditionChange {
  /** Unique in the ledger; the event carries it, with which two copies of one event can be told. */
  readonly number: number;
  readonly at: number;
}

/** What one pass makes of the conditions that were open before it. */
export interface ConditionVerdict {
  readonly changes: readonly ConditionChange[];
  /** Open before, and seen again with the same severity. */
  readonly still: readonly Condition[];
  /** Open after this pass, the unseen ones included. */
  readonly open: readonly Condition[];
}

/** What tells two conditions apart: the finding's id and its subject without the owner, who may change or become known. */
export function conditionKey({ id, subject: { gpu, mig, container, pid } }: Pick<Condition, 'id' | 'subject'>): string {
  return JSON.stringify([id, gpu ?? null, mig ?? null, container ?? null, pid ?? null]);
}
