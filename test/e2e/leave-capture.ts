import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, type TestContext, TestRunner } from 'vitest';
import type { Host } from '../hostsim/host.ts';

/** Hosts of this file that are still there. */
const open = new Set<Host>();
/** The last failed test that each left a capture of. */
const left = new WeakMap<Host, string>();

/** From now on a test that fails leaves a capture of this host, whose path is printed: `gpuctl release-stale --replay FILE` decides on it again. */
export function captureOnFailure(host: Host): void {
  open.add(host);
}

/** To be called before the host goes: it may go while its test is known to have failed. */
export async function beforeHostGoes(host: Host): Promise<void> {
  const test = TestRunner.getCurrentTest();
  if (open.delete(host) && test?.result?.state === 'fail') await leave(host, test.name);
}

/** For hosts that outlive the test that failed. */
afterEach(async ({ task }: TestContext) => {
  if (task.result?.state === 'fail') for (const host of open) await leave(host, task.name);
});

async function leave(host: Host, name: string): Promise<void> {
  if (left.get(host) === name) return;
  left.set(host, name);
  const folder = join(tmpdir(), 'gpuctl-failed-tests');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 80)}-${Date.now()}.tar.gz`);
  const { exitCode, stderr } = await host.gpuctl(['capture', file]);
  process.stderr.write(exitCode === 0 || exitCode === 1 ? `the host of the test that failed: ${file}\n` : `the host of the test that failed could not be captured: ${stderr}\n`);
}
