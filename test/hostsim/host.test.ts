import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { cgroupRoots } from './cgroups.ts';
import { startHost, type Host } from './host.ts';
import { pidsNaming } from './process-table.ts';
import { processStat } from './smi-device.ts';

const ID = 'c0ffee'.padEnd(64, '0');
const SH = ['sh', '-c'] as const;

let host: Host;
beforeEach(() => { host = startHost({ gpus: 2, config: { orphans: { term_grace: '2s' } } }); });
afterEach(() => host.dispose());

describe('a host', () => {
  it('has a configuration that only root may change, with everything inside its folder', () => {
    const { mode, uid } = statSync(host.configPath);
    expect([mode & 0o777, uid]).toEqual([0o600, 0]);
    host.configure({ engine: { timeout: '5s' } });
    expect(parse(readFileSync(host.configPath, 'utf8'))).toMatchObject({
      engine: { timeout: '5s', host: expect.stringContaining(host.dir) as string },
      orphans: { confirm_after: '1s', term_grace: '2s' },
      state: { dir: host.stateDir }, events: { file: host.eventsPath }, nvidia_smi: { path: host.smiPath },
    });
  });

  it('changes its world without losing a change, whoever writes at the same time', async () => {
    const writer = `import { updateWorld } from '${import.meta.dirname}/world.ts';
      for (let n = 0; n < 50; n += 1) updateWorld('${host.worldPath}', (world) => { world.gpus[0].usedMiB += 1; });`;
    const other = spawn(process.execPath, ['--input-type=module-typescript', '-e', writer], { stdio: 'inherit' });
    const before = host.gpu(0).usedMiB;
    for (let n = 0; n < 50; n += 1) { host.updateGpu(0, (gpu) => { gpu.usedMiB += 1; }); await delay(1); }
    if (other.exitCode === null) await once(other, 'exit');
    expect(host.gpu(0).usedMiB).toBe(before + 100);
  });
});

describe('its processes', () => {
  it('are real, with the name, the user and the cgroup asked for, in every hierarchy', async () => {
    const path = `user.slice/user-1000.slice/user@1000.service/docker-${ID}.scope`;
    const trainer = await host.process({ name: 'my trainer', uid: 65_534, cgroup: path });
    const proc = (file: string): string => readFileSync(`/proc/${trainer.pid}/${file}`, 'utf8');
    expect(proc('comm')).toBe('my trainer\n');
    expect(proc('status')).toMatch(/^Uid:\t65534\t65534/m);
    const paths = proc('cgroup').trim().split('\n').map((line) => line.split(':').slice(2).join(':'));
    expect(paths.length).toBeGreaterThanOrEqual(cgroupRoots().length);
    expect(new Set(paths)).toEqual(new Set([`/${path}`]));
    expect(processStat(trainer.pid)?.startTicks).toBe(trainer.startTicks);
  });

  it('end at SIGTERM, unless they ignore it', async () => {
    const [meek, stubborn] = [await host.process(), await host.process({ ignoreTerm: true })];
    for (const { pid } of [stubborn, meek]) process.kill(pid, 'SIGTERM');
    await meek.ended;
    expect([meek.isAlive(), stubborn.isAlive()]).toEqual([false, true]);
    await stubborn.end();
    expect(stubborn.isAlive()).toBe(false);
  });

  it('can hold a device node open that no other host has', async () => {
    await host.dispose();
    host = startHost({ gpus: 2, deviceNodes: true });
    const second = startHost({ gpus: 1, deviceNodes: true });
    const node = host.nodePath(1);
    expect(new Set([host.nodePath(0), node, second.nodePath(0)]).size).toBe(3);
    const holder = await host.holdNode(1);
    expect(readlinkSync(`/proc/${holder.pid}/fd/3`)).toBe(node);
    expect(spawnSync(host.smiPath, ['-r', '-i', '1']).status).toBe(19);
    const secondNode = second.nodePath(0);
    await second.dispose();
    expect([existsSync(node), existsSync(secondNode)]).toEqual([true, false]);
    await host.dispose();
    expect(existsSync(node)).toBe(false);
  });
});

