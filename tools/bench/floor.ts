import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../test/hostsim/host.ts';
import { compare, type Effort, GPUCTL, heading, median, costOf, say } from './measure.ts';
import { withContainers } from './room.ts';

/**
 * The floor: what anybody must wait for who wants to know this much. One `nvidia-smi -q -x`, one list, and one inspect a
 * container, by curl over the socket, and nothing made of the answers. The inspects are one curl for all of them, whose
 * names it is given beforehand; one connection for all or eight at a time, whichever is faster on this machine.
 */
export async function benchFloor({ runs, quick }: Effort): Promise<void> {
  heading(`against the floor: medians of ${runs} runs in turn`);
  if (spawnSync('curl', ['--version'], { stdio: 'ignore' }).error !== undefined) {
    say('against the floor', 'not measured: curl is not installed');
    return;
  }
  for (const count of quick ? [50] : [50, 300]) {
    const running = Math.min(count, quick ? 10 : 100);
    await withContainers({ running, created: count - running }, (host, engine, ids) => {
      const floor = fasterOf(floorsOn(host, engine.socketPath, ids));
      say(`${count} containers, ${running} of them running`, `inspects: one curl, ${floor.how}`);
      for (const job of ['health-check', 'check-idle']) {
        const { ownMs, otherMs, ratio, cpuRatio } = compare([GPUCTL, job, '--quiet', '--config', host.configPath], floor.command, runs);
        say(`  ${job}`, `${ownMs.toFixed(0).padStart(4)} ms  floor ${otherMs.toFixed(0).padStart(4)} ms  ratio ${ratio.toFixed(2)}  of processor time ${cpuRatio.toFixed(2)} (without the engine's)`, count === 300 ? '≤ 2' : undefined);
      }
    });
  }
}

interface Floor {
  readonly how: string;
  readonly command: readonly string[];
}

function floorsOn(host: Host, socket: string, ids: readonly string[]): readonly Floor[] {
  const urls = join(host.dir, 'urls');
  writeFileSync(urls, ids.map((id) => `url = "http://localhost/containers/${id}/json"\noutput = "/dev/null"\n`).join(''));
  const script = (how: string): readonly string[] => ['/bin/sh', '-c', `set -e
'${host.smiPath}' -q -x >/dev/null
curl -sS --unix-socket '${socket}' -o /dev/null 'http://localhost/containers/json?all=true'
curl -sS --fail --unix-socket '${socket}' ${how} -K '${urls}'`];
  return [{ how: 'one connection', command: script('') }, { how: 'eight at a time', command: script('--parallel --parallel-max 8') }];
}

function fasterOf(floors: readonly Floor[]): Floor {
  const timed = floors.map((floor) => ({ floor, ms: median(Array.from({ length: 5 }, () => costOf(floor.command).wallMs)) }));
  const [fastest] = timed.toSorted((a, b) => a.ms - b.ms);
  if (fastest === undefined) throw new Error('there is no floor');
  return fastest.floor;
}
