import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';

/** What every benchmark measures with: commands in turn, their processor time, their memory, and the growth of a series. */
export const ROOT = join(import.meta.dirname, '..', '..');
export const GPUCTL = join(ROOT, 'bin', 'gpuctl');
export const NODE = join(ROOT, 'node_modules', '.bin', 'node');
const START = join(ROOT, 'dist', 'start.cjs');
/** As bin/gpuctl starts it. */
const FLAGS = ['--no-opt', '--no-maglev', '--min-semi-space-size=8', '--max-semi-space-size=8'];

/** What the command line asks of a benchmark. */
export interface Effort {
  /** Fewer and smaller: to see that it works, not what it says. */
  readonly quick: boolean;
  /** Of each command that is short. */
  readonly runs: number;
}

/** Milliseconds on the clock, and of processor time of the command and its children (in ticks of 10 ms). */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** The lock is the host's, so passes of others on this machine get in the way: what was refused is measured again. */
const LOCKED = 75;
const LOCKED_TRIES = 50;

/** Runs a command to its end. Throws where it cannot be started or ends with another status than 0 and 1. */
export function costOf(command: readonly string[]): Cost {
  for (let tries = 1; ; tries += 1) {
    const { cost, status, stderr } = runOnce(command);
    if (status === 0 || status === 1) return cost;
    if (status !== LOCKED || tries === LOCKED_TRIES) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr.slice(0, 500)}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function runOnce([file = '', ...args]: readonly string[]): { readonly cost: Cost; readonly status: number | null; readonly stderr: string } {
  const [cpuBefore, begun] = [childrenCpuMs(), process.hrtime.bigint()];
  const { error, status, stderr } = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const cost = { wallMs: Number(process.hrtime.bigint() - begun) / 1e6, cpuMs: childrenCpuMs() - cpuBefore };
  if (error !== undefined) throw error;
  return { cost, status, stderr: stderr.toString() };
}

/** Processor time of all children that have ended, and theirs: proc_pid_stat(5), fields 16 and 17, in ticks of 10 ms. */
function childrenCpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Two commands in turn, so that both meet the same weather. */
export interface Compared {
  readonly ownMs: number;
  readonly otherMs: number;
  /** Median of the ratios of neighbours. */
  readonly ratio: number;
  /** Of processor time: of the sums, as ticks are coarse. */
  readonly cpuRatio: number;
}

export function compare(own: readonly string[], other: readonly string[], runs: number): Compared {
  costOf(own);
  costOf(other);
  const pairs = Array.from({ length: runs }, () => ({ own: costOf(own), other: costOf(other) }));
  return {
    ownMs: median(pairs.map((pair) => pair.own.wallMs)),
    otherMs: median(pairs.map((pair) => pair.other.wallMs)),
    ratio: median(pairs.map((pair) => pair.own.wallMs / pair.other.wallMs)),
    cpuRatio: sum(pairs.map((pair) => pair.own.cpuMs)) / sum(pairs.map((pair) => pair.other.cpuMs)),
  };
}

/** Peak resident memory of one run, MiB, as the process itself knows it at its end. */
export function peakMiB(args: readonly string[]): number {
  const { text } = withHook((file) => `process.on('exit', () => require('node:fs').writeFileSync(${file}, String(process.resourceUsage().maxRSS)));`, args);
  return Number(text) / 1024;
}

/** Runs gpuctl's bundle with a script loaded before it, which writes to the file whose name (as a literal) it is given. */
export function withHook(script: (file: string) => string, args: readonly string[]): { readonly text: string; readonly startedNs: bigint; readonly endedNs: bigint } {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-bench-'));
  try {
    const hook = join(dir, 'hook.cjs');
    writeFileSync(hook, script(JSON.stringify(join(dir, 'said'))));
    const startedNs = process.hrtime.bigint();
    spawnSync(NODE, [...FLAGS, '--require', hook, START, ...args], { stdio: 'ignore' });
    return { text: readFileSync(join(dir, 'said'), 'utf8'), startedNs, endedNs: process.hrtime.bigint() };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The exponent b of y = a·xᵇ: least squares of the logarithms. */
export function exponentOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const [meanX, meanY] = [sum(logs.map(({ x }) => x)) / logs.length, sum(logs.map(({ y }) => y)) / logs.length];
  return sum(logs.map(({ x, y }) => (x - meanX) * (y - meanY))) / sum(logs.map(({ x }) => (x - meanX) ** 2));
}

export function say(what: string, figures: string, goal?: string): void {
  process.stdout.write(`${what.padEnd(54)} ${figures}${goal === undefined ? '' : `  (goal ${goal})`}\n`);
}

/** A heading, with how busy the machine is at that moment. */
export function heading(text: string): void {
  process.stdout.write(`\n${text}; load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} processors\n`);
}
