import { buildDemoHost, type DemoHost } from './demo-world.ts';
import type { GpuctlResult } from './gpuctl-call.ts';

/** The demonstration on a simulated host that `npm start` runs where there is no GPU. Exits 0 when it went as told. */
function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function demonstrate(): Promise<number> {
  if (process.geteuid?.() !== 0) {
    say('This host has no nvidia-smi with a container engine. The demonstration on a simulated host starts a real Docker engine of');
    say('its own and makes real orphans, which needs root: run it with sudo npm start.');
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

process.exitCode = await demonstrate();
