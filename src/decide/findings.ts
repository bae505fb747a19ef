import { isAnyTrue } from '../config/owner.ts';
import { isLive } from '../model/container.ts';
import { type Blocker, type Decision, type Outcome, type ProcessTarget } from '../model/decision.ts';
import type { DeviceVerdict } from '../model/event.ts';
import type { Finding, Severity } from '../model/finding.ts';
import { type Gap, type Observed, seen } from '../model/observation.ts';
import { type ReasonCode, REASONS } from '../model/reason.ts';
import type { Assessment, Policy } from './assess.ts';
import type { Trip } from './breaker.ts';
import { clockFindings } from './clock.ts';
import { type Conflict, decideConflicts } from './conflicts.ts';
import { decideHealth } from './health.ts';
import { defaultHealthRules, healthFactsOf } from './health/facts.ts';
import { heldUpRemedy } from './held-up.ts';
import { containerFindings } from './limit-findings.ts';
import { lostFindings } from './lost.ts';
import { blockersIn } from './reset.ts';
import { xidFindings } from './xid.ts';
import { resetStateFindings } from './reset-findings.ts';

/** Findings of what was observed, before anything was decided: sources, boards, conflicts, references to nothing. */
export function observationFindings(assessment: Assessment, policy: Policy): readonly Finding[] {
  const { snapshot, history, gpus, claims } = assessment;
  return [
    ...sourceFindings('nvidia-smi', snapshot.driver, 'try nvidia-smi -q -x by hand; nothing is done to what was not seen'),
    ...sourceFindings('engine', snapshot.engine, 'try docker ps by hand; nothing is released, ended or reset without the engine', ({ subject }) => heldUpRemedy(snapshot.engine, subject)),
    ...sourceFindings('processes', snapshot.processes, 'run as root'),
    ...lostFindings(snapshot, history),
    ...xidFindings({ snapshot, history, gpus }),
    ...clockFindings(history),
    ...gpus.flatMap((gpu) => decideHealth(healthFactsOf(gpu, { snapshot, history, claims }, policy.health ?? defaultHealthRules))),
    ...resetStateFindings(history, snapshot.takenAt),
    ...conflictsIn(assessment, policy).map((conflict): Finding => ({
      id: 'gpu.allocation.conflict',
      severity: 'warning',
      subject: { gpu: conflict.gpuUuid, ...(conflict.migUuid === null ? {} : { mig: conflict.migUuid }) },
      message: conflictMessage(conflict),
      remedy: 'stop all but one, or list a monitoring container under infrastructure',
    })),
    ...unlistedInfrastructure(assessment, policy),
    // Of a device that nvidia-smi may have left out it is not known that it is not there.
    ...(snapshot.driver.state === 'complete' ? claims.unresolved : []).map((claim): Finding => ({
      id: 'claim.unresolved', severity: 'info', subject: { container: claim.containerId },
      message: `container ${claim.containerName} refers by ${claim.source} to ${JSON.stringify(claim.reference)}, which is no device of this host`, remedy: 'correct the reference, or ignore it',
    })),
  ];
}

/** Whose claims meet, in one sentence. */
export function conflictMessage({ containers }: Conflict): string {
  return `${containers.length} live containers claim one device: ${containers.map((each) => each.name).join(', ')}`;
}

/** Anybody may set such a label and it counts for nothing; that somebody did is told all the same. */
function unlistedInfrastructure({ snapshot }: Assessment, { infrastructureLabels = [], rulesOf }: Policy): readonly Finding[] {
  return (seen(snapshot.engine)?.containers ?? []).filter((each) => each.inspected && isLive(each.state) && isAnyTrue(each, infrastructureLabels) && !rulesOf(each).infrastructure).map(({ id, name }) => ({
    id: 'container.infrastructure.unlisted', severity: 'info', subject: { container: id },
    message: `container ${name} says by a label that it is part of the host, which has no effect: the configuration does not list it`, remedy: 'list its name or image under infrastructure, or ignore it',
  }));
}

/**
 * Devices that several live containers claim, infrastructure left out. What a container's labels make of it is worked out
 * only for those that stand in a conflict: its rules cost more than all the rest.
 */
export function conflictsIn({ snapshot, gpus, claims: { claims } }: Assessment, policy: Policy): readonly Conflict[] {
  const contested = new Set(decideConflicts(gpus, claims).flatMap(({ containers }) => containers.map(({ id }) => id)));
  if (contested.size === 0) return [];
  const infrastructure = new Set((seen(snapshot.engine)?.containers ?? []).filter((each) => each.inspected && contested.has(each.id) && policy.rulesOf(each).infrastructure).map(({ id }) => id));
  return decideConflicts(gpus, claims.filter(({ containerId }) => !infrastructure.has(containerId)));
}

