import { type JobEnd, startJob } from '../../act/schedule/job.ts';
import { loadConfig } from '../../config/load.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { isoTime } from '../../model/time.ts';
import type { JobName } from '../../model/schedule.ts';
import { createDaemon, type DaemonParts, type Skipped, type StartedJob } from '../../schedule/daemon.ts';
import { PASS_DEADLINE_MS } from '../../schedule/jobs.ts';
import { slotsOf } from '../../schedule/slots.ts';
import { openSink } from '../event-sink.ts';
import type { Globals } from '../globals.ts';
import type { Command } from '../run.ts';

/** A pass may wait 90 s for a sample, and ends by itself at its deadline; this is for one that hangs. A sample must be gone before the next pass is due. */
const LIMITS = {
  pass: { deadlineMs: PASS_DEADLINE_MS + 3 * 60_000, graceMs: 6 * 60_000 },
  sample: { deadlineMs: 150_000, graceMs: 20_000 },
} as const;
/** setTimeout takes no more than 24.8 days; a day is a round number below it. */
const LONGEST_SLEEP_MS = 24 * 3_600_000;
const NOTIFY = { deadlineMs: 5000, graceMs: 500 } as const;
const CHECK = { deadlineMs: 60_000, graceMs: 1000 } as const;

/** `gpuctl daemon`: the schedule in one process, until SIGTERM or SIGINT; SIGHUP reads the configuration anew. */
export const daemonCommand: Command = async (first, globals) => {
  if (process.geteuid?.() !== 0) throw new GpuctlError('the daemon runs as root', { code: 'usage', exitCode: ExitCode.usage });
  if (!(await isSound(globals))) return ExitCode.usage;
  let loaded = first;
  const parts = partsFor(() => loaded, globals);
  const daemon = createDaemon(slotsOf(first.config.schedule), parts);
  const stop = (): void => { daemon.stop(); void notify('STOPPING=1'); };
  const reload = async (): Promise<void> => {
    const next = await readAnew(globals);
    if (next === null) return;
    loaded = next;
    daemon.reload(slotsOf(next.config.schedule));
    say(globals, 'the configuration was read anew');
  };
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', () => void reload());
  await notify('--ready');
  await daemon.run();
  return ExitCode.ok;
};

function partsFor(loaded: () => LoadedConfig, globals: Globals): DaemonParts {
  return {
    now: () => Date.now(),
    sleepUntil,
    start: (job) => start(job, loaded(), globals),
    skipped: (skip) => { tellSkipped(skip, loaded(), globals); },
  };
}

async function sleepUntil(at: number, woken: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.min(Math.max(at - Date.now(), 1), LONGEST_SLEEP_MS));
  await Promise.race([promise, woken]);
  clearTimeout(timer);
}

function configOf({ config }: Globals): readonly string[] {
  return config === undefined ? [] : ['--config', config];
}

/** The program that runs now, whether it is a script under Node.js or a single executable. */
function ownProgram(): readonly [file: string, ...args: readonly string[]] {
  const [, script] = process.argv;
  return script === undefined || script === process.execPath ? [process.execPath] : [process.execPath, ...process.execArgv, script];
}

function start(job: JobName, loaded: LoadedConfig, globals: Globals): StartedJob {
  const [file, ...own] = ownProgram();
  const passed = [...configOf(globals), ...(globals.events === true ? ['--events'] : ['--quiet'])];
  const running = startJob({ file, args: [...own, job, '--scheduled', ...passed], ...(job === 'sample' ? LIMITS.sample : LIMITS.pass) });
  return { done: running.done.then((end) => { tellEnd(job, end, loaded, globals); }), end: running.end };
}

/** A job tells of itself, unless it could not begin or had to be ended. */
function tellEnd(job: JobName, { exitCode, ended, problem }: JobEnd, loaded: LoadedConfig, globals: Globals): void {
  if (problem === null && ended === null) return;
  const message = problem === null ? `${job} did not end by its deadline; it was sent ${ended ?? ''}` : `${job} could not be started: ${problem}`;
  tell({ job, message, reason: problem === null ? 'overdue' : 'not-started', level: 'error', facts: { exit: exitCode } }, loaded, globals);
}

function tellSkipped({ job, at, why, running }: Skipped, loaded: LoadedConfig, globals: Globals): void {
  const when = isoTime(at);
  const message = why === 'busy' ? `${job} of ${when} was skipped: ${running ?? 'a job'} still runs` : `${job} of ${when} was missed, as was all that was due since: the host slept or its clock was changed; nothing is caught up`;
  tell({ job, message, reason: why === 'busy' ? 'still-busy' : 'missed', level: 'warn', facts: { slot: when } }, loaded, globals);
}

interface Told {
  readonly job: JobName;
  readonly message: string;
  readonly reason: string;
  readonly level: 'warn' | 'error';
  readonly facts: Readonly<Record<string, unknown>>;
}

function tell({ job, message, reason, level, facts }: Told, loaded: LoadedConfig, globals: Globals): void {
  const sink = openSink(loaded, globals, job);
  sink.emit({ action: 'pass.refused', message, reason, level, alert: level === 'error', facts });
  sink.close();
  say(globals, message);
}

function say(globals: Globals, message: string): void {
  if (globals.quiet !== true && globals.events !== true) process.stderr.write(`gpuctl: ${message}\n`);
}

/**
 * Has the configuration no mistakes, and does its schedule not collide? The check tells what is wrong by itself. It runs as a
 * process of its own, since going through the whole calendar leaves more memory behind than the daemon needs.
 */
async function isSound(globals: Globals): Promise<boolean> {
  const [file, ...own] = ownProgram();
  const { exitCode, problem } = await startJob({ file, args: [...own, 'config', 'check', '--quiet', ...configOf(globals), ...(globals.events === true ? ['--events'] : [])], ...CHECK }).done;
  if (problem !== null) process.stderr.write(`gpuctl: the configuration could not be checked: ${problem}\n`);
  return exitCode === ExitCode.ok || exitCode === ExitCode.findings;
}

/** Null: it is refused, which is told, and the one before stays. */
async function readAnew(globals: Globals): Promise<LoadedConfig | null> {
  try {
    if (await isSound(globals)) return await loadConfig(globals.config === undefined ? {} : { file: globals.config });
  } catch (error) {
    // It was sound a moment ago, and somebody is still writing it.
    if (!(error instanceof GpuctlError)) throw error;
    process.stderr.write(`gpuctl: ${error.message}\n`);
  }
  process.stderr.write('gpuctl: the configuration before it stays\n');
  return null;
}

/** Tells systemd, where it asked to be told: Node.js has no datagram sockets of its own. */
async function notify(message: '--ready' | 'STOPPING=1'): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] !== undefined) await startJob({ file: 'systemd-notify', args: [message], ...NOTIFY }).done;
}
