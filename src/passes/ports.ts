import type { ClockEra, ClockReading } from '../model/clock.ts';
import type { Allocation, History, MemorySample, ReleaseReason, ResetWant } from '../model/history.ts';
import type { Claim } from '../model/claim.ts';
import type { ActivitySample, ContainerCounters, DeviceUse, IdleClock, KeepAlive, LimitKind, ProcessUse, Warning, WarningStage } from '../model/activity.ts';
import type { ContainerTarget, GpuTarget, Outcome, ProcessTarget, Result, Target, Verb } from '../model/decision.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { HealthUpdate } from '../model/health.ts';
import type { Condition, ConditionVerdict, UntoldChange } from '../model/condition.ts';
import type { Container, EngineView } from '../model/container.ts';
import type { KernelLogCursor, KernelLogView } from '../model/kernel-log.ts';
import type { Observed } from '../model/observation.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { InventoryNews } from '../model/lost.ts';
import type { BoardDebt, Debt, ResetRun, ResetStepKind } from '../model/reset.ts';
import type { MetricsView } from '../model/metrics.ts';
import type { JobName } from '../model/schedule.ts';
import type { ProcessLook, Snapshot } from '../model/snapshot.ts';

/** The clock of a pass. `now` is wall time in milliseconds since 1970 UTC, `monotonicMs` only measures durations. */
export interface Clock {
  now(): number;
  monotonicMs(): number;
  sleep(ms: number): Promise<void>;
  /** This boot, and how long it has lasted; null: not known. Absent: the boot clock is not looked at, and the wall clock is trusted. */
  boot?(): Pick<ClockReading, 'bootId' | 'uptimeMs'> | null;
}

/** Reads the host. Never throws for what a host can do: a source that fails says so in the snapshot. */
export interface Observer {
  observe(): Promise<Snapshot>;
  /** `pids` as they are now, with the engine's answer for each of `containerIds`, asked after the pids were read, and the driver's list. */
  look(pids: readonly number[], containerIds: readonly string[]): Promise<ProcessLook>;
  /** The same without the driver's list (`listed` failed): identity and ownership alone, for the moment before a signal. */
  glance(pids: readonly number[], containerIds: readonly string[]): Promise<ProcessLook>;
}

/** How one attempted act ended. */
export interface ActResult {
  readonly result: Result;
  readonly reason: ReasonCode | null;
  readonly detail: string;
  /** The driver calls the device unstable: it must not be reset again unasked. */
  readonly quarantine?: boolean;
  /** Of a stop that was done: the engine has removed the container since (`--rm`), or somebody has started it again. Absent: it is at rest. */
  readonly since?: 'removed' | 'started';
}

/** Changes the host. Not built at all for a dry run. */
export interface Actor {
  /** TERM to all, one grace for all, KILL, look again. One result a target, in order. */
  endProcesses(targets: readonly ProcessTarget[], checks: EndingChecks): Promise<readonly ActResult[]>;
  /** Resets exactly this GPU by bus id, verifies that it came back as it was and puts back what it can. Rejects only with what the journal throws. */
  resetGpu(target: GpuTarget, before: Snapshot, journal: ResetJournal): Promise<ActResult>;
}

/** What the acting side asks while it ends processes. */
export interface EndingChecks {
  /** Right before each signal: identity and ownership observed anew. Null: go on; otherwise why not: an outcome, not an error. */
  mayEnd(target: ProcessTarget): Promise<ActResult | null>;
  /** Pids that the driver still lists; null: it does not say. */
  stillListed(): Promise<ReadonlySet<number> | null>;
}

/** An act that was begun and whose end was never written. */
export interface InFlightAct {
  readonly number: number;
  readonly passId: string;
  readonly verb: Verb;
  readonly target: Target;
  readonly at: number;
}

/** A pass that did not come to its end, or was cut off between its end and the event about it. */
export interface UntoldPass extends PassRecord {
  /** Null: it did not come to its end. */
  readonly exit: number | null;
}

export interface PassRecord {
  readonly id: string;
  readonly job: string;
  readonly startedAt: number;
}

