import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeInstantSmi } from '../test/hostsim/instant-smi.ts';
import { DEFAULT_DRIVER, newWorld } from '../test/hostsim/new-world.ts';
import { processStat } from '../test/hostsim/smi-device.ts';
import { writeWorld } from '../test/hostsim/world.ts';

const GPUS = 8;
const CONTAINERS = 16;
const API = '1.41';
/** Those of the launcher, as compiled code is good for one set of flags. Without optimising compilers a health-check takes a fifth less processor time, and 20 MiB less. */
const FLAGS = ['--no-opt', '--no-maglev'];

/**
 * Makes dist/gpuctl.cache: the compiled code of the bundle as it is at the end of one health-check, the command that runs
 * most often and meets most of the code. The host that it reports on is a stage in a temporary folder, a script in place of
 * nvidia-smi and a few prepared answers in place of an engine; of the real one only /proc is read. Any user may do this.
 */
export async function makeCodeCache(dist: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-build-'));
  const engine = createServer((request, response) => {
    const answer = answerTo(request.url ?? '');
    response.writeHead(answer === undefined ? 404 : 200, { 'api-version': API, 'content-type': 'application/json' }).end(JSON.stringify(answer ?? { message: 'page not found' }));
  });
  try {
    await runOn(dir, engine, dist);
  } finally {
    engine.closeAllConnections();
    engine.close();
    rmSync(dir, { recursive: true });
  }
}

async function runOn(dir: string, engine: Server, dist: string): Promise<void> {
  engine.listen(join(dir, 'engine.sock'));
  await once(engine, 'listening');
  const world = newWorld(DEFAULT_DRIVER, GPUS);
  const self = { pid: process.pid, startTicks: processStat(process.pid)?.startTicks ?? 0 };
  for (const gpu of world.gpus) gpu.processes.push({ ...self, type: 'C', name: 'python3', usedMiB: 100 });
  writeWorld(join(dir, 'world.json'), world);
  mkdirSync(join(dir, 'bin'));
  writeInstantSmi(dir, join(dir, 'world.json'));
  const config = { version: 1, engine: { host: `unix://${dir}/engine.sock` }, nvidia_smi: { path: join(dir, 'bin', 'nvidia-smi') }, state: { dir: join(dir, 'state') }, events: { file: join(dir, 'events.jsonl') } };
  // JSON is YAML.
  writeFileSync(join(dir, 'config.yaml'), JSON.stringify(config), { mode: 0o600 });
  const child = spawn(process.execPath, [...FLAGS, join(dist, 'make-code-cache.cjs'), 'health-check', '--config', join(dir, 'config.yaml')], { stdio: ['ignore', 'ignore', 'inherit'], env: { PATH: process.env['PATH'] } });
  // 0 or 1: a report, with or without findings.
  const [code] = await once(child, 'exit') as [number | null];
  if (code !== 0 && code !== 1) throw new Error(`the health-check that warms the code cache ended with ${code}`);
}

const IDS = Array.from({ length: CONTAINERS }, (_, n) => n.toString(16).padStart(64, '0'));

function answerTo(url: string): unknown {
  const path = url.replace(`/v${API}`, '').replace(/\?.*/, '');
  if (path === '/_ping') return 'OK';
  if (path === '/info') return { ID: 'STAGE', ServerVersion: '20.10.0', DefaultRuntime: 'runc' };
  if (path === '/containers/json') return IDS.map((id) => ({ Id: id, Names: [`/job-${id.slice(-2)}`], State: 'running' }));
  const id = /^\/containers\/([0-9a-f]{64})\/json$/.exec(path)?.[1];
  return id === undefined ? undefined : container(id, IDS.indexOf(id));
}

function container(id: string, n: number): object {
  const at = '2026-01-01T00:00:00.123456789Z';
  return {
    Id: id, Name: `/job-${id.slice(-2)}`, Created: at,
    State: { Status: n % 4 === 0 ? 'exited' : 'running', Running: n % 4 !== 0, Paused: false, Restarting: false, Pid: n % 4 === 0 ? 0 : process.pid, StartedAt: at, FinishedAt: at },
    Config: { Image: 'image', Env: ['PATH=/bin', 'NVIDIA_VISIBLE_DEVICES=all'], Labels: { 'gpuctl.owner': 'alice', 'gpuctl.device': '0' } },
    HostConfig: { Runtime: n % 2 === 0 ? 'nvidia' : 'runc', Privileged: false, DeviceRequests: [{ Driver: '', Count: 0, DeviceIDs: [String(n % GPUS)], Capabilities: [['gpu']] }], Devices: [] },
    Mounts: [{ Type: 'bind', Source: '/data', Destination: '/data' }],
  };
}
