import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineProxy, type EngineProxy } from '../hostsim/engine-proxy.ts';
import { openScene, useEngine, type PassRun, type Scene } from './scene.ts';

/** What a look at the host costs does not depend on a clock: calls out of the process are counted. `npm run bench` measures time. */
const GPUS = 8;
const RUNNING = 20;
const STOPPED = 4;
const OTHERS = 10;

const ROOT = join(import.meta.dirname, '..', '..');
const NODE = join(ROOT, 'node_modules', '.bin', 'node');
const engine = useEngine();
let scene: Scene;
let proxy: EngineProxy;
let asked: readonly string[];
let containers: readonly string[];
let children: string;
let run: PassRun;

/** Has every child process that gpuctl starts write down its command line, whichever way it is started. */
function spawnRecorder(log: string): string {
  const hook = join(scene.host.dir, 'record-spawns.cjs');
  writeFileSync(hook, `
    const { appendFileSync } = require('node:fs');
    const processes = require('node:child_process');
    const note = (args) => appendFileSync(${JSON.stringify(log)}, JSON.stringify(args) + '\\n');
    const { spawn } = processes.ChildProcess.prototype;
    processes.ChildProcess.prototype.spawn = function (options) { note(options.args); return spawn.call(this, options); };
    for (const name of ['spawnSync', 'execSync', 'execFileSync']) {
      const original = processes[name];
      processes[name] = (...args) => { note([name, ...args]); return original(...args); };
    }`);
  return hook;
}

beforeAll(async () => {
  scene = openScene(engine(), { gpus: GPUS });
  const ids: string[] = [];
  for (let n = 0; n < RUNNING; n += 1) ids.push(await scene.computing(n % GPUS, { gpus: [scene.uuid(n % GPUS)] }));
  for (let n = 0; n < STOPPED; n += 1) ids.push(await scene.stopped({ gpus: [scene.uuid(n)] }));
  for (let n = 0; n < OTHERS; n += 1) scene.host.listOn(n % GPUS, await scene.host.process({ cgroup: 'system.slice/nvidia-dcgm.service' }));
  containers = ids;
  proxy = await engineProxy({ sandbox: scene.host.sandbox, target: engine().socketPath });
  scene.host.configure({ engine: { host: proxy.host } });
  children = join(scene.host.dir, 'children.jsonl');
  run = await scene.pass(['health-check'], { program: [NODE, '--require', spawnRecorder(children), join(ROOT, 'dist', 'start.cjs')] });
  asked = [...proxy.requests];
});
afterAll(async () => {
  await proxy.close();
  await scene.dispose();
});

function requests(pattern: RegExp): readonly string[] {
  return asked.filter((line) => pattern.test(line));
}

it('a health-check sees the whole host of these figures', () => {
  expect(run.report.observed).toMatchObject({ nvidia_smi: 'complete', engine: 'complete', processes: 'complete' });
  expect(run.report.devices.flatMap(({ processes }) => processes ?? [])).toHaveLength(RUNNING + OTHERS);
  expect(new Set(run.report.devices.flatMap(({ claims }) => claims.map(({ container }) => container.id)))).toEqual(new Set(containers));
});

it('a health-check asks the driver once each: the list, the document, the indices, the compute processes', () => {
  expect(run.calls.map(({ kind }) => kind)).toEqual(['list', 'xml', 'query-gpu', 'compute-apps']);
});

it('a health-check starts no process but nvidia-smi, however many containers there are', () => {
  expect(existsSync(children)).toBe(true);
  const started = readFileSync(children, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as readonly string[]);
  expect(started.map(([file]) => file)).toEqual(run.calls.map(() => scene.host.smiPath));
});

it('a health-check asks the engine for one list, for each container once, and before and after that who it is', () => {
  expect(requests(/\/containers\/json/)).toHaveLength(1);
  const inspected = requests(/\/containers\/[0-9a-f]{64}\/json/).map((line) => /[0-9a-f]{64}/.exec(line)?.[0] ?? '');
  expect(inspected.toSorted()).toEqual(containers.toSorted());
  expect(requests(/\/info$/)).toHaveLength(2);
  expect(requests(/\/_ping$/)).toHaveLength(1);
  expect(asked).toHaveLength(1 + containers.length + 2 + 1);
});