/** What gpuctl remembers between passes. Every method is durable when it returns; every method may throw LedgerError. */
export interface Ledger {
  /** The name that a damaged file was set aside under when this ledger was opened; null: none was. */
  readonly setAside: string | null;
  history(): History;
  /** Proves that the ledger can be written; called before anything is acted on. */
  beginPass(pass: PassRecord): void;
  endPass(id: string, endedAt: number, exit: number): void;
  /** Acts of earlier passes without an end that may not be among the events yet, oldest first. */
  untoldActs(passId: string): readonly InFlightAct[];
  /** This pass told of them. */
  markActsTold(passId: string, numbers: readonly number[]): void;
  /** Earlier passes that nobody may have been told the end of, oldest first. Absent: nobody keeps them. */
  untoldPasses?(passId: string): readonly UntoldPass[];
  markPassesTold?(ids: readonly string[]): void;
  /** Before an act is tried. Returns its number. */
  beginAct(passId: string, verb: Verb, target: Target, at: number): number;
  endAct(act: number, outcome: Pick<Outcome, 'result' | 'reason' | 'detail'>, at: number): void;
  /** Learns the engine and its containers; returns the allocations that were not known before. */
  recordObservation(engine: EngineView | null, claims: readonly Claim[], owners: ReadonlyMap<string, string | null>, at: number): readonly Allocation[];
  /** Replaces the known engine where an admin accepted another; null: podman, which has no lasting id. */
  acceptEngine(engineId: string | null, kind?: EngineView['kind']): void;
  /** Keeps an era, in the place of what was known of the same number. */
  recordClock?(era: ClockEra): void;
  recordMemory(samples: readonly MemorySample[]): void;
  /** Replaces all that was known of these devices. */
  recordHealth?(update: HealthUpdate): void;
  release(allocation: Pick<Allocation, 'containerId' | 'startedAt' | 'gpuUuid' | 'migUuid'>, reason: ReleaseReason, at: number): void;
  wantReset(want: ResetWant): void;
  withdrawReset(gpuUuid: string): void;
  recordReset(gpuUuid: string, succeeded: boolean, at: number): void;
  quarantine(gpuUuid: string, at: number): void;
  /** The GPUs that were seen, and those that were not. Absent: no inventory is kept. */
  recordInventory?(news: InventoryNews, at: number): void;
  close(): void;
}

/** One step of a reset, before it is taken. */
export interface ResetIntent {
  readonly kind: ResetStepKind;
  /** The unit, for `stop-service`. */
  readonly subject: string | null;
  /** What must be put back if nothing after this is ever written. */
  readonly debts: readonly Debt[];
}

/** The journal of resets. Durable when a method returns; every method may throw LedgerError. */
export interface ResetLedger {
  /** Returns the number of the run. */
  beginReset(passId: string, target: GpuTarget, at: number): number;
  /** Before a step is taken, together with its debts. Returns the number of the step. */
  beginStep(run: number, intent: ResetIntent, at: number): number;
  endStep(step: number, end: StepResult, at: number): void;
  endReset(run: number, at: number): void;
  /** It is as it was again. */
  payDebt(gpuUuid: string, debt: Debt, at: number): void;
  /** It could not be put back; it stays. */
  oweDebt(gpuUuid: string, debt: Debt, why: string): void;
  /** Did the run of this pass and GPU come to the reset itself? Null: there is no such run. */
  wasTried(passId: string, gpuUuid: string): boolean | null;
  /** Runs that were cut off, and runs with an open debt, oldest first. */
  unsettled(): readonly ResetRun[];
  quarantined(): readonly { readonly gpuUuid: string; readonly at: number }[];
  /** An admin takes the device as it is: no quarantine, a new count of resets, no debts. Returns what was given up. */
  clearQuarantine(gpuUuid: string, at: number): readonly Debt[];
}

/** How one step ended. Never thrown. */
export interface StepResult {
  readonly result: 'done' | 'failed';
  readonly detail: string;
}

/** What the acting side writes while it resets one GPU. Every method may throw LedgerError, and then nothing more may be changed. */
export interface ResetJournal {
  begin(intent: ResetIntent): number;
  end(step: number, result: StepResult): void;
  /** Open debts of this GPU, those of earlier resets included; without services. */
  debts(): readonly BoardDebt[];
  paid(debt: BoardDebt): void;
  owed(debt: BoardDebt, why: string): void;
  /** Right before the reset is tried once more: the whole decision on a new look. Null: go on; otherwise why not. */
  mayRetry(): Promise<ActResult | null>;
}

