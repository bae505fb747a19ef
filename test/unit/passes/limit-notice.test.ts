import { expect, it } from 'vitest';
import type { ContainerTarget, Decision } from '../../../src/model/decision.ts';
import { noticeOf } from '../../../src/passes/limit-notice.ts';
import type { Pass } from '../../../src/passes/pass.ts';

const target: ContainerTarget = { kind: 'container', containerId: 'a'.repeat(64), containerName: 'train', startedAt: 0, owner: 'alice' };
const MINUTE_MS = 60_000;

async function told(evidence: Decision['evidence'], factor: number): Promise<string> {
  const decision: Decision<ContainerTarget> = { round: 1, verb: 'warn', target, verdict: 'act', reason: 'idle-warning', evidence: { idleMs: 13 * MINUTE_MS, limitMs: 15 * MINUTE_MS, ...evidence } };
  const parts = { host: 'gpu01', clock: { now: () => 0 }, limits: { nextRun: async () => 20 * MINUTE_MS }, policy: { limits: { highDemand: { atPercent: 80, factor } } } };
  return (await noticeOf({ parts } as unknown as Pass, decision, { kind: 'idle', stage: 'warned' })).message;
}

it('a notice says why the limit is shorter than the configured one, and nothing of the kind where it is not', async () => {
  expect(await told({ highDemand: true }, 0.5)).toBe('Your container train on gpu01 has been idle for 13 min; the limit is 15 min, shortened while most devices are taken. Unless it is used again, it may be stopped at the earliest at 1970-01-01 00:20 UTC. To defer that: gpuctl keep train');
  for (const [highDemand, factor] of [[true, 1], [false, 0.5]] as const) expect(await told({ highDemand }, factor)).toContain('the limit is 15 min. Unless');
});