function sourceFindings(name: string, source: Observed<unknown>, remedy: string, ofGap: (gap: Gap) => string | null = () => null): readonly Finding[] {
  if (source.state === 'complete') return [];
  if (source.state === 'failed') return [{ id: `source.${name}.failed`, severity: 'critical', subject: {}, message: `${name}: ${source.why}`, remedy }];
  return source.missing.map((gap) => ({ id: `source.${name}.partial`, severity: 'warning', subject: subjectOf(gap), message: `${name}: ${gap.subject}: ${gap.why}`, remedy: ofGap(gap) ?? remedy }));
}

function subjectOf(gap: Gap): Finding['subject'] {
  if (gap.subject.startsWith('GPU-')) return { gpu: gap.subject };
  return /^[0-9a-f]{64}$/.test(gap.subject) ? { container: gap.subject } : {};
}

/** How each process decision is told; reasons that are not here are nothing to tell. */
const PROCESS_FINDINGS: Readonly<Partial<Record<ReasonCode, readonly [id: string, Severity, remedy: string]>>> = {
  'orphan-container-gone': ['gpu.orphan', 'warning', 'gpuctl release-stale or health-check --repair ends it'],
  'orphan-container-stopped': ['gpu.orphan', 'warning', 'gpuctl release-stale or health-check --repair ends it'],
  'over-budget': ['gpu.orphan', 'warning', 'look at the plan, then run by hand with --over-budget'],
  'not-confirmed': ['gpu.orphan.unconfirmed', 'info', 'the next pass looks again'],
  'looks-differ': ['gpu.orphan.unconfirmed', 'info', 'the next pass looks again'],
  'mps-client': ['gpu.mps_client', 'warning', 'restart the MPS server when its other clients are done'],
  'foreign-shim-alive': ['process.foreign', 'warning', 'it belongs to another engine: look there'],
  'foreign-engine-changed': ['process.foreign', 'warning', 'point engine.host at the engine that the ledger knows'],
  'foreign-pid-namespace': ['process.foreign', 'warning', 'it belongs to another engine: look there'],
  'foreign-podman': ['process.foreign', 'warning', 'look at it with podman'],
  'host-stray': ['process.stray', 'warning', 'permit its user or unit under orphans.permit, or ask its owner'],
  'ghost': ['gpu.ghost', 'warning', 'a reset clears it once nothing refers to the device'],
  'stuck': ['process.stuck', 'critical', 'kill -9 it, which ends one that only waits for its own child; if it stays, reboot the host'],
  'zombie': ['process.zombie', 'warning', 'end or restart its parent process'],
  'engine-unknown': ['process.unknown', 'warning', 'make the engine answer'],
  'proc-unknown': ['process.unknown', 'warning', 'run as root, where /proc hides nothing'],
  'process-unreadable': ['process.unknown', 'warning', 'run as root, where /proc hides nothing'],
};

export interface Decided {
  readonly decisions: readonly Decision[];
  readonly outcomes: readonly Outcome[];
  readonly trips: readonly Trip[];
  /** True: decisions to act are carried out (or, in a dry run, taken as carried out). False: a report. */
  readonly acts: boolean;
}

/** Findings of what was decided: an act that was done is none, an act that failed or that nobody does is one. */
export function decisionFindings({ decisions, outcomes, trips, acts }: Decided): readonly Finding[] {
  const settled = (index: number): boolean => {
    const outcome = outcomes.find((each) => each.decision === index);
    return acts && (outcome === undefined || outcome.result === 'done' || outcome.result === 'already-gone');
  };
  const reset = new Set(outcomes.flatMap(({ decision, result }) => (result === 'done' ? resetDevice(decisions[decision]) : [])));
  return [
    ...decisions.flatMap((decision, index) => ((decision.verdict === 'act' && settled(index)) || isCleared(decision, reset) ? [] : findingOf(decision, outcomes.find((each) => each.decision === index)))),
    ...trips.map((trip): Finding => ({ id: 'breaker.tripped', severity: 'critical', subject: {}, message: `this pass wanted ${trip.wanted} acts of the kind ${trip.verb}, ${trip.allowed} are allowed: none was done`, remedy: 'look at the plan, then run by hand with --over-budget' })),
  ];
}

function resetDevice(decision: Decision | undefined): readonly string[] {
  return decision?.verb === 'reset' && decision.target.kind === 'gpu' ? [decision.target.uuid] : [];
}

/** A reset takes the ghosts of its device away. */
function isCleared({ reason, target }: Decision, reset: ReadonlySet<string>): boolean {
  return reason === 'ghost' && target.kind === 'process' && target.gpuUuids.every((uuid) => reset.has(uuid));
}

