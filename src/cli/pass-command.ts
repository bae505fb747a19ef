import type { LoadedConfig } from '../config/types.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { Finding } from '../model/finding.ts';
import { isoTime } from '../model/time.ts';
import type { Job, Pass, PassOptions } from '../passes/pass.ts';
import type { PassReport } from '../passes/report.ts';
import { runPass } from '../passes/run-pass.ts';
import { createLock, type LockOptions } from '../record/lock.ts';
import { ask } from './ask.ts';
import { compose, type Composed, type Composition } from './compose.ts';
import type { Globals } from './globals.ts';
import { newPassId } from './pass-id.ts';
import { renderChecks } from './render/checks.ts';
import { renderPass } from './render/pass.ts';
import { colours, renderJson } from './render/text.ts';
import { refuseSettling } from './settling.ts';
import { watchForStop } from './stop-request.ts';

/** A sample that hangs is ended by then: it has begun 3 minutes before a pass, and may take 2½ (`TimeoutStartSec`). */
const SAMPLE_PATIENCE_MS = 90_000;

/** One pass as a command runs it. */
export interface PassCommand {
  readonly job: Job;
  readonly story: (pass: Pass) => Promise<void>;
  /** False: a report, which changes nothing and needs no lock. */
  readonly acts: boolean;
  readonly records: boolean;
  /** References as typed; empty: every device. */
  readonly devices: readonly string[];
  /** False: nobody is asked, whatever the terminal (`sample`). */
  readonly asks: boolean;
}

/** Runs the command and gives its exit code; the report goes to stdout. */
export async function runPassCommand(command: PassCommand, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  if (globals.replay !== undefined) return replay(command, globals, globals.replay);
  refuseBlindBudget(globals);
  const settling = command.acts ? refuseSettling(command.job, loaded, globals) : null;
  if (settling !== null) return settling;
  if (globals.dryRun === true || !command.records) return present(await runOnce(command, loaded, globals), globals);
  if (needsYes(command, globals)) {
    const plan = await runOnce(command, loaded, { ...globals, dryRun: true });
    process.stderr.write(renderPass(plan, colours(globals, process.stderr)));
    const planned = plan.decisions.filter((decision) => decision.verdict === 'act' || decision.reason === 'over-budget' || decision.reason === 'conditional').length;
    if (planned > 0 && !(await ask(`Carry this out? Everything is observed and decided anew first.`))) {
      process.stderr.write('gpuctl: nothing was done\n');
      return ExitCode.ok;
    }
  }
  return runLocked(command, loaded, globals);
}

/** Lifting the budget is for an admin who has just seen the plan; a cron line must not do it. */
function refuseBlindBudget({ overBudget, dryRun }: Globals): void {
  if (overBudget !== true || dryRun === true || process.stdin.isTTY) return;
  throw new GpuctlError('--over-budget needs a terminal: the plan is shown and confirmed first', { code: 'usage', exitCode: ExitCode.usage, hint: 'run it by hand; --dry-run --over-budget shows the plan anywhere' });
}

function needsYes({ asks, acts }: PassCommand, { yes, overBudget, scheduled }: Globals): boolean {
  return asks && acts && scheduled !== true && process.stdin.isTTY === true && (yes !== true || overBudget === true);
}

async function runLocked(command: PassCommand, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const held = await createLock(lockFor(command, globals)).acquire();
  if (held === null) return refuseLocked(command, loaded, globals);
  const stop = watchForStop();
  const options = optionsFor(command, globals);
  let composed: Composed | null = null;
  try {
    composed = compose({ loaded, globals, options, stopping: stop.why });
    return await present(await runComposed(composed, { command, options, loaded }), globals);
  } finally {
    held.release();
    // Only now: a sink that does not answer must keep nobody waiting for the report or for the lock.
    if (composed !== null) await tellAdmins(composed);
    composed?.close();
    stop.settle();
  }
}

