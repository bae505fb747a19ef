import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { limitPolicyOf } from '../../src/cli/limits.ts';
import { defaultConfig } from '../../src/config/defaults.ts';
import { emptyHistory } from '../../src/model/history.ts';
import type { JobName } from '../../src/model/schedule.ts';
import { checkIdle } from '../../src/passes/check-idle.ts';
import { cleanupContainers } from '../../src/passes/cleanup-containers.ts';
import { enforceRuntime } from '../../src/passes/enforce-runtime.ts';
import type { Pass, PassParts } from '../../src/passes/pass.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { sample } from '../../src/passes/sample.ts';
import { createEventSink, type OpenEventSink } from '../../src/record/event-sink.ts';
import { openLedger, type OpenLedger } from '../../src/record/ledger/open.ts';
import { createDaemon, type Skipped } from '../../src/schedule/daemon.ts';
import { slotsOf } from '../../src/schedule/slots.ts';
import { type EnduringWorld, enduringWorld } from './endurance-world.ts';
import { BOOT } from './host.ts';
import { benchOf, passOptions } from './ports.ts';

/*
 * Months of a host in minutes. Real: the passes and rules, the ledger's file, opened anew by each pass as its process
 * would, the event file, logrotate, and the daemon's loop or the shipped cron file. Simulated: the clock, and what the
 * engine, the driver and /proc say. All passes share this process.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const STAGES = 9;
const SHIPPED_CRON = join(import.meta.dirname, '..', '..', 'config', 'cron.d', 'gpuctl');
const SHIPPED_ROTATION = join(import.meta.dirname, '..', '..', 'tools', 'package', 'logrotate');
/** With a summer time that ends within three months of autumn. */
const ZONE = 'Europe/Berlin';
const STORIES: Readonly<Record<JobName, (pass: Pass) => Promise<void>>> = { 'release-stale': releaseStale, 'check-idle': checkIdle, 'enforce-runtime': enforceRuntime, 'cleanup-containers': cleanupContainers, sample };

export interface EnduranceOptions {
  readonly form: 'daemon' | 'cron';
  readonly days: number;
  /** An empty folder. */
  readonly dir: string;
  readonly rotateEveryMs: number;
  /** Told at the end of each ninth of the time. */
  readonly tell?: (stage: Stage) => void;
}

/** How things stand after so many days. */
export interface Stage {
  readonly day: number;
  readonly ledgerBytes: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Processor time of a pass since the stage before, milliseconds: the median and the most. A busy machine changes it little. */
  readonly passMs: number;
  readonly longestMs: number;
}

export interface Endured {
  readonly stages: readonly Stage[];
  /** Passes that the schedule has in that time, worked out from the shipped cron file alone, and those that ran. */
  readonly due: number;
  readonly ran: number;
  readonly skipped: readonly Skipped[];
  /** By how much the latest pass began after its minute, milliseconds. */
  readonly latestMs: number;
  /** Passes that the ledger still knows and that did not come to their end. */
  readonly unended: number;
  readonly exits: Readonly<Record<number, number>>;
  /** Lines that were written, and lines that were found whole in the files; both of events. */
  readonly written: number;
  readonly found: number;
  readonly torn: number;
  readonly rotations: number;
  readonly rotatedBy: 'logrotate' | 'rename';
  readonly containers: number;
  readonly orphans: number;
  readonly done: Readonly<Record<string, number>>;
}

/** Lives through it, pass by pass. */
export async function endure(options: EnduranceOptions): Promise<Endured> {
  const begin = Date.UTC(2026, 8, 1);
  const life = lifeOf(options, begin);
  const end = begin + options.days * DAY;
  const skipped: Skipped[] = [];
  if (options.form === 'daemon') await byDaemon(life, end, skipped);
  else for (const { at, job } of runsOfCron(begin, end)) await life.run(job, at);
  return { ...life.end(), due: runsOfCron(begin, end).length, skipped };
}

/** The daemon's own loop: its clock goes on when it sleeps, to a little after the time that it asked for. */
async function byDaemon(life: Life, end: number, skipped: Skipped[]): Promise<void> {
  const daemon = createDaemon(slotsOf(defaultConfig().schedule), {
    now: life.now,
    zone: ZONE,
    sleepUntil: async (at) => {
      await life.atRest();
      if (at >= end) daemon.stop();
      else life.passTo(at + 3 + (at / MINUTE) % 40);
    },
    start: (job) => ({ done: life.run(job, Math.floor(life.now() / MINUTE) * MINUTE), end: () => undefined }),
    skipped: (skip) => { skipped.push(skip); },
  });
  await daemon.run();
}

