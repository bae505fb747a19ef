import { exitCodeOf } from '../decide/exit-code.ts';
import { decideVerdict } from '../decide/findings.ts';
import { type CheckResult, decideChecks } from '../decide/health.ts';
import { defaultHealthRules, healthFactsOf, type HealthRules } from '../decide/health/facts.ts';
import type { Claim } from '../model/claim.ts';
import type { Decision, Outcome } from '../model/decision.ts';
import type { Gpu } from '../model/device.ts';
import type { ExitCode } from '../model/errors.ts';
import type { DeviceVerdict } from '../model/event.ts';
import type { Finding } from '../model/finding.ts';
import { type NumericReading, numericReadings } from '../model/health.ts';
import { seen } from '../model/observation.ts';
import { known } from '../model/reading.ts';
import { isoTime } from '../model/time.ts';
import type { Assessment, Policy } from '../decide/assess.ts';
import type { OpenCondition } from './conditions-step.ts';
import { judgedIn } from './judged-device.ts';
import { isSelected, type Job, type Pass } from './pass.ts';

type SourceState = 'complete' | 'partial' | 'failed';

/** What `--json` prints of a pass: a contract. Keys are added, never renamed. */
export interface PassReport {
  readonly schema: 1;
  readonly pass: string;
  readonly job: Job;
  readonly host: string;
  readonly dry_run: boolean;
  readonly started_at: string;
  readonly ended_at: string;
  /** Given: nothing of this is about the host as it is, but as it was captured then. */
  readonly replay?: { readonly at: string; readonly scrubbed: boolean; readonly gpuctl: string };
  readonly exit: ExitCode;
  readonly observed: { readonly nvidia_smi: SourceState; readonly engine: SourceState; readonly processes: SourceState; readonly kernel_log?: SourceState };
  readonly devices: readonly DeviceReport[];
  readonly decisions: readonly Decision[];
  readonly outcomes: readonly Outcome[];
  readonly findings: readonly Finding[];
  /** Open ones, after a pass that records; as the ledger has them otherwise. Null: not known. */
  readonly conditions: readonly ConditionReport[] | null;
}

/** A finding that lasts. `this_run`: whether this run saw it too, would have seen it and did not (`gone`), or could not have seen it. */
export interface ConditionReport {
  readonly id: string;
  readonly subject: Finding['subject'];
  readonly severity: Finding['severity'];
  readonly message: string;
  readonly remedy: string;
  readonly first_seen_at: string;
  readonly last_seen_at: string;
  readonly this_run: OpenCondition['thisRun'];
}

export interface DeviceReport {
  readonly uuid: string;
  readonly index: number | null;
  readonly bus_id: string;
  readonly name: string;
  readonly verdict: DeviceVerdict;
  /** Null: MIG is off or not supported. */
  readonly mig: readonly { readonly uuid: string | null; readonly index: number; readonly profile: string | null }[] | null;
  readonly used_mib: number | null;
  readonly total_mib: number | null;
  readonly utilization_percent: number | null;
  readonly claims: readonly ClaimReport[];
  /** Null: the list is not known, which is not the same as empty. */
  readonly processes: readonly ProcessReport[] | null;
  readonly findings: readonly Finding[];
  /** Every check of the device's own readings and what it said, in the report of a health check and in an explanation alone. */
  readonly checks?: readonly CheckReport[];
  /** Every number that the driver gave for it, likewise; a reading without a value is left out, and never 0. */
  readonly readings?: readonly NumericReading[];
}

/** `unsupported`, `unknown`, `learning`, `not-now` and `off` are neither healthy nor faulty; `why` says more where there is more to say. */
export interface CheckReport {
  readonly id: string;
  readonly state: CheckResult['verdict']['state'];
  readonly why?: string;
}

export interface ClaimReport {
  readonly container: { readonly id: string; readonly name: string; readonly state: string };
  readonly source: Claim['source'];
  readonly reference: string;
  readonly mig: string | null;
  readonly owner: string | null;
  readonly released: boolean;
}

export interface ProcessReport {
  readonly pid: number;
  readonly name: string;
  readonly type: string;
  readonly used_mib: number | null;
  readonly owner: string;
  readonly container: string | null;
}

