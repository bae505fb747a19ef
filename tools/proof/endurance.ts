import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DAY, endure, type Endured, type Stage } from '../../test/property/endurance.ts';
import { PLACES } from '../../test/property/endurance-world.ts';
import { peakMiB } from '../bench/measure.ts';
import { runDaemon } from './endurance-daemon.ts';

/*
 * Ninety days of a host with fifty containers that come and go, by the daemon's loop and by the shipped cron file; then the
 * daemon itself as a process on a fast clock. What is real in it and what is not: test/property/endurance.ts.
 */

const DAYS = 90;
const WEEK = 7 * DAY;
/** What is kept for 30 days is all there by then; what comes later is held against it. */
const FULL_BY_DAY = 40;
/** Of a process that has reached its size, and of the time of a pass: what chance may add. */
const MARGIN = 1.15;
const TIME_MARGIN = 1.25;
const LONGEST_MS = 1000;
/** The history of passes and acts is whole by then, and the ledger with it. */
const HISTORY_DAYS = 400;
/** By the rate of a day, and here a hundred containers are stopped and removed on each; by their numbers less is kept (`KEEP_ACTS`, `KEEP_ALLOCATIONS`). */
const LEDGER_BYTES = 150e6;

interface Judged {
  readonly what: string;
  readonly figure: string;
  /** Null: so few days do not show it. */
  readonly ok: boolean | null;
}

/** One form in a process of its own: both at a time, and each with a memory of its own. */
async function childMain(form: 'daemon' | 'cron', days: number, dir: string): Promise<void> {
  const tell = ({ day, ledgerBytes, rssBytes, heapBytes, passMs, longestMs }: Stage): void => {
    process.stdout.write(`${form.padEnd(6)} day ${day.toFixed(1).padStart(4)}  ledger ${mb(ledgerBytes)}  resident ${mb(rssBytes)}  heap ${mb(heapBytes)}  a pass ${passMs.toFixed(1).padStart(5)} ms, at most ${longestMs.toFixed(0)}\n`);
  };
  const lived = await endure({ form, days, dir, rotateEveryMs: WEEK, tell });
  writeFileSync(join(dir, 'lived.json'), JSON.stringify(lived));
}