/** The schedule has a pass start soon after a sample. One that takes long must not cost an hour's pass; by hand, nobody waits. */
function lockFor({ job }: PassCommand, { scheduled }: Globals): LockOptions {
  return { as: job, ...(scheduled === true && job !== 'sample' ? { patience: { behind: 'sample', forMs: SAMPLE_PATIENCE_MS } } : {}) };
}

/** Of the pass's alerts, whether it ended well or not. What could not be delivered is an event itself. */
async function tellAdmins({ notifier, emitted, sink }: Composed): Promise<void> {
  for (const event of (await notifier?.notifyAdmin(emitted)) ?? []) sink.emit(event);
}

/** Another pass holds the lock: said on stderr and as an event, exit 75. */
function refuseLocked(command: PassCommand, loaded: LoadedConfig, globals: Globals): ExitCode {
  const composed = compose({ loaded, globals, options: { ...optionsFor(command, globals), records: false }, stopping: () => null });
  composed.sink.emit({ action: 'pass.refused', message: `${command.job} did not run: another pass holds the lock`, reason: 'locked' });
  composed.close();
  if (globals.quiet !== true) process.stderr.write('gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was done\n');
  return ExitCode.locked;
}

function optionsFor(command: PassCommand, globals: Globals): PassOptions {
  const dryRun = globals.dryRun === true;
  return { id: newPassId(), job: command.job, dryRun, acts: command.acts, records: command.records && !dryRun, overBudget: globals.overBudget === true, devices: command.devices };
}

/** The pass on a recorded host: no lock, no ledger, no events file, and nothing of this host is asked. */
async function replay(command: PassCommand, globals: Globals, path: string): Promise<ExitCode> {
  const { openReplay } = await import('./replay/open.ts');
  const { manifest, loaded, ...world } = await openReplay(path);
  try {
    const report = await runOnce(command, loaded, { ...globals, dryRun: true }, world);
    return await present({ ...report, replay: { at: isoTime(manifest.at), scrubbed: manifest.scrubbed, gpuctl: manifest.gpuctl } }, globals);
  } catch (error) {
    if (error instanceof GpuctlError) throw error;
    throw new GpuctlError(`${path} holds what no host answers: ${error instanceof Error ? error.message : String(error)}`, { code: 'bundle-bad', exitCode: ExitCode.usage, cause: error, hint: 'gpuctl capture FILE makes one' });
  }
}

async function runOnce(command: PassCommand, loaded: LoadedConfig, globals: Globals, world: Pick<Composition, 'seam' | 'clock'> = {}): Promise<PassReport> {
  const options = optionsFor(command, globals);
  const composed = compose({ loaded, globals, options, stopping: () => null, ...world });
  try {
    return await runComposed(composed, { command, options, loaded });
  } finally {
    composed.close();
  }
}

async function runComposed({ parts, sink }: Composed, { command, options, loaded }: { readonly command: PassCommand; readonly options: PassOptions; readonly loaded: LoadedConfig }): Promise<PassReport> {
  const report = await runPass(parts, options, command.story);
  return sink.failed() ? withoutEvents(report, loaded.config.events.file) : report;
}

/** The pass went on; that nobody was told is a finding. */
function withoutEvents(report: PassReport, file: string): PassReport {
  const finding: Finding = { id: 'events.unwritable', severity: 'warning', subject: {}, message: `events of this pass could not be written to ${file}`, remedy: 'make it a plain file that root may write, with space left' };
  return { ...report, exit: report.exit === ExitCode.ok ? ExitCode.findings : report.exit, findings: [...report.findings, finding] };
}

/** A pass that only reports, without printing anything. */
export function reportPass(command: PassCommand, loaded: LoadedConfig, globals: Globals): Promise<PassReport> {
  return runOnce(command, loaded, globals);
}

async function present(report: PassReport, globals: Globals): Promise<ExitCode> {
  if (globals.collect !== undefined) globals.collect(report);
  else if (globals.json === true) process.stdout.write(renderJson(report));
  else if (globals.quiet !== true && globals.events !== true) process.stdout.write(renderPass(report, colours(globals)) + (globals.verbose === true ? renderChecks(report) : ''));
  return report.exit;
}