export function reportOf(pass: Pass, findings: readonly Finding[], exit: ExitCode): PassReport {
  const { parts, options, latest } = pass;
  return {
    schema: 1, pass: pass.id, job: options.job, host: parts.host, dry_run: options.dryRun,
    started_at: isoTime(pass.startedAt), ended_at: isoTime(parts.clock.now()), exit,
    observed: {
      nvidia_smi: latest?.snapshot.driver.state ?? 'failed',
      engine: latest?.snapshot.engine.state ?? 'failed',
      processes: latest?.snapshot.processes.state ?? 'failed',
      ...(latest?.snapshot.kernelLog === undefined ? {} : { kernel_log: latest.snapshot.kernelLog.state }),
    },
    devices: latest === null ? [] : latest.gpus.filter((gpu) => isSelected(pass, gpu.uuid)).map((gpu) => ({ ...judgedIn(deviceReport(gpu, latest, findings, parts.ownerOf), latest, pass), ...(options.job === 'health-check' ? healthReport(gpu, latest, parts.policy) : {}) })),
    decisions: pass.decisions, outcomes: pass.outcomes, findings,
    // A run that was asked about some devices says nothing of the others.
    conditions: pass.conditions?.filter(({ condition: { subject } }) => subject.gpu === undefined || isSelected(pass, subject.gpu)).map(conditionReport) ?? null,
  };
}

function conditionReport({ condition, thisRun }: OpenCondition): ConditionReport {
  const { id, subject, severity, message, remedy, firstSeenAt, lastSeenAt } = condition;
  return { id, subject, severity, message, remedy, first_seen_at: isoTime(firstSeenAt), last_seen_at: isoTime(lastSeenAt), this_run: thisRun };
}

/** What a health check and an explanation tell of one device besides. */
export function healthReport(gpu: Gpu, assessment: Assessment, { health = defaultHealthRules }: Pick<Policy, 'health'>): Required<Pick<DeviceReport, 'checks' | 'readings'>> {
  return { checks: checkReports(gpu, assessment, health), readings: numericReadings(gpu) };
}

function checkReports(gpu: Gpu, assessment: Assessment, rules: HealthRules): readonly CheckReport[] {
  return decideChecks(healthFactsOf(gpu, assessment, rules)).map(({ check, verdict }) => ({ id: check.id, state: verdict.state, ...('why' in verdict ? { why: verdict.why } : {}) }));
}

function deviceReport(gpu: Gpu, { claims, ownership, snapshot }: Assessment, findings: readonly Finding[], ownerOf: Pass['parts']['ownerOf']): DeviceReport {
  const containers = new Map((seen(snapshot.engine)?.containers ?? []).map((container) => [container.id, container]));
  const owner = (id: string): string | null => { const container = containers.get(id); return container === undefined ? null : ownerOf(container); };
  return {
    uuid: gpu.uuid, index: gpu.index, bus_id: gpu.pciBusId, name: gpu.name,
    verdict: decideVerdict(gpu.uuid, gpu.processes.state === 'known', findings),
    mig: known(gpu.migCurrent) === true ? gpu.migDevices.map(({ uuid, index, profile }) => ({ uuid, index, profile })) : null,
    used_mib: known(gpu.usedMiB), total_mib: known(gpu.totalMiB), utilization_percent: known(gpu.utilizationPercent),
    claims: claims.claims.filter((claim) => claim.gpuUuid === gpu.uuid).map((claim) => ({
      container: { id: claim.containerId, name: claim.containerName, state: claim.containerState },
      source: claim.source, reference: claim.reference, mig: claim.migUuid, owner: owner(claim.containerId), released: claim.released,
    })),
    processes: gpu.processes.state === 'unknown' ? null : gpu.processes.processes.map((row) => {
      const whose = ownership.get(row.pid);
      return { pid: row.pid, name: row.name, type: row.type, used_mib: row.usedMiB, owner: whose?.kind ?? 'unknown', container: whose !== undefined && 'containerId' in whose ? whose.containerId : null };
    }),
    findings: findings.filter((finding) => finding.subject.gpu === gpu.uuid),
  };
}

/** The exit code of a pass with these findings. Findings for information alone need nobody. */
export function exitCodeFor({ latest, outcomes }: Pick<Pass, 'latest' | 'outcomes'>, findings: readonly Finding[]): ExitCode {
  return exitCodeOf({
    observationFailed: latest === null || notObserved(latest),
    actFailed: outcomes.some((outcome) => outcome.result === 'failed' || outcome.result === 'refused'),
    findings: findings.some((finding) => finding.severity !== 'info'),
  });
}

/** A source that is needed failed, or of no device it is known who is on it. */
function notObserved({ snapshot, gpus }: Assessment): boolean {
  const failedSource = [snapshot.driver, snapshot.engine, snapshot.processes].some((source) => source.state === 'failed');
  return failedSource || gpus.every((gpu) => gpu.processes.state === 'unknown');
}
