import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { buildDemoHost, type DemoHost } from './demo-world.ts';
import type { GpuctlResult } from './gpuctl-call.ts';

/**
 * What `npm start` runs: `gpuctl health-check` on this host if it has nvidia-smi and an engine, else a demonstration on a
 * simulated one. Exits 0 when it went as told.
 */
const REPOSITORY = join(import.meta.dirname, '..', '..');

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function hasRealHost(): boolean {
  const engine = (process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
  return onPath('nvidia-smi') && existsSync(engine);
}

async function demonstrate(): Promise<number> {
  if (process.geteuid?.() !== 0 || !onPath('dockerd')) {
    say('This host has no nvidia-smi with a container engine. The demonstration on a simulated host starts a real');
    say('Docker engine of its own, so it needs root and the package docker.io. Run it as root: sudo npm start');
    return 1;
  }
  say('This host has no nvidia-smi with a container engine, so what follows is a SIMULATED HOST: nvidia-smi is an imitation of');
  say('real captures, but the Docker engine, its containers and every process are real. Four GPUs: two live containers, a');
  say('stopped container and an orphaned process on the third, a container on a MIG slice of the fourth. Setting up …\n');
  const demo = await buildDemoHost();
  try {
    return await tell(demo);
  } finally {
    await demo.dispose();
    say('\nThe simulated host and everything on it is gone again.');
  }
}

async function tell(demo: DemoHost): Promise<number> {
  const report = await step(demo, ['health-check'], 'First a look, which changes nothing:');
  const repair = await step(demo, ['release-stale'], 'Now the pass that root’s cron runs at :05 of each hour:');
  const after = await step(demo, ['health-check'], 'And the host afterwards:');
  const checks: readonly (readonly [string, boolean])[] = [
    ['the first look found the orphan and touched nothing (exit 1)', report.exitCode === 1 && report.stdout.includes('gpu.orphan')],
    ['the stale allocation was released, the orphan ended, GPU 2 reset and verified (exit 0)', repair.exitCode === 0 && !demo.orphan.isAlive() && demo.host.world().resets.length === 1],
    ['every live container still runs', await allRun(demo)],
    ['nothing is left to do (exit 0)', after.exitCode === 0],
  ];
  say('');
  for (const [what, held] of checks) say(`${held ? 'as told' : 'NOT AS TOLD'}: ${what}`);
  return checks.every(([, held]) => held) ? 0 : 1;
}

async function step({ host }: DemoHost, args: readonly string[], what: string): Promise<GpuctlResult> {
  say(`${what}\n\n$ gpuctl ${args.join(' ')}\n`);
  const result = await host.gpuctl(args);
  say(`${result.stdout}${result.stderr}`);
  return result;
}

async function allRun({ engine, containers }: DemoHost): Promise<boolean> {
  const live = [containers.training, containers.notebook, containers.slice];
  const states = await Promise.all(live.map(async (id) => (await engine.inspect(id)).State.Status));
  return states.every((state) => state === 'running');
}

process.exitCode = hasRealHost() ? (spawnSync(join(REPOSITORY, 'bin', 'gpuctl'), ['health-check'], { stdio: 'inherit' }).status ?? 1) : await demonstrate();
