export type Severity = 'info' | 'warning' | 'critical';

/** What a finding is about. Any of them may be absent; none: the host. */
export interface Subject {
  readonly gpu?: string;
  readonly mig?: string;
  readonly container?: string;
  readonly pid?: number;
  readonly owner?: string;
}

/** Something true that an admin should know. */
export interface Finding {
  /** Stable, dotted: `gpu.orphan`. */
  readonly id: string;
  readonly severity: Severity;
  readonly subject: Subject;
  readonly message: string;
  readonly remedy: string;
  /** JSON that it is concluded from; for a person or a script, never consulted by code. */
  readonly evidence?: Readonly<Record<string, unknown>>;
  /** Whose word it is that this is a finding, with its date. */
  readonly source?: string;
  /** The first driver branch that has the reading; null: every one. */
  readonly minDriver?: string | null;
}
