import { expect, it } from 'vitest';
import type { ContainerTarget, Decision } from '../../../src/model/decision.ts';
import { noticeOf } from '../../../src/passes/limit-notice.ts';
import type { Pass } from '../../../src/passes/pass.ts';

const target: ContainerTarget = { kind: 'container', containerId: 'a'.repeat(64), containerName: 'train', startedAt: 0, owner: 'alice' };
const MINUTE_MS = 60_000;

async function told(evidence: Decision['evidence'], factor: number, how: Partial<Parameters<typeof noticeOf>[2]> = {}): Promise<string> {
  const decision: Decision<ContainerTarget> = { round: 1, verb: 'warn', target, verdict: 'act', reason: 'idle-warning', evidence: { idleMs: 13 * MINUTE_MS, limitMs: 15 * MINUTE_MS, ...evidence } };
  const parts = { host: 'gpu01', clock: { now: () => 0 }, limits: { nextRun: async () => 20 * MINUTE_MS }, policy: { limits: { highDemand: { atPercent: 80, factor } } } };
  return (await noticeOf({ parts } as unknown as Pass, decision, { kind: 'idle', stage: 'warned', ...how })).message;
}

it('a notice says why the limit is shorter than the configured one, and nothing of the kind where it is not', async () => {
  expect(await told({ highDemand: true }, 0.5)).toBe('Your container train on gpu01 has been idle for 13 min; the limit is 15 min, shortened while most devices are taken. Unless it is used again, it may be stopped at the earliest at 1970-01-01 00:20 UTC. To defer that: gpuctl keep train');
  for (const [highDemand, factor] of [[true, 1], [false, 0.5]] as const) expect(await told({ highDemand }, factor)).toContain('the limit is 15 min. Unless');
});

it('a notice tells the last day of an exemption; of one that is not granted only that it is not, and why', async () => {
  expect(await told({ exemption: 'thesis', exemptUntil: '2026-12-24' }, 1, { stage: 'notice' })).toMatch(/You are exempt from this limit \(thesis, until 2026-12-24\), so it is not stopped\.$/);
  for (const stage of ['warned', 'final'] as const) expect(await told({ exemptionNotTrusted: '2026-12-24' }, 1, { stage })).toMatch(/the limit is 15 min\. The exemption until 2026-12-24 does not count here: the owner is only what the container says of itself, and limits\.trust_labels does not list owner\. .*gpuctl keep train$/);
});

it('a notice of a stop says whether anything of the container is left', async () => {
  expect(await told({}, 1, { stage: 'stopped' })).toMatch(/what it holds on disk is kept for now\.$/);
  expect(await told({}, 1, { stage: 'stopped', since: 'removed' })).toMatch(/and removed by the engine, as it was made to go when it stops \(--rm\)\.$/);
});
