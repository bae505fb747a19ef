import { describe, expect, it } from 'vitest';
import { claimingIds, claimsNow, countManaged, standingOf } from '../../../src/decide/managed.ts';
import type { InspectedContainer, UninspectedContainer } from '../../../src/model/container.ts';
import type { HostState } from '../../property/host.ts';
import { assessed, GONE, GPU0, GPU1, hostOf, JOB, runningJob, STRANGE } from './good-case.ts';

const plain = { protected: false, infrastructure: false };
const trouble = hostOf().trouble;
const claiming = (id: string, gpuUuid = GPU1): InspectedContainer => runningJob({ id, labels: { 'gpuctl.device': gpuUuid } });
const uninspected: UninspectedContainer = { inspected: false, id: STRANGE, name: 'x', state: 'running', why: 'timeout' };

describe('a container', () => {
  it.each<[string, boolean | null, Parameters<typeof standingOf>[1]]>([
    ['managed', true, plain],
    ['unclaimed', false, plain],
    ['unknown', null, plain],
    ['protected', true, { ...plain, protected: true }],
    ['protected', null, { ...plain, protected: true }],
    ['infrastructure', true, { protected: true, infrastructure: true }],
    ['infrastructure', false, { ...plain, infrastructure: true }],
  ])('is %s where it claims: %j, and the configuration says %j', (standing, claims, rules) => {
    expect(standingOf(claims, rules)).toBe(standing);
  });
});

describe('a claim on a device', () => {
  const claims = (host: Partial<HostState>, container = claiming(JOB)): boolean | null => {
    const assessment = assessed({ containers: [container], ...host });
    return claimsNow(container, assessment, claimingIds(assessment));
  };

  it('is what a container makes that names one, and none what only could not be inspected', () => {
    expect([...claimingIds(assessed({ containers: [claiming(JOB), claiming(GONE), uninspected] }))]).toEqual([JOB, GONE]);
  });

  it('is known where the driver told of the device, and where it told of every device', () => {
    expect(claims({})).toBe(true);
    expect(claims({ trouble: { ...trouble, driver: 'partial' } })).toBe(true);
    expect(claims({}, claiming(JOB, 'GPU-nowhere'))).toBe(false);
    expect(claims({}, runningJob())).toBe(false);
  });

  it('is not known where the driver failed, or kept silent about a device that may be the one', () => {
    expect(claims({ trouble: { ...trouble, driver: 'failed' } })).toBeNull();
    expect(claims({ trouble: { ...trouble, driver: 'partial' } }, claiming(JOB, GPU0))).toBeNull();
  });

  it('of another container on a device that was not told of leaves no doubt about this one', () => {
    expect(claims({ trouble: { ...trouble, driver: 'partial' }, containers: [runningJob(), claiming(GONE, GPU0)] }, runningJob())).toBe(false);
    expect(claims({ trouble: { ...trouble, driver: 'partial' }, containers: [claiming(JOB, GPU0), claiming(GONE, 'GPU-nowhere')] }, claiming(JOB, GPU0))).toBeNull();
  });
});

describe('the managed containers', () => {
  const count = (host: Partial<HostState>, ofOthers: Parameters<typeof standingOf>[1] = plain): number =>
    countManaged(assessed(host), ({ id }) => (id === JOB ? plain : ofOthers));

  it('are counted: those that claim a device, without the protected, the infrastructure and what could not be inspected', () => {
    const containers = [claiming(JOB), claiming(GONE), runningJob({ id: 'f'.repeat(64) }), uninspected];
    expect(count({ containers })).toBe(2);
    expect(count({ containers }, { ...plain, protected: true })).toBe(1);
    expect(count({ containers }, { ...plain, infrastructure: true })).toBe(1);
  });

  it('are none where the engine failed', () => {
    expect(count({ containers: [claiming(JOB)], trouble: { ...trouble, engine: 'failed' } })).toBe(0);
  });
});
