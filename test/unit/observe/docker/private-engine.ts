import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { openEngine } from '../../../../src/callout/engine.ts';

/** A dockerd of the test's own, with one image, `bb:1`, that holds busybox. It needs root, docker.io and busybox-static. */
export interface PrivateEngine {
  readonly host: string;
  readonly folder: string;
  /** Runs the command-line client and returns what it printed. */
  docker(...args: readonly string[]): string;
  /** Creates a container over the API, for what a command line is too short for. Returns its id. */
  create(body: object): Promise<string>;
  signal(name: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Starts it and waits until it answers. */
export async function startPrivateEngine(): Promise<PrivateEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-engine-'));
  const socketPath = join(folder, 'docker.sock');
  const host = `unix://${socketPath}`;
  const daemon = spawn('dockerd', ['-H', host, '--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '-p', join(folder, 'pid'), '--iptables=false', '--ip6tables=false', '--bridge=none'], { stdio: 'ignore' });
  const ended = once(daemon, 'exit');
  const docker = (...args: readonly string[]): string => execFileSync('docker', ['-H', host, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  await untilItAnswers(host, () => daemon.exitCode !== null);
  importBusybox(folder, docker);
  return {
    host,
    folder,
    docker,
    create: (body) => createContainer(socketPath, body),
    signal: (name) => { daemon.kill(name); },
    stop: async () => {
      const ids = docker('ps', '-aq').split('\n').filter((id) => id !== '');
      if (ids.length > 0) docker('rm', '-f', ...ids);
      daemon.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(host: string, hasEnded: () => boolean): Promise<void> {
  const engine = openEngine({ host, timeoutMs: 1000 });
  while (!(await engine.info()).ok) {
    if (hasEnded()) throw new Error('dockerd ended at once: these tests need root and docker.io');
    await pause(20);
  }
}

function importBusybox(folder: string, docker: PrivateEngine['docker']): void {
  const root = join(folder, 'image');
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync('/usr/bin/busybox', join(root, 'bin/busybox'));
  for (const applet of ['sh', 'sleep', 'true', 'false']) symlinkSync('busybox', join(root, 'bin', applet));
  execFileSync('tar', ['-C', root, '-cf', join(folder, 'image.tar'), '.']);
  docker('import', join(folder, 'image.tar'), 'bb:1');
}

async function createContainer(socketPath: string, body: object): Promise<string> {
  const call = request({ socketPath, method: 'POST', path: '/containers/create', agent: false, headers: { 'content-type': 'application/json' } });
  call.end(JSON.stringify(body));
  const [response] = await once(call, 'response');
  const answer = JSON.parse(await text(response));
  if (typeof answer.Id !== 'string') throw new Error(`not created: ${JSON.stringify(answer)}`);
  return answer.Id;
}

/** The pid of a container's init. */
export function initPid(engine: PrivateEngine, name: string): number {
  return Number(engine.docker('inspect', '-f', '{{.State.Pid}}', name));
}