function findingOf(decision: Decision, outcome: Outcome | undefined): readonly Finding[] {
  const { target } = decision;
  if (target.kind === 'container') return containerFindings(decision, outcome);
  if (target.kind === 'process') return processFinding(target, decision.reason);
  return target.kind === 'gpu' ? resetFindings(decision, target.uuid, outcome) : [];
}

function processFinding(target: ProcessTarget, reason: ReasonCode): readonly Finding[] {
  const told = PROCESS_FINDINGS[reason];
  if (told === undefined) return [];
  const [id, severity, remedy] = told;
  const [gpu] = target.gpuUuids;
  return [{ id, severity, subject: { pid: target.pid, ...(gpu === undefined ? {} : { gpu }), ...(target.containerId === null ? {} : { container: target.containerId }) }, message: `process ${target.pid} (${JSON.stringify(target.name)}): ${REASONS[reason]}`, remedy }];
}

/** A dirty device that may not be reset: because of MIG, because it is shared, or because of something else. */
function resetFindings(decision: Decision, gpu: string, outcome: Outcome | undefined): readonly Finding[] {
  if (decision.verdict === 'leave' && decision.reason === 'not-yet-confirmed') {
    return [{ id: 'gpu.memory.unexplained', severity: 'info', subject: { gpu }, message: `${String(decision.evidence['unexplainedMiB'])} MiB are in use that no process explains`, remedy: 'if it lasts, the device is reset when nothing refers to it' }];
  }
  if (decision.verdict === 'leave') return [];
  const blockers = blockersIn(decision).filter((blocker) => blocker.hard);
  const want = decision.evidence['want'];
  const why = typeof want === 'string' && want in REASONS ? REASONS[want as ReasonCode] : REASONS[decision.reason];
  const told = outcome?.detail ?? (blockers.length === 0 ? REASONS[decision.reason] : blockers.map((blocker) => blocker.what).join('; '));
  // The device is as it was: that an admin asked for more is nothing to raise a condition for.
  if (want === 'asked-by-hand') return [{ id: 'reset.blocked', severity: 'warning', subject: { gpu }, message: `the reset that was asked for was not done: ${told}`, remedy: blockers.map((blocker) => blocker.wayOut).join('; ') || 'gpuctl history tells more' }];
  const otherwise = decision.reason === 'policy-never' || decision.reason === 'policy-after-orphans' ? 'gpuctl reset does it by hand, whatever reset.policy says' : 'gpuctl release-stale or health-check --repair does it';
  return [{ id: withheldId(blockers), severity: 'warning', subject: { gpu }, message: `a reset is called for (${why}): ${told}`, remedy: blockers.map((blocker) => blocker.wayOut).join('; ') || otherwise }];
}

function withheldId(blockers: readonly Blocker[]): string {
  const kinds = new Set(blockers.map((blocker) => blocker.kind));
  if (kinds.has('mig-enabled')) return 'gpu.dirty.mig';
  return kinds.has('container-claim') ? 'gpu.dirty.shared' : 'gpu.dirty';
}

/** What a reset of its device takes away. */
const CLEARED_BY_RESET: ReadonlySet<string> = new Set(['gpu.recovery.reset', 'gpu.recovery.drain-and-reset', 'gpu.row_remap.pending', 'gpu.retired_pages.pending', 'gpu.ecc.tpc_repair_pending', 'gpu.ecc.uncorrectable', 'gpu.ecc.sram_uncorrectable', 'gpu.ghost_memory', 'gpu.ghost']);

/** The findings that are left once the planned resets are done: a dry run exits as if they were. */
export function leftAfterResets(findings: readonly Finding[], decisions: readonly Decision[]): readonly Finding[] {
  const planned = new Set(decisions.flatMap((decision) => (decision.verdict === 'act' ? resetDevice(decision) : [])));
  return findings.filter(({ id, subject }) => subject.gpu === undefined || !(CLEARED_BY_RESET.has(id) || /^gpu\.xid\.\d+$/.test(id)) || !planned.has(subject.gpu));
}

/** One word for one device. *Unknown* wins over everything but a fault: it is never *clean*. */
export function decideVerdict(gpuUuid: string, processesKnown: boolean, findings: readonly Finding[]): DeviceVerdict {
  const mine = findings.filter((finding) => finding.subject.gpu === gpuUuid);
  if (mine.some((finding) => finding.severity === 'critical')) return 'faulty';
  if (!processesKnown || mine.some((finding) => finding.id === 'process.unknown')) return 'unknown';
  if (mine.some((finding) => finding.id === 'gpu.orphan')) return 'orphans';
  return mine.some((finding) => finding.id.startsWith('gpu.dirty') || finding.id === 'gpu.ghost') ? 'dirty' : 'clean';
}
