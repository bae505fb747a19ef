import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEngine } from '../test/hostsim/dockerd.ts';
import { startHost } from '../test/hostsim/host.ts';
import { benchLimits } from './bench-limits.ts';

/**
 * Figures as ratios to a bare `node -e 0` of the same runtime, measured in turn in one run; medians. The host is
 * simulated: real containers of a real engine, real processes, and an nvidia-smi that answers within milliseconds.
 * Beside the time on the clock stands the processor time of the command and its children: it tells more on a machine that
 * has other things to do, and nothing of what was done side by side with the engine.
 */
const ROOT = join(import.meta.dirname, '..');
const NODE = join(ROOT, 'node_modules', '.bin', 'node');
const START = join(ROOT, 'dist', 'start.cjs');
const RUNS = Number(process.argv[2] ?? 25);
const CONTAINERS = 50;
const PROCESSES = 60;
const GPUS = 8;

interface Row { readonly what: string; readonly command: readonly string[]; readonly goal: number }

interface Cost { readonly wallMs: number; readonly cpuMs: number }

function costOf([file = '', ...args]: readonly string[]): Cost {
  const [cpuBefore, begun] = [childrenCpuMs(), process.hrtime.bigint()];
  const { error } = spawnSync(file, args, { stdio: 'ignore' });
  if (error !== undefined) throw error;
  return { wallMs: Number(process.hrtime.bigint() - begun) / 1e6, cpuMs: childrenCpuMs() - cpuBefore };
}

/** Processor time of all children that have ended, and theirs: proc_pid_stat(5), fields 16 and 17, in ticks of 10 ms. */
function childrenCpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Each command in turn with the bare runtime, so that both meet the same weather. Ticks are coarse: of processor time only the sum is exact. */
function compare({ what, command, goal }: Row): void {
  const bare = [NODE, '-e', '0'];
  const pairs = Array.from({ length: RUNS + 1 }, () => ({ own: costOf(command), node: costOf(bare) })).slice(1);
  const [own, node] = [median(pairs.map((pair) => pair.own.wallMs)), median(pairs.map((pair) => pair.node.wallMs))];
  const ratio = median(pairs.map((pair) => pair.own.wallMs / pair.node.wallMs));
  const [ownCpu, nodeCpu] = [sum(pairs.map((pair) => pair.own.cpuMs)), sum(pairs.map((pair) => pair.node.cpuMs))];
  process.stdout.write(`${what.padEnd(40)} ${own.toFixed(0).padStart(4)} ms  node -e 0 ${node.toFixed(0).padStart(4)} ms  ratio ${ratio.toFixed(2).padStart(5)}  of medians ${(own / node).toFixed(2).padStart(5)}  of processor time ${(ownCpu / nodeCpu).toFixed(2).padStart(5)}  (goal ≤ ${goal})\n`);
}

/** Peak resident memory of one run, MiB, as the process itself knows it at its end. */
function peakMiB(args: readonly string[]): number {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-bench-'));
  const hook = join(dir, 'rss.cjs');
  writeFileSync(hook, `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(join(dir, 'rss'))}, String(process.resourceUsage().maxRSS)));`);
  spawnSync(NODE, ['--no-opt', '--no-maglev', '--min-semi-space-size=32', '--require', hook, START, ...args], { stdio: 'ignore' });
  const peak = Number(readFileSync(join(dir, 'rss'), 'utf8')) / 1024;
  rmSync(dir, { recursive: true });
  return peak;
}

async function healthCheck(): Promise<void> {
  const host = startHost({ gpus: GPUS });
  try {
    const engine = await startEngine({ sandbox: host.sandbox });
    host.configure({ engine: { host: engine.host } });
    for (let n = 0; n < CONTAINERS; n += 1) {
      const id = await engine.run({ name: `job-${n}`, gpus: [host.gpu(n % GPUS).uuid], labels: { 'gpuctl.owner': `user${n}` } });
      host.listOn(n % GPUS, await engine.initPid(id), { usedMiB: 100 });
    }
    for (let n = 0; n < PROCESSES - CONTAINERS; n += 1) host.listOn(n % GPUS, await host.process({ cgroup: 'system.slice/nvidia-dcgm.service' }), { usedMiB: 100 });
    host.makeSmiInstant();
    const args = ['health-check', '--config', host.configPath];
    compare({ what: `health-check, ${GPUS} GPUs, ${CONTAINERS} containers`, command: [join(ROOT, 'bin', 'gpuctl'), ...args], goal: 6 });
    process.stdout.write(`${'its peak resident memory'.padEnd(40)} ${peakMiB(args).toFixed(0).padStart(4)} MiB  (goal ≤ 110)\n`);
  } finally {
    await host.dispose();
  }
}

process.stdout.write(`medians of ${RUNS} runs in turn; load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} processors\n`);
compare({ what: 'gpuctl --version', command: [join(ROOT, 'bin', 'gpuctl'), '--version'], goal: 2 });
if (process.geteuid?.() === 0) await healthCheck().then(benchLimits);
else process.stdout.write('health-check and limits: not measured; they need root for a private container engine\n');
