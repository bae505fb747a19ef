import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { compose } from '../../../src/cli/compose.ts';
import type { Seam } from '../../../src/cli/replay/tape.ts';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { failed } from '../../../src/model/observation.ts';
import type { Job } from '../../../src/passes/pass.ts';
import type { ProcReader } from '../../../src/observe/host.ts';

/** Does a pass of this job ask who has a device node open? */
async function asks(job: Job): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-holders-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  const base = defaultConfig();
  const config = { ...base, engine: { ...base.engine, host: `unix://${dir}/none.sock` }, nvidiaSmi: { ...base.nvidiaSmi, path: join(dir, 'none') }, state: { ...base.state, dir }, events: { file: join(dir, 'events.jsonl') } };
  let asked: boolean | null = null;
  const proc: Partial<ProcReader> = {
    listed: async (_, holdersToo) => {
      asked = holdersToo;
      return failed('error', 'not here');
    },
    withShims: async () => failed('error', 'not here'),
  };
  const seam: Seam = { part: (name, make) => (name === 'proc' ? { ...make(), ...proc } : make()) };
  const loaded = { config, configured: { limits: false, leftovers: false } } as Parameters<typeof compose>[0]['loaded'];
  const composed = compose({ loaded, seam, globals: {}, stopping: () => null, options: { id: 'pass-1', job, dryRun: true, acts: true, records: false, overBudget: false, devices: [] } });
  onTestFinished(() => { composed.close(); });
  await composed.parts.observer.observe();
  if (asked === null) throw new Error('/proc was not looked at');
  return asked;
}

it.each<Job>(['health-check', 'release-stale', 'reset', 'status'])('%s, which decides on resets, asks who has a device node open', async (job) => {
  expect(await asks(job)).toBe(true);
});

it.each<Job>(['sample', 'check-idle', 'enforce-runtime', 'cleanup-containers'])('%s does not: it resets nothing, and the answer is the longest part of a look at /proc', async (job) => {
  expect(await asks(job)).toBe(false);
});
