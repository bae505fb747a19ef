import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { conditionKindOf } from '../../../src/decide/condition-kinds.ts';
import { freeGpus } from '../../../src/passes/free.ts';
import { releaseStale } from '../../../src/passes/release-stale.ts';
import type { PassReport } from '../../../src/passes/report.ts';
import { resetByHand } from '../../../src/passes/reset-by-hand.ts';
import { runPass } from '../../../src/passes/run-pass.ts';
import { sample } from '../../../src/passes/sample.ts';
import { ExitCode } from '../../../src/model/errors.ts';
import type { PassOptions } from '../../../src/passes/pass.ts';
import { read } from '../../../src/model/reading.ts';
import { benchOf, passOptions } from '../../property/ports.ts';
import { type HostState, noTrouble } from '../../property/host.ts';
import { GPU0, gpuState, historyOf, hostOf, NOW, orphan, runningJob } from '../decide/good-case.ts';

async function run(host: Partial<HostState>, story: typeof releaseStale, pass: Partial<PassOptions>, disable: readonly string[] = []): Promise<PassReport> {
  const { parts } = benchOf({ host: hostOf(host), history: historyOf({}), config: defaultConfig(), now: NOW });
  const health = { disabled: new Set(disable), thresholds: {} };
  return runPass({ ...parts, policy: { ...parts.policy, health } }, passOptions(pass), story);
}

const asking = gpuState(0, { recovery: read('reset') });

describe('a report never calls a device clean', () => {
  it.each<[string, typeof releaseStale, Partial<PassOptions>]>([
    ['a sample, which decides nothing about orphans', sample, { job: 'sample', acts: false }],
    ['a dry run, which counts the end of the orphan as done', releaseStale, { dryRun: true }],
  ])('with an orphan on it: %s', async (_, story, pass) => {
    const report = await run({ processes: [orphan()] }, story, pass);
    expect(report.devices.find(({ uuid }) => uuid === GPU0)?.verdict).toBe('orphans');
    const silenced = await run({ processes: [orphan()] }, story, pass, ['gpu.orphan']);
    expect(silenced.devices.find(({ uuid }) => uuid === GPU0)?.verdict, 'the finding is switched off').toBe('clean');
  });

  it('with a process on it of which nobody knows whose it is, where the job decides nothing about processes', async () => {
    const verdict = async (disable: readonly string[]): Promise<string | undefined> => (await run({ processes: [orphan()], trouble: { ...noTrouble, engine: 'failed' } }, sample, { job: 'sample', acts: false }, disable)).devices.find(({ uuid }) => uuid === GPU0)?.verdict;
    expect(await verdict([])).toBe('unknown');
    expect(await verdict(['process.unknown']), 'the finding is switched off').toBe('clean');
  });

  it('that waits for a reset, where the job decides on none', async () => {
    const report = await run({ gpus: [asking] }, sample, { job: 'sample', acts: false }, ['gpu.recovery.reset']);
    expect(report.devices[0]?.verdict).toBe('dirty');
  });
});

it('a device whose memory nobody explains, though not for long, is offered to nobody', async () => {
  const free = async (unexplainedMiB: number): Promise<readonly string[]> => freeGpus((await run({ gpus: [gpuState(0, { unexplainedMiB })] }, sample, { job: 'sample', acts: false })).devices);
  expect(await free(900)).toEqual([GPU0]);
  expect(await free(30_000)).toEqual([]);
});

describe('a reset by hand that is blocked', () => {
  const claimed = { containers: [runningJob({ labels: { 'gpuctl.device': GPU0 } })] };

  it('of a clean device is told and needs its admin, and makes the device neither dirty nor raises a condition', async () => {
    const { exit, findings, devices } = await run({ gpus: [gpuState(0)], ...claimed }, resetByHand, { job: 'reset' });
    expect({ exit, findings, verdicts: devices.map(({ verdict }) => verdict) }).toMatchObject({ exit: ExitCode.findings, findings: [{ id: 'reset.blocked', severity: 'warning', subject: { gpu: GPU0 } }], verdicts: ['clean'] });
    expect(findings.map(({ id }) => conditionKindOf(id))).toEqual([null]);
  });

  it('of one that asks for a reset is told as in any pass', async () => {
    const { findings } = await run({ gpus: [asking], ...claimed }, resetByHand, { job: 'reset' });
    expect(findings.map(({ id }) => id)).toContain('gpu.dirty.shared');
  });
});
