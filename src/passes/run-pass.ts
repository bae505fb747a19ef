import { decideVerdict, decisionFindings, leftAfterResets, observationFindings } from '../decide/findings.ts';
import { unexplainedMiB } from '../decide/dirt.ts';
import { decideWaste, wasteSince } from '../decide/waste.ts';
import type { Finding } from '../model/finding.ts';
import { known } from '../model/reading.ts';
import { isSelected, newPass, type Pass, type PassOptions, type PassParts } from './pass.ts';
import { exitCodeFor, reportOf, type PassReport } from './report.ts';
import { settleConditions } from './conditions-step.ts';
import { shareMetrics } from './metrics-step.ts';
import { willAct } from './carry-out.ts';
import { shareWithUsers } from './user-exports.ts';
import { rememberHealth } from './remember-health.ts';
import { recoverResets } from './recover-resets.ts';
import { recoverPasses } from './recover-passes.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';

/**
 * The frame around every pass: the ledger proves that it can be written before anything is done, what an earlier pass
 * left in flight is told, the story runs, and its end is told and remembered.
 */
export async function runPass(parts: PassParts, options: PassOptions, story: (pass: Pass) => Promise<void>): Promise<PassReport> {
  const pass = newPass(parts, options);
  try {
    return await runWhole(pass, story);
  } catch (error) {
    tellError(pass, error);
    throw error;
  }
}

async function runWhole(pass: Pass, story: (pass: Pass) => Promise<void>): Promise<PassReport> {
  const { parts, options } = pass;
  openPass(pass);
  await recoverResets(pass);
  await story(pass);
  const findings = findingsOf(pass);
  const exit = exitCodeFor(pass, options.dryRun && options.acts ? leftAfterResets(findings, pass.decisions) : findings);
  rememberMemory(pass);
  rememberHealth(pass);
  healthEvents(pass, findings);
  settleConditions(pass, findings);
  if (options.records) parts.ledger.endPass(pass.id, parts.clock.now(), exit);
  const report = reportOf(pass, findings, exit);
  if (options.records) await shareWithUsers(pass, report);
  if (options.records) shareMetrics(pass);
  tellEnd(pass, { exit, findings, message: `${options.job} ended with exit code ${exit}` });
  return report;
}

function tellEnd(pass: Pass, { exit, findings, message }: { readonly exit: number; readonly findings: readonly Finding[]; readonly message: string }): void {
  const { parts, options } = pass;
  parts.sink.emit({
    action: 'pass.ended', message,
    outcome: exit === 0 || exit === 1 ? 'success' : 'failure',
    facts: { exit, duration_ms: Math.round(parts.clock.monotonicMs() - pass.startedMonotonicMs), counts: countsOf(pass, findings) },
  });
  if (!options.records) return;
  try {
    if (exit === ExitCode.usage) parts.ledger.endPass(pass.id, parts.clock.now(), exit);
    parts.ledger.markPassesTold?.([pass.id]);
  } catch (error) {
    // It is told all the same: the worst of it is that the next pass says so once more.
    if (!(error instanceof GpuctlError)) throw error;
  }
}

/**
 * Whoever collects the events sees that the pass is over, and how. Its end stays unwritten in the ledger, which then checks
 * itself wholly when it is opened next; unless it was only asked for what cannot be, which says nothing of the ledger.
 */
function tellError(pass: Pass, error: unknown): void {
  const ours = error instanceof GpuctlError;
  const exit = ours ? error.exitCode : ExitCode.bug;
  tellEnd(pass, { exit, findings: [], message: `${pass.options.job} was ended by ${ours ? 'an error' : 'a bug'}: ${error instanceof Error ? error.message : String(error)}` });
}

/** The ledger knows of the pass before the events do, so that a pass that is killed here is found by the next one. */
function openPass(pass: Pass): void {
  const { parts: { ledger, sink }, options, id, startedAt } = pass;
  try {
    if (options.records) ledger.beginPass({ id, job: options.job, startedAt });
  } finally {
    sink.emit({ action: 'pass.started', message: `${options.job} began` });
  }
  if (ledger.setAside !== null) sink.emit({ action: 'ledger.rebuilt', message: `the ledger was corrupt; it was set aside as ${ledger.setAside} and begun anew`, facts: { set_aside: ledger.setAside } });
  if (options.records) recoverPasses(pass);
}

function findingsOf(pass: Pass): readonly Finding[] {
  if (pass.latest === null) return [];
  const { limits, clock } = pass.parts;
  const wasted = limits === undefined ? [] : decideWaste({ uses: limits.ledger.deviceUse(wasteSince(clock.now())), allocations: pass.latest.history.allocations, now: clock.now() });
  const decided = decisionFindings({ decisions: pass.decisions, outcomes: pass.outcomes, trips: pass.trips, acts: pass.options.acts });
  return [...observationFindings(pass.latest, pass.parts.policy), ...wasted, ...decided].filter(({ id, subject }) => (subject.gpu === undefined || isSelected(pass, subject.gpu)) && pass.parts.policy.health?.disabled.has(id) !== true);
}

/** Memory that nobody explains, as the first look saw it: what later passes judge dirt by. */
function rememberMemory({ first, options, parts }: Pass): void {
  if (first === null || !options.records) return;
  const samples = first.gpus.flatMap((gpu) => {
    const unexplained = unexplainedMiB(gpu, first.history);
    const usedMiB = known(gpu.usedMiB);
    return unexplained === null || usedMiB === null ? [] : [{ gpuUuid: gpu.uuid, at: first.snapshot.takenAt, usedMiB, unexplainedMiB: unexplained }];
  });
  parts.ledger.recordMemory(samples);
}

function healthEvents(pass: Pass, findings: readonly Finding[]): void {
  // Only these two judge every device.
  if (pass.options.job !== 'health-check' && pass.options.job !== 'release-stale') return;
  for (const gpu of (pass.latest?.gpus ?? []).filter((each) => isSelected(pass, each.uuid))) {
    const mine = findings.filter((finding) => finding.subject.gpu === gpu.uuid);
    const verdict = decideVerdict(gpu.uuid, gpu.processes.state === 'known', findings);
    pass.parts.sink.emit({
      action: 'gpu.health_check',
      message: `GPU ${gpu.index ?? gpu.uuid} is ${verdict}`,
      gpu: { uuid: gpu.uuid, index: gpu.index, busId: gpu.pciBusId, verdict },
      facts: { findings: mine.map(({ id, severity, message }) => ({ id, severity, message })) },
      ...(verdict === 'faulty' ? { level: 'error' as const, alert: true } : {}),
    });
  }
}

function countsOf(pass: Pass, findings: readonly Finding[]): Readonly<Record<string, number>> {
  const count = (verb: string): number => pass.outcomes.filter((outcome) => outcome.result === 'done' && pass.decisions[outcome.decision]?.verb === verb).length;
  return {
    released: count('release'), ended: count('kill'), reset: count('reset'), warned: count('warn'), stopped: count('stop'), removed: count('remove'),
    refused: pass.outcomes.filter((outcome) => outcome.result === 'refused').length,
    failed: pass.outcomes.filter((outcome) => outcome.result === 'failed').length,
    planned: willAct(pass) ? 0 : pass.decisions.filter((decision) => decision.verdict === 'act').length,
    findings: findings.length,
  };
}
