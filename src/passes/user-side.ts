import type { KeepAlive } from '../model/activity.ts';
import { decideKeepRequest, type KeepAnswer } from '../decide/keep-request.ts';
import type { Assessment } from '../decide/assess.ts';
import type { Container, InspectedContainer } from '../model/container.ts';
import { seen } from '../model/observation.ts';
import type { GpuctlEvent } from '../model/event.ts';
import { isoTime } from '../model/time.ts';
import { printable } from '../model/text.ts';
import { outlookParts } from './container-outlook.ts';
import type { Pass } from './pass.ts';
import type { KeepRequest, KeepRequests, UserExports } from './ports.ts';

/** How a pass deals with the users of the host who are not root: what they may read of it, and what they ask of it. */
export interface UserSide {
  readonly exports: UserExports;
  readonly requests: KeepRequests;
  /** Uid of a user of this host; null: there is none of that name. */
  readonly uidOf: (name: string) => number | null;
}

/**
 * Takes the wishes that users dropped and grants those that may be granted. Not where the containers are not known: then
 * they wait. Never throws for what users can do.
 */
export function takeKeepRequests({ parts }: Pass, { snapshot }: Assessment): void {
  const { users, sink, limits, clock } = parts;
  const engine = seen(snapshot.engine);
  if (users === undefined || engine === null || outlookParts(parts) === null) return;
  const taken = attempt(parts, 'the folder of keep requests cannot be read', () => users.requests.take());
  for (const { uid, why } of taken?.refused ?? []) sink.emit({ action: 'keep.refused', message: `a request of uid ${uid} was thrown away: ${why}`, outcome: 'failure', facts: { uid } });
  const answers = (taken?.requests ?? []).map((request) => ({ uid: request.uid, answer: answerKeepRequest(parts, { request, containers: engine.containers }) }));
  // Whoever dropped a wish is not there to be answered. What is granted ends the refusals of earlier passes, not those of this one.
  for (const { uid, answer } of answers) if (answer.granted) limits?.ledger.forgetKeepRefusals?.(uid);
  const refused = [...(taken?.refused ?? []), ...answers.flatMap(({ uid, answer }) => (answer.granted ? [] : [{ uid, why: answer.why }]))];
  for (const refusal of refused) limits?.ledger.recordKeepRefusal?.(refusal, clock.now());
}

interface Asked {
  readonly request: KeepRequest;
  readonly containers: readonly Container[];
}

/** Grants or refuses one wish, and tells it. What is granted is in the ledger. */
export function answerKeepRequest(parts: Pick<Pass['parts'], 'clock' | 'limits' | 'ownerOf' | 'policy' | 'sink' | 'users'>, { request, containers }: Asked): KeepAnswer {
  const outlook = outlookParts(parts);
  if (outlook === null) throw new TypeError('a pass without limits was asked to keep a container');
  const { ledger, policy } = outlook;
  const now = parts.clock.now();
  const answer = decideKeepRequest({
    reference: request.container, uid: request.uid, forMs: request.forMs, containers, now,
    clocks: ledger.idleClocks(), wishes: ledger.keepAlives(),
    ownerUidOf: (container) => ownerUidOf(container, parts),
    rulesOf: (container) => policy.rulesOf(container, now),
  });
  if (answer.granted) ledger.recordKeepAlive(answer.keep);
  parts.sink.emit(answer.granted ? granted(answer.keep, answer.container.name) : { action: 'keep.refused', message: `a request to keep a container was refused: ${printable(answer.why)}`, outcome: 'failure', facts: { uid: request.uid } });
  return answer;
}

function granted(keep: KeepAlive, name: string): GpuctlEvent {
  return { action: 'keep.granted', message: `container ${name} is kept from the idle stop until ${isoTime(keep.until)}`, outcome: 'success', container: { id: keep.containerId, name }, facts: { uid: keep.uid, until: isoTime(keep.until) } };
}

/** The owner's uid; null: not known, or this host has no user of that name. */
export function ownerUidOf(container: InspectedContainer, { ownerOf, users }: Pick<Pass['parts'], 'ownerOf' | 'users'>): number | null {
  const owner = ownerOf(container);
  return owner === null || users === undefined ? null : users.uidOf(owner);
}

/** Does what a user or his files may make fail; null: it failed. The pass goes on without, and says so. */
export function attempt<T>({ sink }: Pass['parts'], what: string, work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    sink.emit({ action: 'notify.failed', message: `${what}: ${error instanceof Error ? error.message : String(error)}`, outcome: 'failure', reason: 'export' });
    return null;
  }
}
