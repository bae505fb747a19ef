import type { IdleClock, KeepAlive } from '../model/activity.ts';
import { type Container, type InspectedContainer, isLive } from '../model/container.ts';
import { decideKeeping, type KeepFacts } from './keep-alive.ts';

/** Below this, the start of an id is no name for anybody. */
const LEAST_ID = 4;

export interface KeepQuestion {
  /** A name or the start of an id. */
  readonly reference: string;
  /** Who asks; 0 may ask for every container. */
  readonly uid: number;
  readonly forMs: number;
  readonly containers: readonly Container[];
  /** Uid of the owner of a container; null: unknown. */
  readonly ownerUidOf: (container: InspectedContainer) => number | null;
  readonly rulesOf: (container: InspectedContainer) => KeepFacts['rules'];
  readonly clocks: readonly IdleClock[];
  readonly wishes: readonly KeepAlive[];
  readonly now: number;
}

/** What becomes of a wish. */
export type KeepAnswer =
  | { readonly granted: true; readonly keep: KeepAlive; readonly container: InspectedContainer }
  | { readonly granted: false; readonly why: string };

/**
 * May this user keep this container from the idle stop, and until when? All wishes of one idle spell together reach no
 * further than `keep_alive_max` from the first of them. Somebody else's container is answered like one that is not there.
 */
export function decideKeepRequest(question: KeepQuestion): KeepAnswer {
  const { reference, uid, now, forMs } = question;
  const named = question.containers.filter((each) => each.name === reference || (reference.length >= LEAST_ID && each.id.startsWith(reference)));
  const mine = named.flatMap((each) => (each.inspected && (uid === 0 || question.ownerUidOf(each) === uid) ? [each] : []));
  const exact = mine.filter((each) => each.name === reference);
  const [container, other] = exact.length === 1 ? exact : mine;
  if (container === undefined) return refused(uid === 0 ? `no container is called ${reference}` : `no container of uid ${uid} is called ${reference}`);
  if (other !== undefined) return refused(`${reference} names ${mine.length} containers`);
  if (!isLive(container.state)) return refused(`container ${container.name} does not run`);
  if (container.startedAt === null) return refused(`it is not known since when container ${container.name} runs`);
  const run = { containerId: container.id, startedAt: container.startedAt };
  const untilAt = Math.min(now + forMs, boundOf(run, question.rulesOf(container), question));
  if (untilAt <= now) return refused(`container ${container.name} may not be kept any longer in this idle spell`);
  return { granted: true, container, keep: { ...run, uid, askedAt: now, until: untilAt } };
}

function refused(why: string): KeepAnswer {
  return { granted: false, why };
}

/**
 * The end of all deferrals of the present idle spell, as the idle stop will reckon it with this wish among the others. An
 * active container begins a new spell whenever it falls idle; of one that was never sampled, no label has used up any time.
 */
function boundOf(run: Pick<IdleClock, 'containerId' | 'startedAt'>, rules: KeepFacts['rules'], { clocks, wishes, uid, now }: KeepQuestion): number {
  const clock = clocks.find((each) => each.containerId === run.containerId && each.startedAt === run.startedAt);
  const keeping = decideKeeping({
    wishes: [...wishes, { ...run, uid, askedAt: now, until: Number.POSITIVE_INFINITY }],
    clock: { ...run, activeAt: Math.min(now, clock?.activeAt ?? Number.NEGATIVE_INFINITY) },
    rules: clock === undefined ? { ...rules, keepUntilAt: null } : rules, now,
  });
  return keeping.state === 'kept' ? keeping.untilAt : now;
}
