import { execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeSandbox } from '../hostsim/sandbox.ts';
import { processStat } from '../hostsim/smi-device.ts';

const run = promisify(execFile);

/** A private podman behind its Docker-compatible socket. */
export interface Podman {
  /** For `engine.host`. */
  readonly host: string;
  /** Starts a container that sleeps; `options` are those of `podman run`. `pid`: its first process on the host. */
  run(...options: readonly string[]): Promise<{ readonly id: string; readonly pid: number }>;
  remove(id: string): Promise<void>;
  dispose(): Promise<void>;
}

/** Starts podman's service in a folder of its own, with one image. */
export async function startPodman(): Promise<Podman> {
  const sandbox = makeSandbox();
  const at = (name: string): string => join(sandbox.dir, name);
  writeFileSync(at('containers.conf'), '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n');
  const env = { ...process.env, CONTAINERS_CONF: at('containers.conf') };
  const globals = ['--root', at('root'), '--runroot', at('runroot'), '--tmpdir', at('tmp'), '--cgroup-manager=cgroupfs', '--storage-driver=vfs', '--events-backend=file'];
  const podman = async (...args: readonly string[]): Promise<string> => (await run('podman', [...globals, ...args], { env })).stdout.trim();
  await podman('import', await makeImage(sandbox.dir), 'bb:1');
  const service = spawn('podman', [...globals, 'system', 'service', '--time=0', `unix://${at('podman.sock')}`], { detached: true, stdio: 'ignore', env });
  service.unref();
  sandbox.trackProcess(service.pid ?? -1, processStat(service.pid ?? -1)?.startTicks ?? -1);
  while (!existsSync(at('podman.sock'))) await delay(20);
  return {
    host: `unix://${at('podman.sock')}`,
    async run(...options) {
      const id = await podman('run', '--detach', '--network=none', '--pull=never', ...options, 'bb:1', 'sleep', '100000');
      return { id, pid: Number(await podman('inspect', '--format', '{{.State.Pid}}', id)) };
    },
    async remove(id) { await podman('rm', '--force', '--time=0', id); },
    async dispose() {
      await podman('rm', '--all', '--force', '--time=0');
      await sandbox.dispose();
    },
  };
}

async function makeImage(dir: string): Promise<string> {
  const root = join(dir, 'image');
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  symlinkSync('busybox', join(root, 'bin', 'sleep'));
  await run('tar', ['-C', root, '-cf', join(dir, 'image.tar'), '.']);
  return join(dir, 'image.tar');
}
