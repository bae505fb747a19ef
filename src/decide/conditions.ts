import { type Condition, type ConditionChange, conditionKey, type ConditionVerdict } from '../model/condition.ts';
import type { Finding } from '../model/finding.ts';
import { conditionKindOf, type Look, type Looked } from './condition-kinds.ts';

export interface ConditionFacts {
  /** As the ledger has them. */
  readonly open: readonly Condition[];
  /** Of this pass. */
  readonly findings: readonly Finding[];
  readonly looked: Looked;
  readonly now: number;
}

/** A finding that lasts. */
type Lasting = Finding & Pick<Condition, 'severity'>;

/**
 * What begins, goes on and is over. A condition is over only by a pass that could have seen it and did not: what was not
 * looked at, not asked for or not readable leaves it as it is, and so does a finding for information in its place.
 */
export function decideConditions({ open, findings, looked, now }: ConditionFacts): ConditionVerdict {
  const before = new Map(open.map((condition) => [conditionKey(condition), condition]));
  const found = lastingIn(findings);
  const doubtful = new Set(findings.filter(({ severity }) => severity === 'info').map(conditionKey));
  const seen = [...found].map(([key, finding]) => seenAgain(before.get(key) ?? null, finding, { job: looked.job, now }));
  const unseen = open.filter((condition) => !found.has(conditionKey(condition))).map((condition) => withoutJob(condition, { looked, findings, doubtful }));
  const over = unseen.filter(({ seenBy }) => seenBy.length === 0);
  return {
    changes: [...seen.flatMap(({ change }) => change ?? []), ...over.map((condition): ConditionChange => ({ change: 'cleared', condition, before: condition.severity }))],
    still: [...seen.filter(({ change }) => change === null).map(({ condition }) => condition), ...unseen.filter((condition) => condition.seenBy.length > 0 && !open.includes(condition))],
    open: [...seen.map(({ condition }) => condition), ...unseen.filter(({ seenBy }) => seenBy.length > 0)],
  };
}

/** One finding for each condition: of several the worst, of equally bad ones the first. */
function lastingIn(findings: readonly Finding[]): ReadonlyMap<string, Lasting> {
  const all = findings.filter(isLasting).toReversed();
  const worstLast = [...all, ...all.filter(({ severity }) => severity === 'critical')];
  return new Map(worstLast.map((finding) => [conditionKey(finding), finding]));
}

function isLasting(finding: Finding): finding is Lasting {
  return finding.severity !== 'info' && conditionKindOf(finding.id) !== null;
}

interface Seen {
  readonly condition: Condition;
  readonly change: ConditionChange | null;
}

function seenAgain(before: Condition | null, { id, subject, severity, message, remedy }: Lasting, { job, now }: { readonly job: string; readonly now: number }): Seen {
  const condition: Condition = { id, subject, severity, message, remedy, firstSeenAt: before?.firstSeenAt ?? now, lastSeenAt: now, seenBy: [...new Set([...(before?.seenBy ?? []), job])] };
  if (before === null) return { condition, change: { change: 'raised', condition, before: null } };
  return { condition, change: before.severity === severity ? null : { change: 'changed', condition, before: before.severity } };
}

interface Unseen {
  readonly looked: Looked;
  readonly findings: readonly Finding[];
  /** Conditions in whose place there is a finding for information. */
  readonly doubtful: ReadonlySet<string>;
}

/** The condition without the jobs that this pass speaks for; itself where it says nothing about it. */
function withoutJob(condition: Condition, { looked, findings, doubtful }: Unseen): Condition {
  if (doubtful.has(conditionKey(condition)) || isUncertain(condition, findings) || !couldSee(condition, looked)) return condition;
  const { jobs } = conditionKindOf(condition.id) ?? UNKNOWN_KIND;
  const seenBy = jobs === 'same' ? condition.seenBy.filter((job) => job !== looked.job) : [];
  return seenBy.length === condition.seenBy.length ? condition : { ...condition, seenBy };
}

/** Findings that leave open what a process is. */
const OPEN_QUESTIONS: ReadonlySet<string> = new Set(['process.unknown', 'gpu.orphan.unconfirmed']);

function isUncertain({ subject }: Condition, findings: readonly Finding[]): boolean {
  return subject.pid !== undefined && findings.some((finding) => finding.subject.pid === subject.pid && OPEN_QUESTIONS.has(finding.id));
}

/** For conditions of another version of gpuctl, of an id that this one does not know. */
const UNKNOWN_KIND = { jobs: ['health-check', 'release-stale'] as readonly string[], couldSee: ({ snapshot }: Look) => [snapshot.driver, snapshot.engine, snapshot.processes].every(({ state }) => state === 'complete') };

function couldSee({ id, subject }: Condition, looked: Looked): boolean {
  const { snapshot, selected, job } = looked;
  if (snapshot === null) return false;
  if (selected !== null && subject.gpu !== undefined && !selected.has(subject.gpu)) return false;
  const look: Look = { ...looked, snapshot };
  if (isRetired(subject.gpu, look)) return true;
  const kind = conditionKindOf(id) ?? UNKNOWN_KIND;
  return (typeof kind.jobs === 'string' || kind.jobs.includes(job)) && kind.couldSee(look, subject, id);
}

/** A board that was taken out, and that an admin has taken out of the inventory, will not be seen well again. */
function isRetired(gpu: string | undefined, { snapshot, inventory }: Look): boolean {
  if (gpu === undefined || inventory === null || inventory.has(gpu) || snapshot.driver.state !== 'complete') return false;
  return !snapshot.driver.value.gpus.some(({ uuid }) => uuid === gpu);
}