async function inChild(form: 'daemon' | 'cron', days: number, dir: string): Promise<Endured> {
  mkdirSync(dir);
  const child = spawn(process.execPath, ['--expose-gc', import.meta.filename, form, String(days), dir], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit') as [number | null];
  if (code !== 0) throw new Error(`${form} ended with ${code}`);
  return JSON.parse(readFileSync(join(dir, 'lived.json'), 'utf8')) as Endured;
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1).padStart(6)} MB`;
}

function judge(lived: Endured): readonly Judged[] {
  const { due, ran, skipped, unended, latestMs, written, found, torn, rotations, rotatedBy, containers, orphans, done, exits, stages } = lived;
  return [
    { what: 'passes due, run, skipped, without an end', figure: `${due} ${ran} ${skipped.length} ${unended}`, ok: ran === due && skipped.length === 0 && unended === 0 },
    { what: 'the latest began after its minute by', figure: `${latestMs} ms`, ok: latestMs < 1000 },
    { what: 'exit codes of the passes', figure: JSON.stringify(exits), ok: Object.keys(exits).every((code) => code === '0' || code === '1') },
    { what: `lines written, found whole, torn, over ${rotations} rotations by ${rotatedBy}`, figure: `${written} ${found} ${torn}`, ok: rotations === 0 ? null : found === written && torn === 0 },
    { what: 'containers that came, orphans that were left, and ended', figure: `${containers} ${orphans} ${done['gpu.orphan.ended'] ?? 0}`, ok: containers > PLACES && Math.abs(orphans - (done['gpu.orphan.ended'] ?? 0)) <= 1 },
    { what: 'processor time of the longest pass', figure: `${Math.max(...stages.map(({ longestMs }) => longestMs)).toFixed(0)} ms`, ok: stages.every(({ longestMs }) => longestMs < LONGEST_MS) },
    ...grown(stages),
  ];
}

/** Held against the day when the month is full; a run of fewer days says that it does not judge this. */
function grown(stages: readonly Stage[]): readonly Judged[] {
  const [early, last] = [stages.find(({ day }) => day >= FULL_BY_DAY), stages.at(-1)];
  if (last === undefined) return [];
  const held = (what: string, of: (stage: Stage) => number, margin: number): Judged => {
    const figure = what.startsWith('processor') ? (stage: Stage): string => `${of(stage).toFixed(1)} ms` : (stage: Stage): string => mb(of(stage));
    if (early === undefined || early === last) return { what, figure: figure(last), ok: null };
    return { what: `${what}, day ${early.day.toFixed(0)} and day ${last.day.toFixed(0)}`, figure: `${figure(early)} ${figure(last)}`, ok: of(last) <= of(early) * margin };
  };
  return [
    held('resident memory', ({ rssBytes }) => rssBytes, MARGIN),
    held('heap', ({ heapBytes }) => heapBytes, MARGIN),
    held('processor time of a pass (median)', ({ passMs }) => passMs, TIME_MARGIN),
    early === undefined || early === last ? { what: 'ledger', figure: mb(last.ledgerBytes), ok: null } : ledgerOf(early, last),
  ];
}

/** What grows on after a month is the history, of which 400 days are kept. */
function ledgerOf(early: Stage, last: Stage): Judged {
  const aDay = (last.ledgerBytes - early.ledgerBytes) / (last.day - early.day);
  const full = last.ledgerBytes + Math.max(0, aDay) * (HISTORY_DAYS - last.day);
  return { what: `ledger, day ${early.day.toFixed(0)} and day ${last.day.toFixed(0)}; at that rate on day ${HISTORY_DAYS}`, figure: `${mb(early.ledgerBytes)} ${mb(last.ledgerBytes)} ${mb(full)}`, ok: full <= LEDGER_BYTES };
}

function print(title: string, judged: readonly Judged[]): boolean {
  process.stdout.write(`\n${title}\n`);
  for (const { what, figure, ok } of judged) process.stdout.write(`  ${ok === null ? 'not judged' : ok ? 'ok        ' : 'FAIL      '} ${what.padEnd(64)} ${figure}\n`);
  return judged.every(({ ok }) => ok !== false);
}

/** What one real run needs that reads a ledger of this age; engine and driver are not there for it, so it ends with 3. */
function memoryOn(dir: string): Judged {
  const config = join(dir, 'config.yaml');
  writeFileSync(config, `version: 1\nengine: { host: "unix://${dir}/none.sock" }\nnvidia_smi: { path: "${dir}/none" }\nevents: { file: "${dir}/log/real.jsonl" }\nstate: { dir: "${dir}/state" }\n`, { mode: 0o600 });
  const [peak, bare] = [peakMiB(['health-check', '--config', config]), peakMiB(['--version'])];
  return { what: 'a real run on the ledger of the last day; gpuctl --version', figure: `${peak.toFixed(0)} MiB, ${bare.toFixed(0)} MiB`, ok: peak < 110 };
}

async function main(): Promise<boolean> {
  const days = Number(process.argv[2] ?? DAYS);
  // In memory, where there is such a place: a disk that waits for each commit takes hours, and none of it is judged.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'gpuctl-endurance-'));
  try {
    const began = performance.now();
    process.stdout.write(`${days} days of 50 containers, by daemon and by cron; load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} processors\n`);
    const forms = ['daemon', 'cron'] as const;
    const lives = await Promise.all(forms.map((form) => inChild(form, days, join(dir, form))));
    process.stdout.write(`lived through in ${((performance.now() - began) / 60_000).toFixed(1)} min; load ${loadavg()[0]?.toFixed(1)}\n`);
    const well = lives.map((lived, n) => print(`${days} days by ${forms[n]}`, [...judge(lived), memoryOn(join(dir, forms[n] ?? ''))]));
    if (process.geteuid?.() === 0 && spawnSync('faketime', ['--version'], { stdio: 'ignore' }).error === undefined) well.push(print('the daemon itself, as a process', await runDaemon(dir)));
    else process.stdout.write('\nthe daemon itself: not run; it needs root and faketime\n');
    return well.every(Boolean);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const [, , form, days, dir] = process.argv;
if ((form === 'daemon' || form === 'cron') && dir !== undefined) await childMain(form, Number(days), dir);
else process.exitCode = await main() ? 0 : 1;
