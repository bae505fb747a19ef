import type { LimitKind } from '../model/activity.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { type ReasonCode, REASONS } from '../model/reason.ts';
import type { Assessment } from '../decide/assess.ts';
import { begin, finish, interruption, type Numbered, settle } from './carry-out.ts';
import { noticeOf, stageOf } from './limit-notice.ts';
import { observe, type Pass } from './pass.ts';
import type { ActResult, ContainerActor, LimitsParts } from './ports.ts';

/** Each stop may wait for a grace of minutes, and a pass has ten. */
const STOPS_AT_ONCE = 16;
/** A stop is decided on nothing older than this. */
const FRESH_MS = 2000;

/** What a round about a limit decided, and how it is asked again. */
export interface LimitRound {
  readonly kind: LimitKind;
  readonly decisions: readonly Decision<ContainerTarget>[];
  /** True: what was decided of one run holds for the next one as well, where it is decided of that anew. */
  readonly outlivesRestart: boolean;
  /** Managed containers: what the breaker takes its share of. */
  readonly total: number;
  readonly graceMsOf: (target: ContainerTarget) => number;
  /** The decision about this container anew, on this look; null: the container is not in it. */
  readonly again: (target: ContainerTarget, fresh: Assessment) => Promise<Decision<ContainerTarget> | null>;
}

/** Warns and stops. Warnings and stops of different containers do not wait for each other. */
export async function carryOutLimits(pass: Pass, limits: LimitsParts, round: LimitRound): Promise<void> {
  const stops = settle(pass, round.decisions.filter(({ verb }) => verb === 'stop'), round.total);
  const warnings = settle(pass, round.decisions.filter(({ verb }) => verb === 'warn'), 0);
  const look = freshLook(pass);
  await Promise.all([
    ...warnings.map((entry) => warnOne(pass, limits, { entry, kind: round.kind })),
    atMost(STOPS_AT_ONCE, stops, (entry) => stopOne(pass, limits, { entry, round, look })),
  ]);
}

/** Told first, remembered then: an owner may be told twice after a crash, but is never stopped untold. */
async function warnOne(pass: Pass, { ledger, notifier }: LimitsParts, { entry, kind }: { readonly entry: Numbered<ContainerTarget>; readonly kind: LimitKind }): Promise<void> {
  const { decision } = entry;
  const stop = interruption(pass);
  if (stop !== null) { finish(pass, entry, null, stop); return; }
  const act = begin(pass, entry);
  const stage = stageOf(decision);
  const notice = await noticeOf(pass, decision, { kind, stage });
  const problems = (await notifier?.notifyOwner(notice)) ?? [];
  ledger.recordWarning({ containerId: decision.target.containerId, startedAt: decision.target.startedAt, kind, stage, at: pass.parts.clock.now() });
  finish(pass, entry, act, { result: 'done', reason: null, detail: notice.message });
  for (const event of problems) pass.parts.sink.emit(event);
}

interface Stop {
  readonly entry: Numbered<ContainerTarget>;
  readonly round: LimitRound;
  /** Not older than that instant. */
  readonly look: (notBefore: number) => Promise<Assessment>;
}

/** A container that starts again and again may do so between the last decision and the act as well. */
const MOST_ATTEMPTS = 3;

async function stopOne(pass: Pass, { actor, notifier }: LimitsParts, { entry, round, look }: Stop): Promise<void> {
  for (let attempt = 1, notBefore = 0; ; attempt += 1, notBefore = pass.parts.clock.now()) {
    const latest = interruption(pass) ?? withoutActor(actor) ?? (await decidedAnew(entry.decision, round, await look(notBefore)));
    if ('result' in latest || actor === null) { finish(pass, entry, null, 'result' in latest ? latest : noActor); return; }
    const act = begin(pass, { ...entry, decision: latest });
    const result = await actor.stopContainer(latest.target, Math.ceil(round.graceMsOf(latest.target) / 1000));
    if (result.reason === 'restarted' && round.outlivesRestart && attempt < MOST_ATTEMPTS) {
      pass.parts.ledger.endAct(act, result, pass.parts.clock.now());
      continue;
    }
    finish(pass, entry, act, result);
    if (result.result !== 'done' || notifier === null) return;
    for (const event of await notifier.notifyOwner(await noticeOf(pass, latest, { kind: round.kind, stage: 'stopped', since: result.since }))) pass.parts.sink.emit(event);
    return;
  }
}

const noActor: ActResult = { result: 'refused', reason: 'interrupted', detail: 'this pass has no acting side' };

function withoutActor(actor: ContainerActor | null): ActResult | null {
  return actor === null ? noActor : null;
}

/** Reasons for which it is not known whether the stop is still due; every other says that it is not. */
const UNKNOWN: ReadonlySet<ReasonCode> = new Set<ReasonCode>(['activity-unknown', 'claims-unknown', 'age-unknown', 'container-unknown', 'containers-unknown', 'container-not-settled']);

/** The whole decision once more, of the run that goes on now; or why nothing is to be done. */
async function decidedAnew({ target }: Decision<ContainerTarget>, { again, outlivesRestart }: LimitRound, fresh: Assessment): Promise<Decision<ContainerTarget> | ActResult> {
  if (fresh.snapshot.engine.state === 'failed') return { result: 'refused', reason: 'containers-unknown', detail: fresh.snapshot.engine.why };
  const decision = await again(target, fresh);
  if (decision === null) return { result: 'already-gone', reason: 'gone', detail: REASONS.gone };
  if (decision.target.startedAt !== target.startedAt && !outlivesRestart) return { result: 'refused', reason: 'restarted', detail: REASONS.restarted };
  if (decision.verb === 'stop' && decision.verdict === 'act') return decision;
  return { result: UNKNOWN.has(decision.reason) ? 'refused' : 'already-gone', reason: decision.reason, detail: REASONS[decision.reason] };
}

/** The latest look where it is fresh enough, else a new one, which those who ask meanwhile share. */
function freshLook(pass: Pass): (notBefore: number) => Promise<Assessment> {
  let looking: Promise<Assessment> | null = null;
  return async (notBefore) => {
    const { latest, parts } = pass;
    const ageMs = latest === null ? -1 : parts.clock.now() - latest.snapshot.takenAt;
    if (latest !== null && ageMs >= 0 && ageMs <= FRESH_MS && latest.snapshot.takenAt >= notBefore) return latest;
    looking ??= observe(pass).finally(() => { looking = null; });
    return looking;
  };
}

/** Every item, so many at a time, in order. */
async function atMost<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, async () => {
    for (const item of left) await work(item);
  }));
}