describe('gpuctl on it', () => {
  const program = [...SH, 'echo "$@"; cat; echo said >&2; echo "{\\"n\\":1}" >>"$EVENTS"; exit 3', 'gpuctl'];

  it('gets arguments, input and the configuration, and its output, exit code and new events come back', async () => {
    const env = { EVENTS: host.eventsPath };
    await host.gpuctl([], { program, env });
    const result = await host.gpuctl(['status'], { program, env, stdin: 'yes\n' });
    expect(result).toEqual({ exitCode: 3, signal: null, stdout: `status --config ${host.configPath}\nyes\n`, stderr: 'said\n', events: [{ n: 1 }], json: undefined });
    expect(host.events()).toHaveLength(2);
  });

  it('finds /run/gpuctl to be the own one of its host', async () => {
    const touch = [...SH, 'touch /run/gpuctl/mark', 'gpuctl'];
    await host.gpuctl([], { program: touch });
    expect(existsSync(join(host.dir, 'run', 'mark'))).toBe(true);
    expect(existsSync('/run/gpuctl/mark')).toBe(false);
  });

  it('gets the signals that are sent to the pid that was started', async () => {
    const trap = [...SH, 'trap "echo caught; exit 9" TERM; echo "$$"; while :; do sleep 0.01; done', 'gpuctl'];
    const running = host.startGpuctl([], { program: trap });
    const [first] = await once(running.child.stdout ?? process.stdin, 'data') as [Buffer];
    expect(Number(first.toString())).toBe(running.pid);
    process.kill(running.pid, 'SIGTERM');
    expect(await running.done).toMatchObject({ exitCode: 9, stdout: expect.stringContaining('caught') as string });
  });

  it('is killed at its deadline', async () => {
    expect(await host.gpuctl([], { program: ['sleep', '60'], timeoutMs: 200 })).toMatchObject({ exitCode: 1, signal: null });
    const hanging = await host.gpuctl([], { program: [...SH, 'while :; do sleep 0.01; done', 'gpuctl'], timeoutMs: 200 });
    expect(hanging).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
  });
});

describe('an nvidia-smi that cannot be reaped', () => {
  it('keeps its pipes open after SIGKILL', async () => {
    host.fault({ kind: 'hang', style: 'unreapable' });
    const child = spawn(host.smiPath, ['-q', '-x'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let closed = false;
    child.once('close', () => { closed = true; });
    const holders = (): readonly number[] => pidsNaming(`${host.worldPath}.sleep`);
    while (holders().length === 0) await delay(5);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await delay(50);
    expect(closed).toBe(false);
    await host.dispose();
    expect(holders()).toEqual([]);
  });
});

function freeze(group: string): void {
  if (existsSync(join(group, 'freezer.state'))) writeFileSync(join(group, 'freezer.state'), 'FROZEN');
  else if (existsSync(join(group, 'cgroup.freeze'))) writeFileSync(join(group, 'cgroup.freeze'), '1');
}

function groups(name: string): string[] {
  return cgroupRoots().map((root) => join(root, name)).filter((group) => existsSync(group));
}

describe('the end of a host', () => {
  it('leaves no process, cgroup or folder behind, frozen ones included', async () => {
    const name = `kubepods/pod-${process.pid}`;
    const trainer = await host.process({ ignoreTerm: true, cgroup: `${name}/${ID}` });
    expect(groups(name)).toHaveLength(cgroupRoots().length);
    for (const group of groups(`${name}/${ID}`)) freeze(group);
    await host.dispose();
    expect([trainer.isAlive(), groups(name), existsSync(host.dir)]).toEqual([false, [], false]);
    await host.dispose();
  });

  it('comes as well when the test process is killed', async () => {
    const name = `machine.slice/libpod-${process.pid}.scope`;
    const script = `import { startHost } from '${import.meta.dirname}/host.ts';
      const host = startHost();
      const { pid } = await host.process({ cgroup: '${name}' });
      console.log(JSON.stringify({ pid, dir: host.dir }));
      setInterval(() => undefined, 1000);`;
    const test = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(test.stdout, 'data') as [Buffer];
    const { pid, dir } = JSON.parse(line.toString()) as { pid: number; dir: string };
    expect([existsSync(dir), groups(name).length > 0]).toEqual([true, true]);
    test.kill('SIGKILL');
    while (existsSync(dir)) await delay(10);
    expect([processStat(pid)?.state ?? 'Z', groups(name)]).toEqual(['Z', []]);
  });
});
