import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { EngineClient } from '../../../src/callout/engine.ts';
import { compose } from '../../../src/cli/compose.ts';
import type { Seam } from '../../../src/cli/replay/tape.ts';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { failed, seen } from '../../../src/model/observation.ts';
import type { ProcReader } from '../../../src/observe/host.ts';

const ID = 'a'.repeat(64);
const SAID = { 'gpuctl.owner': 'alice', 'ds01.container_type': 'training', 'gpuctl.devices': 'GPU-1,GPU-2', 'ds01.gpu.allocated': '1', 'gpuctl.keep_until': '2026-12-01T08:00:00Z', 'devcontainer.local_folder': '/home/alice/x' };
/** As an image may bring them: each shorter than any label that says something. */
const CROWD = Object.fromEntries(Array.from({ length: 9000 }, (_, n) => [`z${n}`, '']));
const answer = async (value: unknown): Promise<never> => ({ ok: true, value }) as never;
const engine: Partial<EngineClient> = {
  version: () => answer({ kind: 'docker', api: '1.41' }), info: () => answer({ ID: 'ENGINE' }), list: () => answer([{ Id: ID, Names: ['/job'], State: 'exited' }]),
  inspect: () => answer({ Id: ID, Name: '/job', Created: '', State: { Status: 'exited', Pid: 0 }, Config: { Labels: { ...CROWD, ...SAID } }, HostConfig: { Privileged: false } }),
};
const nothing = async () => failed('error', 'not here');
const proc: Partial<ProcReader> = { listed: nothing, withShims: nothing };

it('labels by which a rule goes are not crowded out by thousands of shorter ones, and all together stay bounded', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-labels-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  const base = defaultConfig();
  const config = { ...base, nvidiaSmi: { ...base.nvidiaSmi, path: join(dir, 'none') }, state: { ...base.state, dir }, events: { file: join(dir, 'events.jsonl') } };
  const loaded = { config, configured: { limits: false, leftovers: false } } as Parameters<typeof compose>[0]['loaded'];
  const seam: Seam = { part: (name, make) => (name === 'proc' ? { ...make(), ...proc } : name === 'engine' ? { ...make(), ...engine } : make()) };
  const composed = compose({ loaded, seam, globals: {}, stopping: () => null, options: { id: 'pass-1', job: 'sample', dryRun: true, acts: true, records: false, overBudget: false, devices: [] } });
  onTestFinished(() => { composed.close(); });
  const [container] = seen((await composed.parts.observer.observe()).engine)?.containers ?? [];
  if (container === undefined || !container.inspected) throw new Error('it was not looked into');
  expect(container.labels).toMatchObject(SAID);
  expect(Object.entries(container.labels).flat().join('').length).toBeLessThanOrEqual(32_768);
  expect(composed.parts.ownerOf(container)).toBe('alice');
});
