import { describe, expect, it } from 'vitest';
import { decideIdle, idleGiven, type IdleFacts, refuseUninspected } from '../../../src/decide/idle.ts';
import { misread, unsupported } from '../../../src/model/reading.ts';
import { clock, container, due, HOUR, MINUTE, NOW, policy, rules, sample, STARTED, warning, wish } from './limit-facts.ts';

const verdictOf = (more: Partial<IdleFacts>): string => { const { verb, verdict, reason } = decideIdle({ ...due, ...more }); return `${verb} ${verdict} ${reason}`; };

describe('a container that is past its idle limit, with both warnings given', () => {
  it('is stopped', () => {
    expect(verdictOf({})).toBe('stop act idle-limit');
    expect(decideIdle(due).target).toEqual({ kind: 'container', containerId: container.id, containerName: 'job', startedAt: STARTED, owner: 'alice' });
  });

  it('is stopped though its owner has paused it', () => {
    expect(verdictOf({ container: { ...container, state: 'paused' } })).toBe('stop act idle-limit');
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
    ['it starts now', { container: { ...container, startedAt: NOW } }, 'young'],
    ['its one sample tells nothing yet', { clock: clock(0, { consecutiveIdle: 0, samples: 1 }) }, 'too-few-samples'],
    ['its last sample was active', { clock: clock(61, { consecutiveIdle: 0 }) }, 'active'],
    ['too few samples were idle in a row', { clock: clock(61, { consecutiveIdle: 2 }) }, 'not-idle-in-a-row'],
    ['it has two samples only', { clock: clock(61, { consecutiveIdle: 1, samples: 2 }) }, 'too-few-samples'],
    ['it has three samples, and so two intervals', { clock: clock(61, { consecutiveIdle: 2, samples: 3 }) }, 'too-few-samples'],
    ['its owner keeps it', { wishes: [wish(10, 60)] }, 'kept-alive'],
    ['a label keeps it', { rules: { ...rules, keepUntilAt: NOW + HOUR }, clock: clock(61) }, 'kept-alive'],
    ['it is between two states', { container: { ...container, state: 'restarting' } }, 'container-not-settled'],
    ['the engine does not know its state', { container: { ...container, state: 'unknown' } }, 'container-not-settled'],
  ];
  it.each(kept)('is left where %s', (_, more, reason) => {
    expect(verdictOf(more)).toBe(`stop leave ${reason}`);
  });

  it('is stopped as soon as it is not young any more, and as soon as its idle samples suffice', () => {
    expect(verdictOf({ container: { ...container, startedAt: NOW - 30 * MINUTE } })).toBe('stop act idle-limit');
    expect(verdictOf({ clock: clock(61, { consecutiveIdle: 3, samples: 4 }) })).toBe('stop act idle-limit');
  });

  it('is refused, and said so, where no file sets limits', () => {
    expect(verdictOf({ policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('stop refuse limits-not-configured');
    expect(verdictOf({ clock: clock(50), policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('warn refuse limits-not-configured');
    expect(verdictOf({ clock: clock(47), policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('stop leave within-limit');
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
    for (const more of [{ kind: 'runtime' }, { startedAt: STARTED - 1 }] as const) expect(verdictOf({ rules: exempt, warnings: [warning('notice', 300, more)] })).toBe('warn act exempt');
    expect(verdictOf({ rules: exempt, clock: clock(47) })).toBe('stop leave within-limit');
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
    expect(decideIdle({ ...due, standing: 'protected', mayStop: false }).evidence).toMatchObject({ pastLimit: false });
  });
});

describe('what a decision about idleness rests on', () => {
  const evidenceOf = (more: Partial<IdleFacts>): unknown => decideIdle({ ...due, ...more }).evidence;
  const counted = { idleMs: 61 * MINUTE, limitMs: HOUR, limitFrom: 'default', highDemand: false, consecutiveIdle: 12, samples: 50, activeAt: '2026-11-22T10:59:00.000Z' };
  const reached = { ...counted, pastLimit: true };
  const exemption = { reason: 'thesis', until: '2026-12-24' };

  it.each<[string, Partial<IdleFacts>, object]>([
    ['a stop', {}, reached],
    ['the state that is not settled', { container: { ...container, state: 'restarting' } }, { state: 'restarting' }],
    ['the level that sets no limit', { rules: { ...rules, idleTimeoutMs: null, idleTimeoutFrom: 'user bob' } }, { limitFrom: 'user bob' }],
    ['no sample', { sample: null }, { why: 'no sample was taken' }],
    ['every signal that failed', { sample: { ...sample, cpuNs: misread('no cgroup'), gpuPercent: misread('no driver') } }, { why: 'no cgroup; no driver' }],
    ['its age', { container: { ...container, startedAt: NOW - MINUTE } }, { ...counted, ageMs: MINUTE }],
    ['the wish that keeps it', { wishes: [wish(10, 70)] }, { ...reached, keptUntil: '2026-11-22T13:00:00.000Z' }],
    ['the wish whose time is spent', { wishes: [wish(10, 70)], rules: { ...rules, keepAliveMaxMs: 5 * MINUTE } }, { ...reached, keepAliveSpent: '2026-11-22T11:55:00.000Z' }],
    ['the exemption of its owner', { rules: { ...rules, exemptFromIdle: 'thesis', idleExemption: { ...exemption, granted: true } } }, { ...reached, exemption: 'thesis', exemptUntil: '2026-12-24' }],
    ['an exemption that does not count', { rules: { ...rules, idleExemption: { ...exemption, granted: false } } }, { ...reached, exemptionNotTrusted: '2026-12-24' }],
    ['no exemption', { rules: { ...rules, idleExemption: null } }, reached],
  ])('is told: %s', (_, more, evidence) => { expect(evidenceOf(more)).toEqual(evidence); });
});

it('a container that could not be inspected is refused, with why', () => {
  expect(refuseUninspected({ inspected: false, id: container.id, name: 'job', state: 'running', why: 'no answer' }, 'remove', 2)).toEqual({
    round: 2, verb: 'remove', verdict: 'refuse', reason: 'container-unknown', evidence: { why: 'no answer' },
    target: { kind: 'container', containerId: container.id, containerName: 'job', startedAt: null, owner: null },
  });
});

describe('a warning counts for an idle spell', () => {
  const spell = clock(61);
  const counts = (more: Parameters<typeof warning>[2]): boolean => idleGiven([warning('warned', 10, more)], spell, NOW).has('warned');

  it('where it was given in it, from its first instant on', () => {
    expect([counts({}), counts({ at: spell.activeAt }), counts({ at: NOW })]).toEqual([true, true, true]);
  });

  it('and not where it was given before, to another container or run, or about something else', () => {
    expect([counts({ at: spell.activeAt - 1 }), counts({ at: NOW + 1 }), counts({ containerId: 'other' }), counts({ startedAt: STARTED - 1 }), counts({ kind: 'runtime' })]).toEqual([false, false, false, false, false]);
  });
});