/** `unsettled`: it is starting or stopping. `not-startable`: it runs, but once stopped it could not be started (masked). `absent`: systemd knows no such unit. */
export type ServiceState = 'active' | 'inactive' | 'unsettled' | 'not-startable' | 'absent' | 'unknown';

/** What a reset does to services, and what puts back what it took. Every call ends by a deadline of its own and never throws. */
export interface ResetHelper {
  serviceState(unit: string): Promise<ServiceState>;
  stopService(unit: string): Promise<StepResult>;
  /** Done: it runs. */
  startService(unit: string): Promise<StepResult>;
  /** Units that run and would be stopped together with this one; null: not known. */
  dependents(unit: string): Promise<readonly string[] | null>;
  /** Puts one setting of one GPU back; null: it is of a kind that only an admin can put back. */
  restore(target: GpuTarget, debt: BoardDebt): Promise<StepResult | null>;
}

/** What a pass that resets has besides. */
export interface ResetParts {
  readonly ledger: ResetLedger;
  /** Null: nothing may be acted on. */
  readonly helper: ResetHelper | null;
}

/** What is remembered of the kernel log. Durable when a method returns; every method may throw LedgerError. */
export interface KernelLogLedger {
  /** How far it was read; null: never. */
  cursor(): KernelLogCursor | null;
  /** Keeps the errors of devices and how far the log was read. */
  recordKernelLog(view: KernelLogView, seenAt: number): void;
  /** The GPU was reset successfully: what happened to it before is over. */
  settleXids(gpu: { readonly uuid: string; readonly pciBusId: string }, resetAt: number): void;
}

/** Where events go. `emit` never throws: an event file that cannot be written is reported on stderr, once. */
export interface EventSink {
  emit(event: GpuctlEvent): void;
  /** True: some event of this run is not where it belongs. Absent: nobody knows. */
  failed?(): boolean;
  /** Is this text in what was written lately? Absent: nobody knows. */
  holds?(text: string): boolean;
}

/** What is remembered of conditions. Durable when a method returns; every method may throw LedgerError. */
export interface ConditionLedger {
  /** Open ones, in the order in which they were raised. */
  open(): readonly Condition[];
  /** Keeps what one pass made of them, changes and all, in one transaction: all of it or nothing. */
  settle(verdict: ConditionVerdict, at: number): void;
  /** Changes that may not be among the events yet, oldest first. */
  untold(): readonly UntoldChange[];
  markTold(numbers: readonly number[]): void;
}

/** Where the numbers of a pass go that others collect. Throws what the file system says; the pass goes on without. */
export interface MetricsSink {
  /** Replaces what was there; does nothing where nobody collects. */
  write(view: MetricsView): void;
}

/** The host's lock. Null: somebody else holds it. Frees itself when the process dies. */
export interface Lock {
  acquire(): Promise<{ release(): void } | null>;
}

/** Reads the counters of running containers; one that cannot be read says so in its readings. */
export interface ActivityObserver {
  counters(containers: readonly Container[]): Promise<readonly ContainerCounters[]>;
  /** What each process uses of its device: one call of the driver, asked only where containers share one. Absent: nobody tells. */
  processUse?(): Promise<Observed<readonly ProcessUse[]>>;
}

/** What limits need to be remembered. Durable when a method returns; every method may throw LedgerError. */
export interface LimitsLedger {
  idleClocks(): readonly IdleClock[];
  /** Keeps the samples and replaces the clocks of the containers that they are of; clocks of runs that are over go. */
  recordActivity(samples: readonly ActivitySample[], clocks: readonly IdleClock[]): void;
  recordDeviceUse(uses: readonly DeviceUse[]): void;
  /** Oldest first, since that instant. */
  deviceUse(since: number): readonly DeviceUse[];
  /** First start that was ever seen of each container, by id. */
  firstStarts(): ReadonlyMap<string, number>;
  warnings(): readonly Warning[];
  recordWarning(warning: Warning): void;
  /** Re-arms: the container was active again. */
  clearWarnings(containerId: string, kind: LimitKind): void;
  keepAlives(): readonly KeepAlive[];
  recordKeepAlive(keep: KeepAlive): void;
  /** Refusals of the last day, oldest first; a few for each user. */
  keepRefusals?(): readonly (KeepRefusal & { readonly at: number })[];
  recordKeepRefusal?(refusal: KeepRefusal, at: number): void;
  /** What was refused to this user counts no more: he was granted something since. */
  forgetKeepRefusals?(uid: number): void;
  /** Containers that were once seen to be managed, by id. */
  onceManaged(): ReadonlySet<string>;
  recordManaged(containerIds: readonly string[]): void;
}

