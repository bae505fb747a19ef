import { decideConditions } from '../decide/conditions.ts';
import type { Assessment, Policy } from '../decide/assess.ts';
import type { CheckState, Looked } from '../decide/condition-kinds.ts';
import { decideChecks } from '../decide/health.ts';
import { defaultHealthRules, healthFactsOf } from '../decide/health/facts.ts';
import { type Condition, conditionKey, type ConditionVerdict, type UntoldChange } from '../model/condition.ts';
import type { Gpu } from '../model/device.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { Finding } from '../model/finding.ts';
import { isoTime } from '../model/time.ts';
import type { Pass } from './pass.ts';
import type { ConditionLedger, EventSink } from './ports.ts';

/**
 * An open condition and what this run has to say of it. `gone`: it would have seen it and did not, so the next pass that
 * records clears it. `unknown`: it could not have seen it.
 */
export interface OpenCondition {
  readonly condition: Condition;
  readonly thisRun: 'seen' | 'gone' | 'unknown';
}

/**
 * What this pass makes of the conditions: into the ledger and among the events, where it records; otherwise they stay as
 * they are and are only shown. Leaves them in `pass.conditions`.
 */
export function settleConditions(pass: Pass, findings: readonly Finding[]): void {
  const { options, parts: { clock, conditions, remind } } = pass;
  if (conditions === undefined) return;
  const before = conditions.open();
  const verdict = decideConditions({ open: before, findings, looked: lookedOf(pass), now: clock.now() });
  const seen = new Set(findings.filter(({ severity }) => severity !== 'info').map(conditionKey));
  pass.conditions = (options.records ? verdict.open : before).map((condition) => ({ condition, thisRun: standing(condition, seen, verdict) }));
  if (!options.records) return;
  keepAndTell(pass, conditions, verdict);
  const raised = new Set(verdict.changes.filter(({ change }) => change === 'raised').map(({ condition }) => condition));
  // What was raised now is told by its event.
  for (const condition of verdict.open.filter((each) => !raised.has(each))) remind?.(raisedEvent(condition, pass.latest?.gpus ?? []));
}

function lookedOf({ options, selected, latest, decisions, outcomes, parts: { policy } }: Pass): Looked {
  const inventory = latest?.history.inventory;
  const known = inventory === undefined || inventory.length === 0 ? null : new Set(inventory.map(({ gpuUuid }) => gpuUuid));
  return { job: options.job, selected, snapshot: latest?.snapshot ?? null, inventory: known, decisions, outcomes, checked: checking(latest, policy) };
}

/** Every check of a device is judged once, and only where a condition asks for it. */
function checking(latest: Assessment | null, { health = defaultHealthRules }: Policy): Looked['checked'] {
  const states = new Map<string, ReadonlyMap<string, CheckState>>();
  return (gpuUuid, id) => {
    const gpu = latest?.gpus.find((each) => each.uuid === gpuUuid);
    if (latest === null || gpu === undefined) return null;
    const mine = states.get(gpuUuid) ?? new Map(decideChecks(healthFactsOf(gpu, latest, health)).map(({ check, verdict }) => [check.id, verdict.state]));
    states.set(gpuUuid, mine);
    return mine.get(id) ?? null;
  };
}

function standing(condition: Condition, seen: ReadonlySet<string>, { open }: ConditionVerdict): OpenCondition['thisRun'] {
  const key = conditionKey(condition);
  if (seen.has(key)) return 'seen';
  return open.some((each) => conditionKey(each) === key) ? 'unknown' : 'gone';
}

/**
 * First the ledger, all changes at once and marked as untold; then the events; then the mark is taken away. A pass that is
 * killed in between leaves the rest to the next one, which looks whether an event got there before it writes it. Where
 * events cannot be written, the mark stays.
 */
function keepAndTell(pass: Pass, conditions: ConditionLedger, verdict: ConditionVerdict): void {
  const { sink, clock } = pass.parts;
  const left = new Set(conditions.untold().map(({ number }) => number));
  conditions.settle(verdict, clock.now());
  const untold = left.size === 0 && verdict.changes.length === 0 ? [] : conditions.untold();
  for (const change of untold) if (!left.has(change.number) || !isTold(change, sink)) sink.emit(changeEvent(change, pass.latest?.gpus ?? []));
  if (sink.failed?.() !== true) conditions.markTold(untold.map(({ number }) => number));
}

function isTold(change: UntoldChange, sink: EventSink): boolean {
  return sink.holds?.(`"gpuctl.change":"${changeName(change)}"`) === true;
}

/** Numbers begin again in a new ledger. */
function changeName({ at, number }: UntoldChange): string {
  return `${at}-${number}`;
}

function changeEvent(change: UntoldChange, gpus: readonly Gpu[]): GpuctlEvent {
  const { condition, before } = change;
  const facts = { change: changeName(change), severity: condition.severity, first_seen_at: isoTime(condition.firstSeenAt), last_seen_at: isoTime(condition.lastSeenAt) };
  switch (change.change) {
    case 'raised': return withFacts(raisedEvent(condition, gpus), facts);
    case 'changed': return { ...aboutCondition(condition, gpus), action: 'gpu.condition.changed', message: `${nameOf(condition, gpus)} is ${condition.severity} now, not ${before}: ${condition.message}`, ...weightOf(condition.severity === 'critical' ? condition.severity : null), facts: { ...facts, before, remedy: condition.remedy } };
    case 'cleared': return { ...aboutCondition(condition, gpus), action: 'gpu.condition.cleared', message: `${nameOf(condition, gpus)} is over: ${condition.message}`, facts };
  }
}

function withFacts(event: GpuctlEvent, facts: NonNullable<GpuctlEvent['facts']>): GpuctlEvent {
  return { ...event, facts: { ...facts, ...event.facts } };
}

function raisedEvent(condition: Condition, gpus: readonly Gpu[]): GpuctlEvent {
  return { ...aboutCondition(condition, gpus), action: 'gpu.condition.raised', message: `${nameOf(condition, gpus)}: ${condition.message}`, ...weightOf(condition.severity), facts: { severity: condition.severity, remedy: condition.remedy } };
}

/** Null: it became less bad, which needs nobody. */
function weightOf(severity: Condition['severity'] | null): Pick<GpuctlEvent, 'level' | 'alert'> {
  return severity === null ? { level: 'info', alert: false } : { level: severity === 'critical' ? 'error' : 'warn', alert: true };
}

function nameOf({ id, subject }: Condition, gpus: readonly Gpu[]): string {
  if (subject.gpu === undefined) return id;
  return `GPU ${gpus.find(({ uuid }) => uuid === subject.gpu)?.index ?? subject.gpu}: ${id}`;
}

function aboutCondition({ id, subject: { gpu, mig, container, pid } }: Condition, gpus: readonly Gpu[]): Pick<GpuctlEvent, 'reason' | 'gpu' | 'container' | 'process'> {
  const seen = gpus.find(({ uuid }) => uuid === gpu);
  return {
    reason: id,
    ...(gpu === undefined ? {} : { gpu: { uuid: gpu, mig: mig ?? null, ...(seen === undefined ? {} : { index: seen.index, busId: seen.pciBusId }) } }),
    ...(container === undefined ? {} : { container: { id: container, name: null } }),
    ...(pid === undefined ? {} : { process: { pid } }),
  };
}