/** What cron would start: the minutes of the shipped file, in each hour of that time. */
function runsOfCron(begin: number, end: number): readonly { readonly at: number; readonly job: JobName }[] {
  const lines = readFileSync(SHIPPED_CRON, 'utf8').split('\n').flatMap((line) => {
    const [, minutes = '', job = ''] = /^([\d,*/-]+) \* \* \* \* .*?gpuctl ([a-z-]+)/.exec(line) ?? [];
    return job === '' ? [] : minutesOf(minutes).map((minute) => ({ minute, job: job as JobName }));
  });
  const hours = Array.from({ length: (end - begin) / HOUR }, (_, n) => begin + n * HOUR);
  return hours.flatMap((hour) => lines.map(({ minute, job }) => ({ at: hour + minute * MINUTE, job }))).toSorted((a, b) => a.at - b.at);
}

function minutesOf(field: string): readonly number[] {
  return field.split(',').flatMap((part) => {
    const [range = '', step] = part.split('/');
    const [from, to] = range === '*' ? [0, 59] : range.split('-').map(Number);
    if (from === undefined || Number.isNaN(from)) throw new Error(`minutes of another form: ${field}`);
    const last = to ?? (step === undefined ? from : 59);
    return Array.from({ length: Math.floor((last - from) / Number(step ?? 1)) + 1 }, (_, n) => from + n * Number(step ?? 1));
  });
}

/** The host, its clock and its files. */
interface Life {
  now(): number;
  passTo(at: number): void;
  /** Resolves when no pass runs. */
  atRest(): Promise<void>;
  run(job: JobName, slotAt: number): Promise<void>;
  end(): Omit<Endured, 'due' | 'skipped'>;
}

