/** Process exit codes; the contract of the command line. 2, 70 and 75 end the run, then 3, 4, 1, 0 in that order. */
export const ExitCode = {
  ok: 0,
  findings: 1,
  usage: 2,
  notObserved: 3,
  actFailed: 4,
  bug: 70,
  locked: 75,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What a GpuctlError carries beside its message. */
export interface ErrorFacts {
  /** Stable, kebab-case; other programs may match on it. */
  readonly code: string;
  readonly exitCode: ExitCode;
  /** One line: what the reader can do about it. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The one base of every error that ends a run on purpose. It is shown as one line and its hint; anything else that is
 * thrown is a bug and exits 70.
 */
export class GpuctlError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly hint: string | null;

  constructor(message: string, facts: ErrorFacts) {
    super(message, { cause: facts.cause });
    this.name = 'GpuctlError';
    this.code = facts.code;
    this.exitCode = facts.exitCode;
    this.hint = facts.hint ?? null;
  }
}
