import { GPUCTL, inNamespace } from './arrange.ts';
import type { FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

/** What the kernel tells. */
export function procCases(): readonly FaultCase[] {
  const hidden = (fault: string, commands: (stage: Stage) => string, more: Partial<FaultCase> = {}): FaultCase => ({ callOut: '/proc', fault, ...more, arrange: (stage) => inNamespace(stage, commands(stage)) });
  const files = ['cgroup', 'stat', 'status', 'cmdline', 'comm'];
  const blank = files.flatMap((file) => [
    hidden(`${file} of the orphan is empty`, ({ host, orphan }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/${orphan.pid}/${file}`, { quick: file === 'cgroup' }),
    hidden(`${file} of the orphan is garbage`, ({ host, orphan }) => `printf '\\001\\377 ((( 0::' >${host.dir}/junk && mount --bind ${host.dir}/junk /proc/${orphan.pid}/${file}`),
    hidden(`${file} of the orphan may not be read`, ({ host, orphan }) => `mkdir -p ${host.dir}/nofile && touch ${host.dir}/nofile/f && mount --bind ${host.dir}/nofile/f /proc/${orphan.pid}/${file} && mount -o remount,bind,ro /proc/${orphan.pid}/${file}`),
    hidden(`${file} of a live container is empty`, ({ host, ground }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/${ground.live[0]?.pid}/${file}`),
  ]);
  return [
    ...blank,
    hidden('no boot id', ({ host }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/sys/kernel/random/boot_id`),
    hidden('no uptime', ({ host }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/uptime`),
    hidden('only the own processes', () => 'mount -t proc -o hidepid=2 proc /proc'),
    { callOut: '/proc', fault: 'another pid namespace', arrange: () => ({ options: { program: ['unshare', '--pid', '--fork', '--mount-proc', GPUCTL] } }) },
  ];
}
