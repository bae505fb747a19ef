import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newGpu, newMig } from '../../test/hostsim/new-world.ts';
import { type Host, startHost } from '../../test/hostsim/host.ts';
import { processStat } from '../../test/hostsim/smi-device.ts';
import type { WorldProcess } from '../../test/hostsim/world.ts';
import { costOf, type Effort, exponentOf, GPUCTL, heading, median, peakMiB, say } from './measure.ts';
import { type Prepared, startPreparedEngine } from './prepared-engine.ts';

/** How big a host is. Every listed process is a real one, in the cgroup of a container. */
interface Size {
  readonly gpus: number;
  readonly migEach: number;
  readonly containers: number;
  readonly processes: number;
}

interface Point {
  readonly x: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly rssMiB: number;
}

const BASE: Size = { gpus: 8, migEach: 0, containers: 50, processes: 60 };
const LARGEST: Size = { gpus: 16, migEach: 7, containers: 1000, processes: 5000 };
/** From here on the work outweighs what every run costs; `steepest` says how it grows then. */
const NOISE_MS = 5;

/**
 * How time and memory grow with the host, one dimension at a time. The engine and nvidia-smi have their answers ready;
 * processes, their cgroups and /proc are real. The exponent is fitted over the whole row, which begins with what every run
 * costs; so the growth of what each step added is shown beside it: of a linear cost it is 1 whatever the start costs.
 */
export async function benchScaling({ quick, runs }: Effort): Promise<void> {
  const each = quick ? 3 : Math.max(5, Math.floor(runs / 4));
  heading(`growth: medians of ${each} runs of health-check and of check-idle; base ${JSON.stringify(BASE)}`);
  const counts = (all: readonly number[]): readonly number[] => (quick ? all.slice(0, -1) : all);
  await series('GPUs', counts([1, 2, 4, 8, 16]).map((gpus) => [gpus, { ...BASE, gpus }]), each);
  await series('GPUs with 7 MIG devices each', counts([1, 2, 4, 8, 16]).map((gpus) => [gpus, { ...BASE, gpus, migEach: 7 }]), each);
  await series('containers', counts([10, 30, 100, 300, 1000]).map((containers) => [containers, { ...BASE, containers, processes: Math.max(BASE.processes, containers) }]), each);
  await series('processes', counts([10, 50, 500, 1500, 5000]).map((processes) => [processes, { ...BASE, processes, containers: Math.min(BASE.containers, processes) }]), each);
  if (quick) return;
  const { wallMs, rssMiB } = (await measure(LARGEST, 'health-check', 1000, each));
  say(`the largest: ${JSON.stringify(LARGEST)}`, `health-check ${wallMs.toFixed(0)} ms, ${rssMiB.toFixed(0)} MiB`, '≤ 150 MB');
}

async function series(of: string, sizes: readonly (readonly [number, Size])[], runs: number): Promise<void> {
  for (const job of ['health-check', 'check-idle']) {
    const points: Point[] = [];
    for (const [x, size] of sizes) points.push(await measure(size, job, x, runs));
    say(`${of}: ${job}`, points.map(({ x, wallMs, cpuMs, rssMiB }) => `${x}: ${wallMs.toFixed(0)} ms (cpu ${cpuMs.toFixed(0)}), ${rssMiB.toFixed(0)} MiB`).join('; '));
    const fitted = (y: (point: Point) => number): string => exponentOf(points.map((point) => ({ x: point.x, y: y(point) }))).toFixed(2);
    say('', `exponent: time ${fitted(({ wallMs }) => wallMs)}, processor ${fitted(({ cpuMs }) => cpuMs)}, memory ${fitted(({ rssMiB }) => rssMiB)}; of what was added: time ${growthOfAdded(points)}`, '≤ 1');
  }
}

/** The exponent of the time beyond that of the smallest host, over what was added to it; what is lost in noise is left out. */
function growthOfAdded(points: readonly Point[]): string {
  const [first, ...others] = points;
  if (first === undefined) return '?';
  const added = others.map(({ x, wallMs }) => ({ x: x - first.x, y: wallMs - first.wallMs })).filter(({ y }) => y > NOISE_MS);
  return added.length < 2 ? 'none to speak of' : exponentOf(added).toFixed(2);
}

async function measure(size: Size, job: string, x: number, runs: number): Promise<Point> {
  const host = startHost({ gpus: Array.from({ length: size.gpus }, (_, n) => newGpu(n, size.migEach === 0 ? {} : { mig: Array.from({ length: size.migEach }, (__, m) => newMig(n, m)) })) });
  try {
    const containers = await populate(host, size);
    const socketPath = join(host.dir, 'prepared.sock');
    host.configure({ engine: { host: `unix://${socketPath}` }, limits: { default: { idle_timeout: '1h' } } });
    host.makeSmiInstant();
    const engine = await startPreparedEngine({ socketPath, containers });
    try {
      const args = [job, '--quiet', '--config', host.configPath];
      costOf([GPUCTL, ...args]);
      const costs = Array.from({ length: runs }, () => costOf([GPUCTL, ...args]));
      return { x, wallMs: median(costs.map(({ wallMs }) => wallMs)), cpuMs: costs.reduce((all, { cpuMs }) => all + cpuMs, 0) / runs, rssMiB: peakMiB(args) };
    } finally {
      await engine.stop();
    }
  } finally {
    await host.dispose();
  }
}

/** For each container a shell in its cgroup, which forks its processes there: busybox sleeps without a file of its own. */
async function populate(host: Host, { containers, processes, gpus, migEach }: Size): Promise<readonly Prepared[]> {
  const listed: WorldProcess[][] = Array.from({ length: gpus }, () => []);
  const prepared: Prepared[] = [];
  for (let n = 0; n < containers; n += 1) {
    const id = (n + 1).toString(16).padStart(64, 'b');
    const share = Math.floor((processes * (n + 1)) / containers) - Math.floor((processes * n) / containers);
    const pids = await forkIn(host, `docker/${id}`, Math.max(1, share));
    const [gpu, mig] = [n % gpus, migEach === 0 ? null : Math.floor(n / gpus) % migEach];
    const device = host.gpu(gpu).mig?.[mig ?? 0]?.uuid ?? host.gpu(gpu).uuid;
    prepared.push({ id, name: `job-${n}`, pid: pids[0] ?? 0, device });
    for (const pid of pids.slice(0, share)) listed[gpu]?.push({ pid, type: 'C', name: 'python3', usedMiB: 1, ...(mig === null ? {} : { mig }) });
  }
  host.updateWorld((world) => { world.gpus.forEach((gpu, n) => { gpu.processes.push(...(listed[n] ?? [])); }); });
  return prepared;
}

async function forkIn(host: Host, cgroup: string, count: number): Promise<readonly number[]> {
  const shell = spawn('/bin/busybox', ['sh', '-c', `read -r go; n=0; while [ $n -lt ${count} ]; do sleep 100000 & n=$((n + 1)); done; echo; wait`], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  await once(shell, 'spawn');
  const pid = shell.pid ?? -1;
  const track = (each: number): void => { host.sandbox.trackProcess(each, processStat(each)?.startTicks ?? -1); };
  track(pid);
  host.putInCgroup(pid, cgroup);
  shell.stdin?.end('go\n');
  await once(shell.stdout ?? shell, 'data');
  shell.unref();
  shell.stdout?.destroy();
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  for (const each of pids) track(each);
  return pids;
}
