import { describe, expect, it } from 'vitest';
import { type HealthFacts, healthFactsOf, defaultHealthRules } from '../../../../src/decide/health/facts.ts';
import type { History } from '../../../../src/model/history.ts';
import type { HostState } from '../../../property/host.ts';
import { assessed, GONE, GPU0, hostOf, NOW, orphan, runningJob, stopped } from '../good-case.ts';

const learning = { gpuUuid: GPU0, driver: '590.44', lowestMiB: 3, lastMiB: 3, samples: 9, firstAt: 0, lastAt: NOW, overSince: null, overSamples: 0 };

function factsOf(host: Partial<HostState> = {}, history: Partial<History> = {}): HealthFacts {
  const seen = assessed(host, history);
  const [gpu] = seen.gpus;
  if (gpu === undefined) throw new Error('no GPU');
  return healthFactsOf(gpu, seen, defaultHealthRules);
}

describe('who is on a device', () => {
  const trouble = hostOf().trouble;
  const held = { labels: { 'gpuctl.device': GPU0 } };

  it.each<[string, Partial<HostState>, Partial<History>, { nobody: boolean | null; unclaimed: boolean }]>([
    ['nobody', {}, {}, { nobody: true, unclaimed: true }],
    ['a process', { processes: [orphan()] }, {}, { nobody: false, unclaimed: true }],
    ['a running container', { containers: [runningJob(held)] }, {}, { nobody: false, unclaimed: false }],
    ['a stopped container still claims it', { containers: [stopped(held)] }, {}, { nobody: true, unclaimed: false }],
    ['a container that could not be inspected', { containers: [{ inspected: false, id: GONE, name: 'x', why: 'it hangs' } as never] }, {}, { nobody: null, unclaimed: false }],
    ['it is not known, without the engine', { trouble: { ...trouble, engine: 'failed' } }, {}, { nobody: null, unclaimed: false }],
  ])('%s', (_, host, history, expected) => {
    expect(factsOf(host, history)).toMatchObject(expected);
  });

  it('it is not known without a process list', () => {
    const [gpu] = hostOf().gpus;
    expect(factsOf({ gpus: [{ ...(gpu as NonNullable<typeof gpu>), listUnknown: 'swallowed' }] }).nobody).toBeNull();
  });
});

describe('what was learned of the idle memory', () => {
  const history = (driver: string | null): Partial<History> => ({ health: { marks: [], memory: [{ ...learning, driver }] }, baselines: [{ gpuUuid: GPU0, usedMiB: 3 }] });

  it('counts under the driver that it was learned under', () => {
    expect(factsOf({}, history('590.44'))).toMatchObject({ baselineMiB: 3, memory: { samples: 9 } });
    expect(factsOf({}, history('580.10'))).toMatchObject({ baselineMiB: null, memory: null });
    expect(factsOf({}, { baselines: [{ gpuUuid: GPU0, usedMiB: 3 }] })).toMatchObject({ baselineMiB: null });
  });
});
