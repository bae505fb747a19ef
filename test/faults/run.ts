import { join } from 'node:path';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { GpuctlOptions } from '../hostsim/gpuctl-call.ts';
import { type Expected, problemsOf, type Run } from './check.ts';
import { type Ground, openStage, type Stage } from './stage.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** What bin/gpuctl runs, with what kills it before it. */
const MORTAL = [join(ROOT, 'node_modules', '.bin', 'node'), '--no-opt', '--no-maglev', '--require', join(import.meta.dirname, 'die-at.cjs'), join(ROOT, 'dist', 'start.cjs')];

/** One fault at one call out of the process. */
export interface FaultCase {
  readonly callOut: string;
  readonly fault: string;
  /** One of the quick form. */
  readonly quick?: boolean;
  readonly expected?: Expected;
  /** Brings the fault about; what it returns takes it away. */
  readonly arrange: (stage: Stage) => Arranged | Promise<Arranged>;
}

export interface Arranged {
  readonly undo?: () => void | Promise<void>;
  /** How the disturbed pass is to be called. */
  readonly options?: GpuctlOptions;
}

/** A case and all that was not as it must be. */
export interface Verdict {
  readonly name: string;
  readonly problems: readonly string[];
  readonly ms: number;
}

async function pass(stage: Stage, options: GpuctlOptions = {}): Promise<Run> {
  const began = performance.now();
  return { ...await stage.host.gpuctl(['release-stale'], { timeoutMs: 90_000, withoutEvents: true, ...options }), ms: performance.now() - began };
}

/** One pass with the fault and one without it. */
export async function runFault(ground: Ground, { callOut, fault, arrange, expected = {} }: FaultCase): Promise<Verdict> {
  return judged(`${callOut}: ${fault}`, ground, expected, async (stage) => {
    const { undo, options } = await arrange(stage);
    const disturbed = await pass(stage, options);
    await undo?.();
    return disturbed;
  });
}

/** Where a pass is killed. `half`: in the middle of a write. `reset`: how far the reset of the board is then. */
export interface KillPoint { readonly at: number; readonly half: boolean; readonly step: string; readonly reset: 'ahead' | 'begun' | 'over' }

/** One pass that is killed there and one that is not. */
export async function runKill(ground: Ground, point: KillPoint): Promise<Verdict> {
  const { at, half, step } = point;
  return judged(`SIGKILL ${half ? 'in' : 'before'} ${at} ${step}`, ground, killed(point), (stage) => pass(stage, { program: MORTAL, env: { FAULTS_AT: String(at), ...(half && { FAULTS_HALF: '1' }) } }));
}

/** From the journal's word that it is begun, a reset counts as tried; what it took is judged two minutes later, and a finding until then. */
function killed({ half, reset }: KillPoint): Expected {
  return { exits: [null, 0], brokenLines: half ? 1 : 0, ...(reset === 'begun' ? { resetCounts: true } : reset === 'over' ? { nextExits: [0, 1] } : {}) };
}

async function judged(name: string, ground: Ground, expected: Expected, disturb: (stage: Stage) => Promise<Run>): Promise<Verdict> {
  const began = performance.now();
  const stage = await openStage(ground);
  try {
    const disturbed = await disturb(stage);
    const next = await pass(stage);
    return { name, problems: await problemsOf({ stage, disturbed, next, expected }), ms: performance.now() - began };
  } catch (error) {
    return { name, problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)], ms: performance.now() - began };
  } finally {
    await stage.dispose();
  }
}

/** Every step of an undisturbed pass by which it changes something outside itself, and the middle of each write. */
export async function killPoints(ground: Ground): Promise<readonly KillPoint[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-steps-'));
  const stage = await openStage(ground);
  try {
    const log = join(folder, 'steps');
    const { exitCode, stderr } = await pass(stage, { program: MORTAL, env: { FAULTS_LOG: log } });
    if (exitCode !== 0) throw new Error(`the undisturbed pass ended with ${exitCode}: ${stderr}`);
    const steps = readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => line.slice(line.indexOf(' ') + 1).replaceAll(stage.host.dir, '…'));
    const reset = steps.findIndex((step) => / -r -i /.test(step));
    return steps.flatMap((step, index) => {
      const point = { at: index + 1, step, reset: index < reset ? 'ahead' : index <= reset + 1 ? 'begun' : 'over' } as const;
      return [{ ...point, half: false }, ...(step === 'write' ? [{ ...point, half: true }] : [])];
    });
  } finally {
    await stage.dispose();
    rmSync(folder, { recursive: true });
  }
}

/** All of them, so many at a time; each verdict is told as it comes. */
export async function runAll(tasks: readonly (() => Promise<Verdict>)[], atOnce: number, tell: (verdict: Verdict) => void = () => undefined): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = [];
  const left = tasks.values();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const task of left) {
      const verdict = await task();
      tell(verdict);
      verdicts.push(verdict);
    }
  }));
  return verdicts;
}
