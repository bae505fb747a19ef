import { describe, expect, it } from 'vitest';
import { decideLeftover, type LeftoverFacts } from '../../../src/decide/leftovers.ts';
import type { ContainerState } from '../../../src/model/container.ts';
import type { Evidence } from '../../../src/model/decision.ts';
import { REASONS } from '../../../src/model/reason.ts';
import { container, HOUR, MINUTE, NOW, policy, rules } from './limit-facts.ts';

const exited = (minutes: number): LeftoverFacts['container'] => ({ ...container, state: 'exited', pid: null, finishedAt: NOW - minutes * MINUTE });
const created = (minutes: number): LeftoverFacts['container'] => ({ ...container, state: 'created', pid: null, startedAt: null, createdAt: NOW - minutes * MINUTE });
const due: LeftoverFacts = { container: exited(31), standing: 'managed', rules, policy, firstPassAt: NOW - 100 * HOUR, now: NOW, round: 1 };
const verdictOf = (more: Partial<LeftoverFacts>): string => { const { verb, verdict, reason } = decideLeftover({ ...due, ...more }); return `${verb} ${verdict} ${reason}`; };

describe('a container that is at rest', () => {
  it('is removed when it has been stopped for longer than both holds', () => {
    expect(verdictOf({})).toBe('remove act stopped-leftover');
    expect(verdictOf({ container: exited(30) })).toBe('remove leave within-hold');
    expect(verdictOf({ rules: { ...rules, gpuHoldAfterStopMs: HOUR } })).toBe('remove leave within-hold');
    expect(verdictOf({ rules: { ...rules, gpuHoldAfterStopMs: HOUR }, container: exited(61) })).toBe('remove act stopped-leftover');
  });

  it('is removed when it was created half an hour ago and never started (S9)', () => {
    expect(verdictOf({ container: created(31) })).toBe('remove act created-leftover');
    expect(verdictOf({ container: created(1) })).toBe('remove leave within-hold');
    // Of one that never ran it is not said that it stopped.
    expect(REASONS['within-hold']).toMatch(/stopped, or was created and never started,/);
    expect(verdictOf({ container: created(31), policy: { ...policy, createdTimeoutMs: null } })).toBe('remove leave hold-never');
  });

  it.each<[string, Partial<LeftoverFacts>, string]>([
    ['protected', { standing: 'protected' }, 'protected'],
    ['infrastructure', { standing: 'infrastructure' }, 'not-managed'],
    ['one that never had a device', { standing: 'unclaimed' }, 'not-managed'],
    ['one of which that is not known', { standing: 'unknown' }, 'claims-unknown'],
    ['kept for ever by its hold', { rules: { ...rules, containerHoldAfterStopMs: null } }, 'hold-never'],
    ['kept for ever by the hold of its device', { rules: { ...rules, gpuHoldAfterStopMs: null } }, 'hold-never'],
    ['one whose end is not known', { container: { ...exited(31), finishedAt: null } }, 'age-unknown'],
    ['one that stopped in the future', { container: exited(-1) }, 'age-unknown'],
    ['one that gpuctl has only just met', { firstPassAt: NOW - MINUTE }, 'within-hold'],
    ['one that gpuctl meets for the first time', { firstPassAt: null }, 'first-pass'],
  ])('is left: %s', (_, more, reason) => { expect(verdictOf(more)).toBe(`remove leave ${reason}`); });

  it.each<[ContainerState, string]>([['dead', 'dead-container'], ['removing', 'being-removed'], ['running', 'container-not-settled'], ['paused', 'container-not-settled'], ['restarting', 'container-not-settled'], ['unknown', 'container-not-settled']])('is left while it is %s', (state, reason) => {
    expect(verdictOf({ container: { ...exited(31), state } })).toBe(`remove leave ${reason}`);
  });

  it('without a device is removed only where the configuration says all', () => {
    expect(verdictOf({ standing: 'unclaimed', policy: { ...policy, allLeftovers: true } })).toBe('remove act stopped-leftover');
    expect(verdictOf({ standing: 'infrastructure', policy: { ...policy, allLeftovers: true } })).toBe('remove leave not-managed');
  });

  it('is removed where a file sets limits or leftovers, and refused where none does', () => {
    expect(verdictOf({ policy: { ...policy, configured: { limits: false, leftovers: true } } })).toBe('remove act stopped-leftover');
    expect(verdictOf({ policy: { ...policy, configured: { limits: false, leftovers: false } } })).toBe('remove refuse limits-not-configured');
  });

  const past = { restedMs: 31 * MINUTE, holdMs: 30 * MINUTE, pastLimit: true };
  const within = { restedMs: 30 * MINUTE, holdMs: 30 * MINUTE, pastLimit: false };
  it.each<[string, Partial<LeftoverFacts>, Evidence]>([
    ['how long it has rested, and for how long it may', {}, past],
    ['the same while it may rest', { container: exited(30) }, within],
    ['the same where no file sets limits', { policy: { ...policy, configured: { limits: false, leftovers: false } } }, past],
    ['the same of a protected one', { standing: 'protected' }, past],
    ['the same of a protected one while it may rest', { standing: 'protected', container: exited(30) }, within],
    ['nothing of a protected one whose age is not known', { standing: 'protected', container: { ...exited(31), finishedAt: null } }, {}],
    ['nothing of a protected one that is kept for ever', { standing: 'protected', rules: { ...rules, gpuHoldAfterStopMs: null } }, {}],
    ['nothing of a protected one at the first pass', { standing: 'protected', firstPassAt: null }, {}],
    ['its state, where that is neither running nor stopped', { container: { ...exited(31), state: 'paused' } }, { state: 'paused' }],
  ])('is told with %s', (_, more, evidence) => {
    expect(decideLeftover({ ...due, ...more }).evidence).toEqual(evidence);
  });
});
