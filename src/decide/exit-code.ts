import { ExitCode } from '../model/errors.ts';

/** What a pass that ran to its end found and did. 2, 70 and 75 end a run earlier and are not decided here. */
export interface PassResult {
  /** A source that the pass needs failed, or no device's process list is known. */
  readonly observationFailed: boolean;
  /** An act failed, or was refused at the last check. An act that was no longer needed is neither. */
  readonly actFailed: boolean;
  /** Something needs an admin; a partial observation is one such thing. */
  readonly findings: boolean;
}

/** The exit code of a pass: what could not be seen weighs more than what failed, and that more than what was found. */
export function exitCodeOf({ observationFailed, actFailed, findings }: PassResult): ExitCode {
  if (observationFailed) return ExitCode.notObserved;
  if (actFailed) return ExitCode.actFailed;
  return findings ? ExitCode.findings : ExitCode.ok;
}