function lifeOf(options: EnduranceOptions, begin: number): Life {
  const world = enduringWorld(begin);
  const files = { ledger: join(options.dir, 'state', 'ledger.db'), log: logIn(options.dir) };
  const tally = { ran: 0, latestMs: 0, exits: {} as Record<number, number>, done: {} as Record<string, number> };
  const stages: Stage[] = [];
  let now = begin;
  let resting: Promise<void> = Promise.resolve();
  let rotateAt = begin + options.rotateEveryMs;
  let times: number[] = [];
  const runOne = async (job: JobName, slotAt: number): Promise<void> => {
    now = Math.max(now, slotAt);
    tally.latestMs = Math.max(tally.latestMs, now - slotAt);
    world.advance(now);
    const id = `pass-${String(tally.ran).padStart(8, '0')}`;
    const began = process.cpuUsage();
    const ledger = openLedger({ file: files.ledger, now: () => now, mode: 'write' });
    const sink = files.log.sinkFor({ id, job, now: () => now, rotate: now >= rotateAt });
    if (now >= rotateAt) rotateAt += options.rotateEveryMs;
    const { exit, later } = await onePass({ world, ledger, sink, now, id, job });
    sink.close();
    ledger.close();
    const { user, system } = process.cpuUsage(began);
    times.push((user + system) / 1000);
    now = Math.max(now, later);
    tally.ran += 1;
    tally.exits[exit] = (tally.exits[exit] ?? 0) + 1;
    if (slotAt - begin < ((stages.length + 1) * options.days * DAY) / STAGES - 10 * MINUTE) return;
    stages.push(stageAt(files.ledger, { day: Math.round((slotAt - begin) / (DAY / 10)) / 10, passMs: medianOf(times), longestMs: Math.max(...times) }, options.tell));
    times = [];
  };
  return {
    now: () => now,
    passTo: (at) => { now = Math.max(now, at); },
    atRest: () => resting,
    run: (job, slotAt) => { resting = runOne(job, slotAt); return resting; },
    end: () => ({ ...tally, ...unfinished(files.ledger, now), ...files.log.count(), stages, ...world.ever }),
  };
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function stageAt(ledgerFile: string, since: Pick<Stage, 'day' | 'passMs' | 'longestMs'>, tell: EnduranceOptions['tell']): Stage {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const stage: Stage = { ...since, ledgerBytes: statSync(ledgerFile).size, rssBytes: rss, heapBytes: heapUsed };
  tell?.(stage);
  return stage;
}

interface OnePass {
  readonly world: EnduringWorld;
  readonly ledger: OpenLedger;
  readonly sink: OpenEventSink;
  readonly now: number;
  readonly id: string;
  readonly job: JobName;
}

const config = defaultConfig();
const limitPolicy = limitPolicyOf({ config, configured: { limits: true, leftovers: true } }, { nameOf: () => null, uidOf: () => null, groupsOf: () => [] });

async function onePass({ world, ledger, sink, now, id, job }: OnePass): Promise<{ readonly exit: number; readonly later: number }> {
  const bench = benchOf({ host: world.host(), history: emptyHistory, config, now, ledger });
  const limits: NonNullable<PassParts['limits']> = {
    ledger: ledger.limits,
    activity: { counters: async (containers) => world.counters(containers.map((each) => each.id), bench.now) },
    actor: {
      stopContainer: async ({ containerId }) => { world.stop(containerId, bench.now); return { result: 'done', reason: null, detail: '' }; },
      removeContainer: async ({ containerId }) => { world.remove(containerId); return { result: 'done', reason: null, detail: '' }; },
    },
    notifier: null,
    nextRun: async () => null,
  };
  const manifold = { count: 10_000, sharePercent: null };
  const parts: PassParts = {
    ...bench.parts, ledger, sink, limits, conditions: ledger.conditions,
    clock: { ...bench.parts.clock, boot: () => ({ bootId: BOOT, uptimeMs: bench.now - Date.UTC(2026, 7, 31) }) },
    budgets: { ...bench.parts.budgets, stop: manifold, remove: manifold },
    policy: { ...bench.parts.policy, limits: limitPolicy },
  };
  const report = await runPass(parts, passOptions({ id, job }), STORIES[job]);
  const ended = new Set(bench.acts.flatMap((act) => (act.kind === 'signal' ? [act.target.pid] : [])));
  // What a stop took away is gone in the world already; what a signal took away only on the bench.
  world.keepProcesses(world.host().processes.filter(({ pid }) => !ended.has(pid) || bench.host.processes.some((each) => each.pid === pid)));
  return { exit: report.exit, later: bench.now };
}

/** The log of the host: its sinks, its rotation, and what is in its files in the end. */
function logIn(dir: string): {
  sinkFor(pass: { readonly id: string; readonly job: JobName; readonly now: () => number; readonly rotate: boolean }): OpenEventSink;
  count(): Pick<Endured, 'written' | 'found' | 'torn' | 'rotations' | 'rotatedBy' | 'done'>;
} {
  const folder = join(dir, 'log');
  mkdirSync(folder, { mode: 0o700 });
  const file = join(folder, 'events.jsonl');
  const seen = { written: 0, found: 0, torn: 0, rotations: 0, rotatedBy: hasLogrotate() ? 'logrotate' as const : 'rename' as const };
  const done: Record<string, number> = {};
  const read = (name: string): void => {
    if (!existsSync(name)) return;
    const text = readFileSync(name, 'utf8');
    if (text !== '' && !text.endsWith('\n')) seen.torn += 1;
    for (const line of text.split('\n').filter(Boolean)) {
      const action = actionIn(line);
      if (action === null) seen.torn += 1;
      else { seen.found += 1; done[action] = (done[action] ?? 0) + 1; }
    }
  };
  const rotate = (): void => {
    if (seen.rotatedBy === 'logrotate') logrotate(dir, folder);
    else renameSync(file, `${file}.1`);
    seen.rotations += 1;
    read(`${file}.1`);
  };
  return {
    sinkFor({ id, job, now, rotate: due }) {
      const sink = createEventSink({ file, stderr: process.stderr, context: { host: 'gpu01', version: '0.0.0', now, pass: id, job, dryRun: false } });
      let lines = 0;
      return {
        ...sink,
        emit(event) {
          sink.emit(event);
          seen.written += 1;
          lines += 1;
          // In the middle of a pass, which has the file open.
          if (due && lines === 1) rotate();
        },
      };
    },
    count() { read(file); return { ...seen, done }; },
  };
}

function actionIn(line: string): string | null {
  try {
    const event = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const action = event['event.action'];
    return typeof action === 'string' && typeof event['@timestamp'] === 'string' ? action : null;
  } catch {
    return null;
  }
}

function hasLogrotate(): boolean {
  return process.geteuid?.() === 0 && spawnSync('logrotate', ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** The shipped rules on the log of this host; `--force`, as the week is over by another clock than its own. */
function logrotate(dir: string, folder: string): void {
  const rules = join(dir, 'logrotate.conf');
  writeFileSync(rules, readFileSync(SHIPPED_ROTATION, 'utf8').replaceAll('/var/log/gpuctl', folder), { mode: 0o600 });
  const { status, stderr } = spawnSync('logrotate', ['--force', '--state', join(dir, 'logrotate.state'), rules], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`logrotate ended with ${status}: ${stderr}`);
}

/** Passes of the ledger that have no end. */
function unfinished(file: string, now: number): { readonly unended: number } {
  const ledger = openLedger({ file, now: () => now, mode: 'write' });
  const left = ledger.untoldPasses('none').length;
  ledger.close();
  return { unended: left };
}
