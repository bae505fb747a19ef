import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../test/hostsim/host.ts';
import { costOf, type Effort, GPUCTL, heading, median, say } from './measure.ts';
import { withContainers } from './room.ts';

/**
 * A stand-in for the scripts that gpuctl replaced, written anew from what was counted of them: in each pass 52 to 96 `docker`
 * and `python3` processes for six containers. Here, the idle pass starts eight a container (five questions to the engine, one
 * of them the slow `docker stats`, and two interpreters for the owner's limits and the decision) and four besides, which is
 * the least that was counted; the runtime pass is the same without `docker stats`. What they printed and worked out is left
 * out, and so are their hundreds of greps and dates: the stand-in is faster than they were.
 */
const SCRIPT = `#!/bin/sh
# usage: predecessor idle|runtime; DOCKER_HOST, SMI, PYTHON
pass=$1
"$SMI" --query-gpu=index,uuid,pci.bus_id --format=csv >/dev/null
"$PYTHON" -c 'import json, sys, datetime' # the configuration
for id in $(docker ps -q --no-trunc); do
	state=$(docker inspect -f '{{.State.Status}}' "$id")
	started=$(docker inspect -f '{{.State.StartedAt}}' "$id")
	owner=$(docker inspect -f '{{index .Config.Labels "gpuctl.owner"}}' "$id")
	kind=$(docker inspect -f '{{index .Config.Labels "ds01.container_type"}}' "$id")
	gpu=$(docker inspect -f '{{range .HostConfig.DeviceRequests}}{{.DeviceIDs}}{{end}}' "$id")
	limit=$("$PYTHON" -c 'import json, sys; print(86400)' "$owner" "$kind")
	if [ "$pass" = idle ]; then docker stats --no-stream --format '{{.CPUPerc}} {{.NetIO}}' "$id" >/dev/null; fi
	"$PYTHON" -c 'import datetime, sys; print(sys.argv[1:])' "$state" "$started" "$limit" "$gpu" >/dev/null
done
"$PYTHON" -c 'import json' # the state file
`;

/** The system's own: a shim of a version manager would cost more than the interpreter. */
const PYTHON = '/usr/bin/python3';

export async function benchPredecessor({ quick }: Effort): Promise<void> {
  heading("against a stand-in for the predecessor's way");
  const lacking = [['docker', spawnSync('docker', ['--version'], { stdio: 'ignore' }).error !== undefined], [PYTHON, !existsSync(PYTHON)]].filter(([, absent]) => absent === true).map(([name]) => name);
  if (lacking.length > 0) {
    say('the predecessor', `not measured: ${lacking.join(' and ')} ${lacking.length > 1 ? 'are' : 'is'} not installed`);
    return;
  }
  for (const running of quick ? [10] : [10, 50, 100, 300]) await withContainers({ running, created: 0 }, (host, engine) => { measure(host, engine.host, running); });
}

/** One run of it a row: it takes minutes, and does not vary by as much as it is slower. */
function measure(host: Host, engineHost: string, running: number): void {
  const script = join(host.dir, 'predecessor');
  writeFileSync(script, SCRIPT);
  chmodSync(script, 0o755);
  for (const [pass, job] of [['idle', 'check-idle'], ['runtime', 'enforce-runtime']] as const) {
    const own = [GPUCTL, job, '--quiet', '--config', host.configPath];
    costOf(own);
    const ownMs = median(Array.from({ length: 7 }, () => costOf(own).wallMs));
    const { wallMs } = costOf(['/usr/bin/env', `DOCKER_HOST=${engineHost}`, `SMI=${host.smiPath}`, `PYTHON=${PYTHON}`, script, pass]);
    say(`${running} running containers, the ${pass} pass`, `${(wallMs / 1000).toFixed(1).padStart(6)} s  gpuctl ${job} ${ownMs.toFixed(0).padStart(4)} ms  ${(wallMs / ownMs).toFixed(0).padStart(4)} times as fast`, running === 50 && pass === 'idle' ? '≥ 200' : undefined);
  }
}
