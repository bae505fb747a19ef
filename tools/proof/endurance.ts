import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DAY, endure, type Endured, type Stage } from '../../test/property/endurance.ts';
import { peakMiB } from '../bench/measure.ts';
import { runDaemon } from './endurance-daemon.ts';

/*
 * Ninety days of a host with fifty containers that come and go, by the daemon's loop and by the shipped cron file; then the
 * daemon itself as a process on a fast clock. What is real in it and what is not: test/property/endurance.ts.
 */

const DAYS = 90;
const WEEK = 7 * DAY;
/** What is kept for 30 days is all there by then. */
const FULL_BY_DAY = 40;
/** Of a ledger and of a process that have reached their size: what chance may add. */
const MARGIN = 1.15;
/** 30 days of samples of 50 containers, and the history of passes and acts, of which 400 days are kept. */
const LEDGER_BYTES = 60e6;

interface Judged {
  readonly what: string;
  readonly figure: string;
  readonly ok: boolean;
}

/** One form in a process of its own: both at a time, and each with a memory of its own. */
async function childMain(form: 'daemon' | 'cron', days: number, dir: string): Promise<void> {
  const tell = ({ day, ledgerBytes, rssBytes, heapBytes, passMs }: Stage): void => {
    process.stdout.write(`${form.padEnd(6)} day ${day.toFixed(0).padStart(3)}  ledger ${mb(ledgerBytes)}  resident ${mb(rssBytes)}  heap ${mb(heapBytes)}  a pass ${passMs.toFixed(1).padStart(5)} ms\n`);
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
  const early = stages.find(({ day }) => day >= FULL_BY_DAY);
  const last = stages.at(-1);
  const bounded = (what: string, of: (stage: Stage) => number): Judged => {
    const [then, now] = [early === undefined ? 0 : of(early), last === undefined ? Infinity : of(last)];
    return { what: `${what}, day ${early?.day ?? '?'} and the last`, figure: `${mb(then)} ${mb(now)}`, ok: now <= then * MARGIN };
  };
  return [
    { what: 'passes due, run, skipped, without an end', figure: `${due} ${ran} ${skipped.length} ${unended}`, ok: ran === due && skipped.length === 0 && unended === 0 },
    { what: 'the latest began after its minute by', figure: `${latestMs} ms`, ok: latestMs < 1000 },
    { what: 'exit codes of the passes', figure: JSON.stringify(exits), ok: Object.keys(exits).every((code) => code === '0' || code === '1') },
    { what: `lines written, found whole, torn, over ${rotations} rotations by ${rotatedBy}`, figure: `${written} ${found} ${torn}`, ok: found === written && torn === 0 && rotations > 0 },
    { what: 'containers that came, orphans that were left, and ended', figure: `${containers} ${orphans} ${done['gpu.orphan.ended'] ?? 0}`, ok: containers > 100 && Math.abs(orphans - (done['gpu.orphan.ended'] ?? 0)) <= 1 },
    ledgerOf(early, last),
    bounded('resident memory', ({ rssBytes }) => rssBytes),
    bounded('heap', ({ heapBytes }) => heapBytes),
  ];
}

/** What grows on after a month is the history of 400 days. */
function ledgerOf(early: Stage | undefined, last: Stage | undefined): Judged {
  const [then, now] = [early?.ledgerBytes ?? 0, last?.ledgerBytes ?? Infinity];
  const aDay = early === undefined || last === undefined || last.day === early.day ? 0 : (now - then) / (last.day - early.day);
  return { what: `ledger, day ${early?.day ?? '?'} and the last; what a day adds to it then`, figure: `${mb(then)} ${mb(now)} ${(aDay / 1000).toFixed(0)} kB`, ok: now <= LEDGER_BYTES };
}

function print(title: string, judged: readonly Judged[]): boolean {
  process.stdout.write(`\n${title}\n`);
  for (const { what, figure, ok } of judged) process.stdout.write(`  ${ok ? 'ok  ' : 'FAIL'} ${what.padEnd(64)} ${figure}\n`);
  return judged.every(({ ok }) => ok);
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
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-endurance-'));
  try {
    process.stdout.write(`${days} days of 50 containers, by daemon and by cron; load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} processors\n`);
    const forms = ['daemon', 'cron'] as const;
    const lives = await Promise.all(forms.map((form) => inChild(form, days, join(dir, form))));
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
