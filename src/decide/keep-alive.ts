import type { IdleClock, KeepAlive } from '../model/activity.ts';
import type { LimitRules } from './limit-rules.ts';

/** *Kept* until then; *spent*: a wish is still open, but all the time that is allowed for this idle spell is gone. */
export type Keeping =
  | { readonly state: 'none' }
  | { readonly state: 'kept'; readonly untilAt: number }
  | { readonly state: 'spent'; readonly sinceAt: number };

export interface KeepFacts {
  readonly wishes: readonly KeepAlive[];
  readonly clock: Pick<IdleClock, 'containerId' | 'startedAt' | 'activeAt'>;
  readonly rules: Pick<LimitRules, 'keepAliveMaxMs' | 'keepUntilAt'>;
  readonly now: number;
}

/**
 * Is the idle stop deferred? The wishes of one idle spell are bounded together: by `keep_alive_max` from the first of
 * them that reaches into the spell, however many follow. A wish from the future was made under a wrong clock.
 */
export function decideKeeping({ wishes, clock, rules, now }: KeepFacts): Keeping {
  const asked = wishes
    .filter((wish) => wish.containerId === clock.containerId && wish.startedAt === clock.startedAt)
    .map(({ askedAt, until }) => ({ fromAt: askedAt, untilAt: until }));
  const labelled = rules.keepUntilAt === null ? [] : [{ fromAt: clock.startedAt, untilAt: rules.keepUntilAt }];
  const reaching = [...asked, ...labelled].filter(({ fromAt, untilAt }) => fromAt <= now && untilAt > clock.activeAt && untilAt > fromAt);
  if (reaching.length === 0) return { state: 'none' };
  const lastAt = Math.max(...reaching.map(({ untilAt }) => untilAt));
  const capAt = Math.max(Math.min(...reaching.map(({ fromAt }) => fromAt)), clock.activeAt) + rules.keepAliveMaxMs;
  if (now < Math.min(lastAt, capAt)) return { state: 'kept', untilAt: Math.min(lastAt, capAt) };
  return now < lastAt ? { state: 'spent', sinceAt: capAt } : { state: 'none' };
}
