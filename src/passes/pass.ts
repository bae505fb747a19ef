import { type Assessment, assess, type Policy } from '../decide/assess.ts';
import type { Budget, Trip } from '../decide/breaker.ts';
import { foldReading } from '../decide/clock.ts';
import { resolveReference } from '../decide/device-reference.ts';
import { conflictMessage, conflictsIn } from '../decide/findings.ts';
import { decideInventory, inventoryNamed, lostNamed } from '../decide/inventory.ts';
import { type Lesson, learnFrom } from '../decide/learn.ts';
import { settlingResets, withGapsOf } from '../decide/xid.ts';
import type { Container } from '../model/container.ts';
import type { Decision, Outcome, Verb } from '../model/decision.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { History } from '../model/history.ts';
import { seen } from '../model/observation.ts';
import { observationEvents } from './narrate.ts';
import type { Ended } from './after-acts.ts';
import { type Activity, sampleActivity } from './activity-step.ts';
import type { OpenCondition } from './conditions-step.ts';
import type { Actor, Clock, ConditionLedger, EventSink, KernelLogLedger, Ledger, LimitsParts, MetricsSink, Observer, ResetParts } from './ports.ts';
import { takeKeepRequests, type UserSide } from './user-side.ts';

export type Job = 'health-check' | 'release-stale' | 'check-idle' | 'enforce-runtime' | 'cleanup-containers' | 'sample' | 'reset' | 'status';

/** What a pass is given: the host, the memory, the rules. Only `cli/compose` builds the real ones. */
export interface PassParts {
  readonly host: string;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly ledger: Ledger;
  readonly sink: EventSink;
  readonly policy: Policy;
  readonly budgets: Readonly<Partial<Record<Verb, Budget>>>;
  readonly ownerOf: (container: Container) => string | null;
  /** Null: nothing may be acted on (a dry run or a report). */
  readonly actor: Actor | null;
  /** Absent: the pass has nothing to do with limits, and samples no activity. */
  readonly limits?: LimitsParts;
  /** Absent: nothing is remembered of the kernel log (a dry run or a report). */
  readonly kernelLog?: KernelLogLedger;
  /** Absent: resets are journalled nowhere, and stop no services. */
  readonly resets?: ResetParts;
  /** Absent: the pass has nothing to do with users (a dry run or a report). */
  readonly users?: UserSide;
  /** Absent: the pass has nothing to do with conditions, or the ledger does not tell them. */
  readonly conditions?: ConditionLedger;
  /** Keeps admins in mind of an alert that lasts: it is told to them, subject to the cool-down, and is no event. */
  readonly remind?: (event: GpuctlEvent) => void;
  /** Absent: the pass leaves no numbers. */
  readonly metrics?: MetricsSink;
  /** Why the pass was asked to end early; null: it was not. */
  readonly stopping: () => string | null;
}

export interface PassOptions {
  /** A ULID: sortable by time. */
  readonly id: string;
  readonly job: Job;
  /** A dry run shows the whole plan as if it were carried out; nothing is written anywhere. */
  readonly dryRun: boolean;
  /** False: a report. Its decisions to act are findings. */
  readonly acts: boolean;
  /** What is observed is remembered in the ledger. */
  readonly records: boolean;
  readonly overBudget: boolean;
  /** References to the devices that were asked for, as typed; empty: all. */
  readonly devices: readonly string[];
}

/** One pass as it goes: what has been decided and done so far. */
export interface Pass {
  readonly parts: PassParts;
  readonly options: PassOptions;
  readonly id: string;
  readonly startedAt: number;
  readonly startedMonotonicMs: number;
  readonly decisions: Decision[];
  readonly outcomes: Outcome[];
  readonly trips: Trip[];
  /** What acts made of containers, by id: newer than the look before them. */
  readonly ended: Map<string, Ended>;
  /** The first and the latest look at the host; null before the first. */
  first: Assessment | null;
  latest: Assessment | null;
  /** What the first look saw the containers do; null before it, or where the pass has nothing to do with limits. */
  activity: Activity | null;
  /** Open conditions after the pass, each with what it saw of it; null: not known, or not asked yet. */
  conditions: readonly OpenCondition[] | null;
  round: number;
  /** UUIDs of the GPUs that were asked for; null: all, or not resolved yet. */
  selected: ReadonlySet<string> | null;
}

export function newPass(parts: PassParts, options: PassOptions): Pass {
  const startedAt = parts.clock.now();
  return {
    parts, options, startedAt,
    id: options.id,
    startedMonotonicMs: parts.clock.monotonicMs(),
    decisions: [], outcomes: [], trips: [], ended: new Map(), first: null, latest: null, activity: null, conditions: null, round: 0, selected: null,
  };
}

/** A fresh look at the host, judged. The first one of a pass that records teaches the ledger. */
export async function observe(pass: Pass): Promise<Assessment> {
  const { parts, options } = pass;
  const snapshot = withGapsOf(await parts.observer.observe(), pass.latest?.snapshot);
  const before = assess(snapshot, withClock(parts, parts.ledger.history()), parts.policy);
  const history = historyAfter(pass, before);
  const assessment = history === before.history ? before : assess(snapshot, history, parts.policy);
  if (pass.first === null) for (const event of observationEvents(assessment.snapshot)) parts.sink.emit(event);
  if (options.records && pass.first === null) takeKeepRequests(pass, assessment);
  if (options.devices.length > 0) pass.selected ??= selectDevices(options.devices, assessment);
  // A report on devices asks nothing of containers' clocks.
  if (pass.first === null && (options.records || options.job !== 'health-check')) pass.activity = await sampleActivity(pass, assessment);
  pass.first ??= assessment;
  pass.latest = assessment;
  return assessment;
}

