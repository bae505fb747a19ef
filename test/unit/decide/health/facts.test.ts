import { describe, expect, it } from 'vitest';
import { type HealthFacts, healthFactsOf, defaultHealthRules } from '../../../../src/decide/health/facts.ts';
import type { History } from '../../../../src/model/history.ts';
import { complete, failed } from '../../../../src/model/observation.ts';
import type { HostState } from '../../../property/host.ts';
import { assessed, GONE, GPU0, GPU1, hostOf, JOB, NOW, orphan, runningJob, stopped } from '../good-case.ts';
import { markOf } from './good-board.ts';

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

  it('a claim on another device, or one that was released, is none', () => {
    const claim = { containerId: JOB, containerName: 'job', containerState: 'running', startedAt: null, source: 'label', reference: '0', gpuUuid: GPU0, migUuid: null, released: false } as const;
    const withClaim = (more: object): HealthFacts => {
      const seen = assessed();
      const [gpu] = seen.gpus;
      if (gpu === undefined) throw new Error('no GPU');
      return healthFactsOf(gpu, { ...seen, claims: { claims: [{ ...claim, ...more }], unresolved: [] } }, defaultHealthRules);
    };
    expect(withClaim({})).toMatchObject({ nobody: false, unclaimed: false });
    expect(withClaim({ gpuUuid: GPU1 })).toMatchObject({ nobody: true, unclaimed: true });
    expect(withClaim({ released: true })).toMatchObject({ nobody: true, unclaimed: true });
    expect(withClaim({ source: 'uninspected', containerState: 'exited' }), 'that is not known of one that could not be inspected').toMatchObject({ nobody: false, unclaimed: false });
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
    expect(factsOf({}, { ...history('590.44'), baselines: [] })).toMatchObject({ baselineMiB: null, memory: { samples: 9 } });
  });

  it('counts for the board that it was learned of, and for no other', () => {
    const other = { health: { marks: [], memory: [{ ...learning, gpuUuid: GPU1 }, learning] }, baselines: [{ gpuUuid: GPU1, usedMiB: 900 }, { gpuUuid: GPU0, usedMiB: 3 }] };
    expect(factsOf({}, other)).toMatchObject({ baselineMiB: 3, memory: { gpuUuid: GPU0 } });
    expect(factsOf({}, { ...other, health: { marks: [], memory: [{ ...learning, gpuUuid: GPU1 }] } })).toMatchObject({ baselineMiB: null, memory: null });
  });

  it('counts where the driver tells no version: it is not known to be another one', () => {
    const seen = assessed({}, history('580.10'));
    const [gpu] = seen.gpus;
    if (gpu === undefined || seen.snapshot.driver.state !== 'complete') throw new Error('no GPU');
    const snapshot = { ...seen.snapshot, driver: complete({ ...seen.snapshot.driver.value, driverVersion: null }) };
    expect(healthFactsOf(gpu, { ...seen, snapshot }, defaultHealthRules)).toMatchObject({ driver: null, baselineMiB: 3, memory: { driver: '580.10' } });
    expect(healthFactsOf(gpu, { ...seen, snapshot: { ...snapshot, driver: failed('timeout', 'cut') } }, defaultHealthRules)).toMatchObject({ driver: null });
  });
});

describe('what was learned of the readings', () => {
  it('is that of this board, by its names', () => {
    const marks = [markOf('pcie.gen', 4, { gpuUuid: GPU1 }), markOf('pcie.gen', 5, { gpuUuid: GPU0 })];
    expect([...factsOf({}, { health: { marks, memory: [] } }).marks]).toEqual([['pcie.gen', marks[1]]]);
    expect([...factsOf({}, { health: { marks: marks.toReversed(), memory: [] } }).marks]).toEqual([['pcie.gen', marks[1]]]);
    expect([...factsOf().marks]).toEqual([]);
  });

  it('is nothing where the ledger has no memory of health', () => {
    const seen = assessed();
    const [gpu] = seen.gpus;
    if (gpu === undefined) throw new Error('no GPU');
    const { health: _, ...history } = seen.history;
    expect(healthFactsOf(gpu, { ...seen, history }, defaultHealthRules)).toMatchObject({ marks: new Map(), memory: null, baselineMiB: null });
  });
});