/** Stops and removes containers. Both look at the container again right before, and act only on the run decided on. */
export interface ContainerActor {
  /** `docker stop` with this grace before SIGKILL, seconds. Never removes. */
  stopContainer(target: ContainerTarget, graceS: number): Promise<ActResult>;
  /** Without force, without its volumes. A container that runs is refused. */
  removeContainer(target: ContainerTarget): Promise<ActResult>;
}

/** One notice to an owner. */
export interface OwnerNotice {
  readonly target: ContainerTarget;
  readonly kind: LimitKind;
  readonly stage: WarningStage | 'stopped';
  readonly message: string;
}

/** Tells owners and admins. Never delays a pass by more than its deadline and never fails it: what could not be delivered comes back as an event. */
export interface Notifier {
  notifyOwner(notice: OwnerNotice): Promise<readonly GpuctlEvent[]>;
  /** Before it is told anywhere else: where the pass is killed, or a sink does not take it, a later pass tells the alert. */
  rememberAlert(event: GpuctlEvent): void;
  /** For every alert of the pass, after it; the cool-down is the notifier's business. */
  notifyAdmin(events: readonly GpuctlEvent[]): Promise<readonly GpuctlEvent[]>;
}

/** What a pass about limits has besides. */
export interface LimitsParts {
  readonly ledger: LimitsLedger;
  readonly activity: ActivityObserver;
  /** Null: nothing may be acted on. */
  readonly actor: ContainerActor | null;
  readonly notifier: Notifier | null;
  /** The first run of a job at or after an instant, by the schedule; null: there is none. */
  readonly nextRun: (job: JobName, after: number) => Promise<number | null>;
}

/** That an admin's sink was told of a subject, and by which job's pass. */
export interface Told {
  readonly sink: string;
  readonly subject: string;
  readonly job: string;
  readonly at: number;
}

/** An alert that not every sink of the admins has taken yet, in words of the instant it was emitted. */
export interface OwedAlert {
  /** Two of one subject are one: the later. */
  readonly subject: string;
  readonly at: number;
  /** The event as its line in the event file. */
  readonly line: string;
  /** Printable. */
  readonly sentence: string;
}

/** What is remembered of notices to admins. Durable when a method returns; every method may throw LedgerError. */
export interface NoticeLedger {
  told(): readonly Told[];
  /** Replaces what was known of the same sink and subject. */
  recordTold(told: readonly Told[]): void;
  forgetTold(told: readonly Pick<Told, 'sink' | 'subject'>[]): void;
  /** Oldest first. */
  owed(): readonly OwedAlert[];
  /** In place of what was owed of the same subject. Of very many the oldest are given up. */
  recordOwed(alert: OwedAlert): void;
  forgetOwed(subjects: readonly string[]): void;
}

/** What users without root may read of a pass. Throws what the file system says; the pass goes on without. */
export interface UserExports {
  /** Plain JSON for everybody. */
  writePublic(value: object): void;
  /** Plain JSON for each user alone; what was written for others before is removed. */
  writeWhys(byUid: ReadonlyMap<number, object>): void;
}

/** A user's wish to keep a container from the idle stop, as he dropped it. Whether it is his container is still to be asked. */
export interface KeepRequest {
  /** Owner of the file that holds it. */
  readonly uid: number;
  /** A container's name or the start of its id. */
  readonly container: string;
  readonly forMs: number;
}

export interface KeepRefusal {
  readonly uid: number;
  readonly why: string;
}

/** The wishes that users dropped since the last pass. */
export interface KeepRequests {
  /** Takes them out of the folder, good and bad. Throws what the file system says about the folder itself. */
  take(): { readonly requests: readonly KeepRequest[]; readonly refused: readonly KeepRefusal[] };
}
