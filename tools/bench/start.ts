import { startEngine } from '../../test/hostsim/dockerd.ts';
import { startHost } from '../../test/hostsim/host.ts';
import { compare, type Effort, GPUCTL, heading, NODE, peakMiB, say } from './measure.ts';

const CONTAINERS = 50;
const PROCESSES = 60;
const GPUS = 8;

interface Row { readonly what: string; readonly command: readonly string[]; readonly goal: number }

/**
 * Figures as ratios to a bare `node -e 0` of the same runtime, measured in turn in one run; medians. The host is
 * simulated: real containers of a real engine, real processes, and an nvidia-smi that answers within milliseconds.
 * Beside the time on the clock stands the processor time of the command and its children: it tells more on a machine that
 * has other things to do, and nothing of what was done side by side with the engine.
 */
export async function benchStart({ runs }: Effort): Promise<void> {
  heading(`against bare node: medians of ${runs} runs in turn`);
  againstNode({ what: 'gpuctl --version', command: [GPUCTL, '--version'], goal: 2 }, runs);
  if (process.geteuid?.() === 0) await healthCheck(runs);
  else say('health-check', 'not measured: a private container engine needs root');
}

function againstNode({ what, command, goal }: Row, runs: number): void {
  const { ownMs, otherMs, ratio, cpuRatio } = compare(command, [NODE, '-e', '0'], runs);
  say(what, `${ownMs.toFixed(0).padStart(4)} ms  node -e 0 ${otherMs.toFixed(0).padStart(4)} ms  ratio ${ratio.toFixed(2).padStart(5)}  of medians ${(ownMs / otherMs).toFixed(2).padStart(5)}  of processor time ${cpuRatio.toFixed(2).padStart(5)}`, `≤ ${goal}`);
}

async function healthCheck(runs: number): Promise<void> {
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
    againstNode({ what: `health-check, ${GPUS} GPUs, ${CONTAINERS} containers`, command: [GPUCTL, ...args], goal: 6 }, runs);
    say('its peak resident memory', `${peakMiB(args).toFixed(0).padStart(4)} MiB`, '≤ 110');
  } finally {
    await host.dispose();
  }
}
