import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine } from './fake-engine.ts';
import { eventsOf, GPUCTL, reportIn, useHost } from './workbench.ts';

/** gpuctl where reading these files of /proc does not come back, as behind a driver that hangs: a pipe that nobody writes to lies over each. */
function heldUp(host: Host, files: readonly string[]): readonly string[] {
  const pipe = join(host.dir, 'pipe');
  execFileSync('mkfifo', [pipe]);
  return ['sh', '-c', `${files.map((file) => `mount --bind ${pipe} ${file}`).join(' && ')} && exec "$@"`, 'sh', GPUCTL];
}

function isLockFree(host: Host): boolean {
  return spawnSync('flock', ['-n', join(host.dir, 'run', 'lock'), 'true']).status === 0;
}

it('a pass does not wait for a process whose memory cannot be read: it does the rest, says so, ends with 1, and the lock is free', async () => {
  const host = useHost({ gpus: [{}, { recovery: 'Reset' }], driver: '590.48.01' });
  const [orphan, stuck, well] = await Promise.all([host.process({ cgroup: `docker/${idOf('dead')}` }), host.process(), host.process()]);
  host.listOn(0, orphan);
  await useEngine(host, [{ id: idOf('1'), pid: stuck.pid, gpus: [host.gpu(0).uuid] }, { id: idOf('2'), pid: well.pid, gpus: [host.gpu(0).uuid] }]);
  const result = await host.gpuctl(['release-stale', '--json'], { program: heldUp(host, [`/proc/${stuck.pid}/environ`]), timeoutMs: 30_000 });
  expect(result).toMatchObject({ exitCode: 1, signal: null, stderr: '' });
  expect(isLockFree(host)).toBe(true);
  expect(eventsOf(result.events, 'pass.ended')).toMatchObject([{ 'gpuctl.exit': 1 }]);
  expect(eventsOf(result.events, 'observe.partial')).toMatchObject([{ 'gpuctl.source': 'engine', 'gpuctl.missing': [{ subject: idOf('1'), why: `the environment of its process ${stuck.pid}: no answer within 2000 ms` }] }]);
  expect(reportIn(result).observed).toMatchObject({ engine: 'partial', processes: 'complete' });
  expect(orphan.isAlive()).toBe(false);
  // It may claim any device.
  expect(host.world().resets).toEqual([]);
});

it('a pass does not wait for what may be a shim and does not say whose: it spares the orphan, ends, and the lock is free', async () => {
  const host = useHost();
  const [orphan, stuck] = await Promise.all([host.process({ cgroup: `docker/${idOf('dead')}` }), host.process({ name: 'containerd-shim' })]);
  host.listOn(0, orphan);
  await useEngine(host);
  const result = await host.gpuctl(['release-stale', '--json'], { program: heldUp(host, [`/proc/${stuck.pid}/cmdline`]), timeoutMs: 30_000 });
  expect(result).toMatchObject({ signal: null, stderr: '' });
  expect(eventsOf(result.events, 'pass.ended')).toMatchObject([{ 'gpuctl.exit': result.exitCode }]);
  expect(result.exitCode).toBe(1);
  expect(isLockFree(host)).toBe(true);
  expect(reportIn(result).observed.processes).toBe('partial');
  expect(orphan.isAlive()).toBe(true);
});
