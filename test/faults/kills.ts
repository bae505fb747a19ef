import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Expected } from './check.ts';
import type { JobName } from '../../src/model/schedule.ts';
import { killJobs } from './jobs.ts';
import { judged, pass, type Verdict } from './run.ts';
import { type Ground, linesOf, type Stage } from './stage.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** What bin/gpuctl runs, with what kills it before it. */
const MORTAL = [join(ROOT, 'node_modules', '.bin', 'node'), '--no-opt', '--no-maglev', '--require', join(import.meta.dirname, 'die-at.cjs'), join(ROOT, 'dist', 'start.cjs')];

/** Where a pass is killed: before, or with `half` in the middle of, the n-th call of that name. */
export interface KillPoint {
  readonly job: JobName;
  readonly step: string;
  /** From 1. */
  readonly nth: number;
  readonly half: boolean;
}

export function nameOf({ job, step, nth, half }: KillPoint): string {
  return `SIGKILL ${job}: ${half ? 'in' : 'before'} ${step}${nth > 1 ? ` (${nth})` : ''}`;
}

/** Every step of an undisturbed pass of this job by which it changes something outside itself, and the middle of those that have one. Throws where that pass is not as it must be itself. */
export async function killPoints(ground: Ground, job: JobName): Promise<readonly KillPoint[]> {
  const steps: string[] = [];
  const { problems } = await judged(job, ground, async (stage) => killAndGoOn(stage, job, null, steps));
  if (problems.length > 0) throw new Error(`${job}, undisturbed: ${problems.join('\n')}`);
  const counts = new Map<string, number>();
  return steps.flatMap((line) => {
    const step = line.slice('half '.length);
    const nth = (counts.get(step) ?? 0) + 1;
    counts.set(step, nth);
    return [false, ...(line.startsWith('half ') ? [true] : [])].map((half) => ({ job, step, nth, half }));
  });
}

/** One pass that is killed there and one that is not. */
export async function runKill(ground: Ground, point: KillPoint): Promise<Verdict> {
  return judged(nameOf(point), ground, (stage) => killAndGoOn(stage, point.job, point, []));
}

/** Point null: it is not killed, and `steps` gets what it did. */
async function killAndGoOn(stage: Stage, name: JobName, point: KillPoint | null, steps: string[]): Promise<readonly string[]> {
  const job = killJobs[name];
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-steps-'));
  try {
    const log = join(folder, 'steps');
    const readied = await job.ready(stage);
    const at = point === null ? {} : { FAULTS_AT: point.step, FAULTS_NTH: String(point.nth), ...(point.half && { FAULTS_HALF: '1' }) };
    const disturbed = await pass(stage, { program: MORTAL, env: { FAULTS_LOG: log, FAULTS_DIR: stage.host.dir, ...at } }, name);
    steps.push(...readFileSync(log, 'utf8').split('\n').filter(Boolean));
    if (point !== null && (steps.pop() !== 'killed' || disturbed.signal !== 'SIGKILL')) return ['the place was not reached'];
    const [between, told] = [await readied.between?.() ?? [], linesOf(stage)];
    const next = await pass(stage, {}, name);
    const lost = linesOf(stage).slice(0, told.length).join('\n') === told.join('\n') ? [] : ['lines of the events file are not there any more'];
    const expected = { ...(point === null ? {} : killed(point, steps)), ...job.expected };
    return [...between, ...lost, ...await readied.problems({ stage, disturbed, next, expected })];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** From the journal's word that it is begun, a reset counts as tried; what it took is judged two minutes later, and a finding until then. */
function killed({ half, step }: KillPoint, steps: readonly string[]): Expected {
  const reset = steps.findIndex((each) => / -r -i /.test(each));
  const since = steps.length - 1 - reset;
  return { exits: [null], brokenLines: half && step.includes('events.jsonl') ? 1 : 0, ...(reset < 0 ? {} : since <= 1 ? { resetCounts: true } : { nextExits: [0, 1] }) };
}