/**
 * What a round starts from: a fresh look where the rounds before it may have changed something, the first look in a
 * dry run or a report.
 */
export async function view(pass: Pass): Promise<Assessment> {
  const changes = pass.options.acts && !pass.options.dryRun;
  return (changes ? null : pass.latest) ?? observe(pass);
}

/** Rounds are numbered from 1. */
export function nextRound(pass: Pass): number {
  pass.round += 1;
  return pass.round;
}

/** What the ledger knows of the host's clocks, and how they stand this instant. */
function withClock({ clock }: PassParts, history: History): History {
  if (clock.boot === undefined) return history;
  const boot = clock.boot();
  return { ...history, clock: boot === null ? (history.clock ?? []) : foldReading(history.clock ?? [], { ...boot, at: clock.now() }) };
}

/** What this look teaches: the ledger itself, or in a dry run the copy in hand. A report that remembers nothing learns nothing. */
function historyAfter(pass: Pass, assessment: Assessment): History {
  const { options, parts } = pass;
  if (options.records) {
    remember(pass, assessment);
    const era = pass.first === null ? assessment.history.clock?.at(-1) : undefined;
    if (era !== undefined) parts.ledger.recordClock?.(era);
    return withClock(parts, parts.ledger.history());
  }
  return options.dryRun && options.acts ? learnFrom(assessment.history, lessonOf(pass, assessment)).history : assessment.history;
}

/** Engine and claims are learned only from an engine that is to be believed. */
function lessonOf({ parts }: Pass, { snapshot, claims }: Assessment): Lesson {
  const engine = seen(snapshot.engine);
  const owners = new Map((engine?.containers ?? []).map((container) => [container.id, parts.ownerOf(container)]));
  return { engine, claims: claims.claims, owners, at: snapshot.takenAt };
}

function remember(pass: Pass, assessment: Assessment): void {
  const { ledger, sink } = pass.parts;
  const { engine, claims, owners, at } = lessonOf(pass, assessment);
  const news = decideInventory(assessment.history.inventory ?? [], assessment.snapshot.driver);
  if (news !== null) ledger.recordInventory?.(news, at);
  rememberKernelLog(pass, assessment);
  const observed = ledger.recordObservation(engine, claims, owners, at);
  for (const allocation of observed) {
    sink.emit({
      action: 'gpu.allocation.observed',
      message: `container ${allocation.containerName} holds ${allocation.migUuid ?? allocation.gpuUuid}`,
      container: { id: allocation.containerId, name: allocation.containerName },
      gpu: { uuid: allocation.gpuUuid, mig: allocation.migUuid },
      ...(allocation.owner === null ? {} : { user: allocation.owner }),
    });
  }
  if (observed.length > 0) tellConflicts(pass, assessment, new Set(observed.map(({ containerId, gpuUuid }) => `${containerId} ${gpuUuid}`)));
}

/** Those that a container brought about whose hold was first seen now. `fresh`: container and GPU. */
function tellConflicts({ parts: { policy, sink } }: Pass, assessment: Assessment, fresh: ReadonlySet<string>): void {
  for (const conflict of conflictsIn(assessment, policy)) {
    const { gpuUuid, migUuid, containers } = conflict;
    if (!containers.some(({ id }) => fresh.has(`${id} ${gpuUuid}`))) continue;
    sink.emit({ action: 'gpu.allocation.conflict', message: conflictMessage(conflict), gpu: { uuid: gpuUuid, mig: migUuid }, facts: { containers: containers.map(({ id, name }) => ({ id, name })) } });
  }
}

/** What it said is kept before anything is decided on it; what a reset came after is over. A look at which nothing new was said is written down once a pass. */
function rememberKernelLog({ parts, first }: Pass, { snapshot, history, gpus }: Assessment): void {
  const { kernelLog } = parts;
  const said = snapshot.kernelLog === undefined ? null : seen(snapshot.kernelLog);
  if (kernelLog === undefined || said === null) return;
  if (first === null || said.events.length > 0) kernelLog.recordKernelLog(said, snapshot.takenAt);
  for (const { gpu, at } of settlingResets(gpus, history, snapshot.takenAt)) kernelLog.settleXids(gpu, at);
}

/** Is this device one that the pass was asked about? */
export function isSelected({ selected }: Pass, gpuUuid: string): boolean {
  return selected === null || selected.has(gpuUuid);
}

/** Throws GpuctlError (exit 2) for a reference to no device of this host. Nothing is refused where nvidia-smi failed: then it is what the inventory remembers. */
function selectDevices(references: readonly string[], { gpus, snapshot, history }: Assessment): ReadonlySet<string> {
  const uuids = references.flatMap((reference) => {
    const named = resolveReference(reference, gpus);
    if (named.length > 0) return named.map((device) => device.gpuUuid);
    if (snapshot.driver.state === 'failed') return inventoryNamed(reference, history.inventory ?? [])?.gpuUuid ?? [];
    const lost = lostNamed(reference, history.inventory ?? [], snapshot.driver);
    if (lost !== null) return [lost.gpuUuid];
    const there = gpus.map((gpu) => `${gpu.index ?? '?'} (${gpu.uuid})`).join(', ');
    throw new GpuctlError(`${JSON.stringify(reference)} names no device of this host`, { code: 'no-such-device', exitCode: ExitCode.usage, hint: `there are: ${there === '' ? 'none' : there}` });
  });
  return new Set(uuids);
}

