import type { Warning, WarningStage } from '../model/activity.ts';

/** What the next step on the way to a stop is; null: none is due. */
export type Stage = 'warned' | 'final' | 'stop' | null;

/** Per cent of the limit that has passed, and what was said before. */
export interface StageFacts {
  readonly percent: number;
  readonly percents: readonly [number, number];
  /** Stages that were given and still count. */
  readonly given: ReadonlySet<WarningStage>;
}

/** How far it has come by time alone. */
export function reachedStage({ percent, percents: [first, final] }: Pick<StageFacts, 'percent' | 'percents'>): Stage {
  if (percent >= 100) return 'stop';
  if (percent >= final) return 'final';
  return percent >= first ? 'warned' : null;
}

/**
 * The one step that is due in this pass. A step comes only after the one before it was given in an earlier pass, however
 * much time has passed. Null: what is due was given already.
 */
export function dueStage(facts: StageFacts): Stage {
  const reached = reachedStage(facts);
  if (reached === null) return null;
  if (!facts.given.has('warned')) return 'warned';
  if (reached === 'warned') return null;
  if (!facts.given.has('final')) return 'final';
  return reached === 'stop' ? 'stop' : null;
}

/** Stages of these warnings that count; a warning from the future was given under a wrong clock, and counts for nothing. */
export function givenStages(warnings: readonly Warning[], now: number, counts: (warning: Warning) => boolean): ReadonlySet<WarningStage> {
  return new Set(warnings.filter((warning) => warning.at <= now && counts(warning)).map((warning) => warning.stage));
}
