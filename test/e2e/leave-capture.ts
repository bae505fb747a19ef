import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, type RunnerTask, TestRunner } from 'vitest';
import { startGpuctl } from '../hostsim/gpuctl-call.ts';
import { sandboxes } from '../hostsim/sandbox.ts';

/*
 * Loaded ahead of every test file that runs the built program: a test that fails leaves a bundle of `gpuctl capture` of each
 * simulated host that is there, while it is there; where there is none, of each engine and each room. Nothing is left of the
 * clean Debians of package.test.ts, in which there is no GPU and no engine, and of tests that only read files of the checkout.
 */

const GPUCTL = join(import.meta.dirname, '..', '..', 'bin', 'gpuctl');
const LIMIT_MS = 15_000;

const { file } = TestRunner.getCurrentSuite();
/** How to get into each room. */
const rooms = new Map<string, readonly string[]>();
/** What each failed task has left, or is about to leave, by folder. */
const left = new Map<RunnerTask, Map<string, Promise<void>>>();

/** A folder that is no sandbox and in which gpuctl is run by this program and its arguments: a test that fails captures it as well. */
export function captureOnFailure(dir: string, enter: readonly string[]): void {
  rooms.set(dir, enter);
}

// Before the hooks by which tests end their hosts, and before any of these goes that went by another way.
afterEach(leaveAll, 60_000);
afterAll(leaveAll, 60_000);
sandboxes.beforeSweep = leaveAll;
sandboxes.wentWrong = leave;

async function leaveAll(): Promise<void> {
  const task = failed();
  if (task === null) return;
  const bundles = left.get(task) ?? new Map<string, Promise<void>>();
  left.set(task, bundles);
  const there = [...sandboxes.dirs, ...rooms.keys()].filter((dir) => existsSync(dir));
  const hosts = there.filter((dir) => existsSync(join(dir, 'config.yaml')));
  const wanted = hosts.length > 0 ? hosts : bundles.size > 0 ? [] : there;
  for (const dir of wanted) if (!bundles.has(dir)) bundles.set(dir, leave(task.name, dir));
  await Promise.all(bundles.values());
}

/** The test that failed, or the suite of which a hook did; null: neither. */
function failed(): RunnerTask | null {
  const test = TestRunner.getCurrentTest();
  if (test !== undefined) return test.result?.state === 'fail' ? test : null;
  return file === undefined ? null : failedHook(file);
}

/** A suite has errors of its own where a hook failed. */
function failedHook(task: RunnerTask): RunnerTask | null {
  if (task.type === 'test') return null;
  if (task.result?.errors !== undefined) return task;
  return task.tasks.map(failedHook).find((each) => each !== null) ?? null;
}

/** Never throws: what failed already is told, and nothing else may fail for it. */
async function leave(name: string, dir: string): Promise<void> {
  const said = await capture(name, dir).catch((error: unknown) => `${dir} could not be captured: ${String(error)}`);
  process.stderr.write(`${name}: ${said}\n`);
}

/** With the test's own configuration; where that leads to nothing, or takes too long, with a plain one. */
async function capture(name: string, dir: string): Promise<string> {
  const folder = join(tmpdir(), 'gpuctl-failed-tests');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const bundle = join(folder, `${name.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 80)}-${Date.now()}-${basename(dir)}.tar.gz`);
  const enter = rooms.get(dir) ?? [];
  const attempt = async (config: string): Promise<string> => {
    if (!existsSync(config)) return '';
    return (await startGpuctl(dir, ['capture', bundle, '--config', config], { program: [...enter, GPUCTL], timeoutMs: LIMIT_MS, withoutEvents: true }).done).stderr;
  };
  let why = await attempt(join(dir, rooms.has(dir) ? 'gpuctl/config.yaml' : 'config.yaml'));
  if (!existsSync(bundle)) why += await attempt(plainConfig(dir));
  if (existsSync(bundle)) return `gpuctl health-check --replay ${bundle}`;
  return `${dir} could not be captured: ${why}`;
}

/** What is at the usual places of a sandbox, each asked for a short time; nothing of it is written to the test's own state. */
function plainConfig(dir: string): string {
  const path = join(dir, 'plain.json');
  writeFileSync(path, JSON.stringify({
    version: 1,
    engine: { host: `unix://${join(dir, 'engine', 'docker.sock')}`, timeout: '2s' },
    nvidia_smi: { path: join(dir, 'bin', 'nvidia-smi'), timeout: '2s' },
    events: { file: join(dir, 'plain.jsonl') },
    state: { dir: join(dir, 'plain') },
  }), { mode: 0o600 });
  return path;
}
