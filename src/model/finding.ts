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
}
