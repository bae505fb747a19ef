import { describe, expect, it } from 'vitest';
import { decideIdle, type IdleFacts } from '../../../src/decide/idle.ts';
import { misread, unsupported } from '../../../src/model/reading.ts';
import { clock, container, due, HOUR, MINUTE, NOW, policy, rules, sample, STARTED, warning, wish } from './limit-facts.ts';

const verdictOf = (more: Partial<IdleFacts>): string => { const { verb, verdict, reason } = decideIdle({ ...due, ...more }); return `${verb} ${verdict} ${reason}`; };

describe('a container that is past its idle limit, with both warnings given', () => {
  it('is stopped', () => {
    expect(verdictOf({})).toBe('stop act idle-limit');
    expect(decideIdle(due).target).toEqual({ kind: 'container', containerId: container.id, containerName: 'job', startedAt: STARTED, owner: 'alice' });
  });

  const kept: readonly (readonly [string, Partial<IdleFacts>, string])[] = [
    ['this pass only warns', { mayStop: false }, 'awaits-stop'],
    ['it is protected', { standing: 'protected' }, 'protected'],
    ['it is infrastructure', { standing: 'infrastructure' }, 'not-managed'],
    ['it claims no device', { standing: 'unclaimed' }, 'not-managed'],
    ['it is not known whether it claims one', { standing: 'unknown' }, 'claims-unknown'],
    ['its limit is never', { rules: { ...rules, idleTimeoutMs: null } }, 'limit-never'],
    ['its counters could not be read', { sample: { ...sample, cpuNs: misread('no') } }, 'activity-unknown'],
    ['its device could not be read', { sample: { ...sample, gpuPercent: misread('no') } }, 'activity-unknown'],
    ['it was not sampled in this pass', { sample: null }, 'activity-unknown'],
    ['it has no clock', { clock: null }, 'activity-unknown'],
    ['its start is not known', { container: { ...container, startedAt: null } }, 'age-unknown'],
    ['it starts in the future', { container: { ...container, startedAt: NOW + 1 } }, 'age-unknown'],
    ['it is young', { container: { ...container, startedAt: NOW - 30 * MINUTE + 1 } }, 'young'],
    ['its last sample was active', { clock: clock(61, { consecutiveIdle: 0 }) }, 'active'],
    ['too few samples were idle in a row', { clock: clock(61, { consecutiveIdle: 2 }) }, 'not-idle-in-a-row'],
    ['it has two samples only', { clock: clock(61, { consecutiveIdle: 1, samples: 2 }) }, 'too-few-samples'],
    ['its owner keeps it', { wishes: [wish(10, 60)] }, 'kept-alive'],
    ['a label keeps it', { rules: { ...rules, keepUntilAt: NOW + HOUR }, clock: clock(61) }, 'kept-alive'],
    ['it is between two states', { container: { ...container, state: 'restarting' } }, 'container-not-settled'],
    ['the engine does not know its state', { container: { ...container, state: 'unknown' } }, 'container-not-settled'],
  ];
  it.each(kept)('is left where %s', (_, more, reason) => {
    expect(verdictOf(more)).toBe(`stop leave ${reason}`);
  });

  it('is refused, and said so, where no file sets limits', () => {
    expect(verdictOf({ policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('stop refuse limits-not-configured');
    expect(verdictOf({ clock: clock(50), policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('warn refuse limits-not-configured');
  });

  it.each([
    ['the first was never given', [warning('final', 4)], 'idle-warning'],
    ['the last was never given', [warning('warned', 12)], 'idle-final-warning'],
    ['they were given before it was active again', [warning('warned', 70), warning('final', 65)], 'idle-warning'],
    ['they were given to an earlier run', [warning('warned', 12, { startedAt: STARTED - 1 }), warning('final', 4, { startedAt: STARTED - 1 })], 'idle-warning'],
    ['they were about its runtime', [warning('warned', 12, { kind: 'runtime' }), warning('final', 4, { kind: 'runtime' })], 'idle-warning'],
    ['they come from the future', [warning('warned', -5), warning('final', -4)], 'idle-warning'],
  ])('is only warned where %s', (_, warnings, reason) => {
    expect(verdictOf({ warnings })).toBe(`warn act ${reason}`);
  });

  it('gets one notice and is never stopped where its owner is exempt', () => {
    const exempt = { ...rules, exemptFromIdle: 'thesis' };
    expect(verdictOf({ rules: exempt })).toBe('warn act exempt');
    expect(verdictOf({ rules: exempt, warnings: [...due.warnings, warning('notice', 300)] })).toBe('stop leave exempt');
  });

  it('is stopped where the time for keeping it is spent', () => {
    expect(verdictOf({ clock: clock(26 * 60), wishes: [wish(25 * 60, 30 * 60)] })).toBe('stop act idle-limit');
  });

  it('is judged by what signals there are where its device has none (MIG)', () => {
    expect(verdictOf({ sample: { ...sample, gpuPercent: unsupported } })).toBe('stop act idle-limit');
  });
});

describe('the way to a stop', () => {
  it.each([
    [47, [], 'stop leave within-limit'],
    [48, [], 'warn act idle-warning'],
    [50, [warning('warned', 1)], 'stop leave within-limit'],
    [57, [warning('warned', 1)], 'warn act idle-final-warning'],
    [59, [warning('warned', 5), warning('final', 1)], 'stop leave within-limit'],
    [60, [warning('warned', 5), warning('final', 1)], 'stop act idle-limit'],
  ])('after %s of 60 minutes', (minutes, warnings, expected) => {
    expect(verdictOf({ clock: clock(minutes), warnings })).toBe(expected);
  });

  it('is half as long in high demand', () => {
    expect(verdictOf({ clock: clock(30), highDemand: true })).toBe('stop act idle-limit');
    expect(verdictOf({ clock: clock(30), highDemand: false })).toBe('stop leave within-limit');
  });
});

describe('a protected container', () => {
  it('says whether it is past its limit', () => {
    expect(decideIdle({ ...due, standing: 'protected' }).evidence).toMatchObject({ pastLimit: true });
    expect(decideIdle({ ...due, standing: 'protected', clock: clock(59) }).evidence).toMatchObject({ pastLimit: false });
  });
});
