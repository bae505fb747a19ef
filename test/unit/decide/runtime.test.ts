import { describe, expect, it } from 'vitest';
import { decideRuntime, type RuntimeFacts, runtimeSince } from '../../../src/decide/runtime.ts';
import { container, HOUR, NOW, policy, rules, STARTED, warning } from './limit-facts.ts';

const since = (hours: number): number => NOW - hours * HOUR;
const given = [warning('warned', 3 * 60, { kind: 'runtime' }), warning('final', 60, { kind: 'runtime' })];
/** Past its limit, with both warnings given. */
const due: RuntimeFacts = { container: { ...container, startedAt: since(24) }, standing: 'managed', rules, policy, firstStartAt: since(24), firstPassAt: since(1000), warnings: given, now: NOW, round: 1 };
const verdictOf = (more: Partial<RuntimeFacts>): string => { const { verb, verdict, reason } = decideRuntime({ ...due, ...more }); return `${verb} ${verdict} ${reason}`; };

describe('a container at its runtime limit, with both warnings given', () => {
  it('is stopped', () => { expect(verdictOf({})).toBe('stop act runtime-limit'); });

  it('is stopped though its owner has paused it', () => { expect(verdictOf({ container: { ...due.container, state: 'paused' } })).toBe('stop act runtime-limit'); });

  it.each<[string, Partial<RuntimeFacts>, string]>([
    ['it is protected', { standing: 'protected' }, 'protected'],
    ['it claims no device', { standing: 'unclaimed' }, 'not-managed'],
    ['it is not known whether it does', { standing: 'unknown' }, 'claims-unknown'],
    ['it is infrastructure', { standing: 'infrastructure' }, 'not-managed'],
    ['its limit is never', { rules: { ...rules, maxRuntimeMs: null } }, 'limit-never'],
    ['gpuctl has only just come', { firstPassAt: since(1) }, 'within-limit'],
    ['gpuctl was never here before', { firstPassAt: null }, 'first-pass'],
    ['its start is in the future', { container: { ...container, startedAt: NOW + 1 }, firstStartAt: null }, 'age-unknown'],
    ['the engine does not say that it started', { container: { ...container, startedAt: null } }, 'age-unknown'],
  ])('is left where %s', (_, more, reason) => { expect(verdictOf(more)).toBe(`stop leave ${reason}`); });

  it('is refused where no file sets limits', () => {
    expect(verdictOf({ policy: { ...policy, configured: { limits: false, leftovers: false } } })).toBe('stop refuse limits-not-configured');
    expect(verdictOf({ container: { ...container, startedAt: since(23) }, firstStartAt: since(23), policy: { ...policy, configured: { limits: false, leftovers: false } } })).toBe('warn refuse limits-not-configured');
  });

  it('says what that rests on', () => {
    const evidence = { runtimeMs: 24 * HOUR, limitMs: 24 * HOUR, limitFrom: 'default', since: '2026-11-21T12:00:00.000Z', counts: 'since-first-start', pastLimit: true };
    const exemption = { reason: 'thesis', until: '2026-12-24', granted: false };
    expect(decideRuntime(due).evidence).toEqual(evidence);
    expect(decideRuntime({ ...due, standing: 'protected', rules: { ...rules, runtimeExemption: exemption } }).evidence).toEqual({ ...evidence, exemptionNotTrusted: '2026-12-24' });
    expect(decideRuntime({ ...due, rules: { ...rules, exemptFromRuntime: 'thesis' } }).evidence).toEqual({ ...evidence, exemption: 'thesis' });
    expect(decideRuntime({ ...due, container: { ...container, startedAt: since(23) }, firstStartAt: null }).evidence).toMatchObject({ runtimeMs: 23 * HOUR, pastLimit: false });
    expect(decideRuntime({ ...due, rules: { ...rules, maxRuntimeMs: null, maxRuntimeFrom: 'user bob' } }).evidence).toEqual({ limitFrom: 'user bob' });
  });

  it('counts from its first start, whatever has started since; or from its last, as configured', () => {
    const restarted = { ...container, startedAt: since(1) };
    expect(verdictOf({ container: restarted })).toBe('stop act runtime-limit');
    expect(verdictOf({ container: restarted, policy: { ...policy, runtimeCounts: 'since-last-start' } })).toBe('stop leave within-limit');
  });

  it('that crashes and starts again for ever is as far as one that runs, where all runs count; otherwise it is left until it settles', () => {
    const restarting = { ...container, startedAt: since(1), state: 'restarting' as const };
    expect(verdictOf({ container: restarting })).toBe('stop act runtime-limit');
    expect(verdictOf({ container: restarting, standing: 'protected' })).toBe('stop leave protected');
    expect(verdictOf({ container: { ...restarting, startedAt: since(24) }, policy: { ...policy, runtimeCounts: 'since-last-start' } })).toBe('stop leave container-not-settled');
    expect(verdictOf({ container: { ...restarting, state: 'unknown' } })).toBe('stop leave container-not-settled');
  });

  it('is warned anew where its limit was shorter when it was warned', () => {
    expect(verdictOf({ rules: { ...rules, maxRuntimeMs: 48 * HOUR }, container: { ...container, startedAt: since(50) }, firstStartAt: since(50), warnings: [warning('warned', 30 * 60, { kind: 'runtime' }), warning('final', 27 * 60, { kind: 'runtime' })] })).toBe('warn act runtime-warning');
  });

  it('is warned for the last time anew where its limit was shorter at the last warning, and stopped where each came when it was due', () => {
    const longer = { rules: { ...rules, maxRuntimeMs: 48 * HOUR }, container: { ...container, startedAt: since(50) }, firstStartAt: since(50) };
    const said = (warnedAfter: number, finalAfter: number): RuntimeFacts['warnings'] => [warning('warned', (50 - warnedAfter) * 60, { kind: 'runtime' }), warning('final', (50 - finalAfter) * 60, { kind: 'runtime' })];
    expect(verdictOf({ ...longer, warnings: said(37, 43) })).toBe('warn act runtime-final-warning');
    expect(verdictOf({ ...longer, warnings: said(36, 43.2) })).toBe('stop act runtime-limit');
    expect(verdictOf({ ...longer, warnings: said(35.9, 43.2) })).toBe('warn act runtime-warning');
  });

  it('gets one notice where its owner is exempt', () => {
    const exempt = { ...rules, exemptFromRuntime: 'thesis' };
    expect(verdictOf({ rules: exempt })).toBe('warn act exempt');
    expect(verdictOf({ rules: exempt, warnings: [warning('notice', 100, { kind: 'runtime' })] })).toBe('stop leave exempt');
  });
});

describe('the way to it', () => {
  it.each([[17.9, [], 'stop leave within-limit'], [18, [], 'warn act runtime-warning'], [21.6, given.slice(0, 1), 'warn act runtime-final-warning'], [30, [], 'warn act runtime-warning'], [30, given.slice(1), 'warn act runtime-warning']])('after %s of 24 hours', (hours, warnings, expected) => {
    expect(verdictOf({ container: { ...container, startedAt: since(hours) }, firstStartAt: since(hours), warnings })).toBe(expected);
  });

  it('is not shortened by warnings about idleness, or of another run where the last start counts', () => {
    expect(verdictOf({ warnings: given.map((each) => ({ ...each, kind: 'idle' as const })) })).toBe('warn act runtime-warning');
    expect(verdictOf({ policy: { ...policy, runtimeCounts: 'since-last-start' }, warnings: given.map((each) => ({ ...each, startedAt: STARTED - 1 })) })).toBe('warn act runtime-warning');
    expect(verdictOf({ policy: { ...policy, runtimeCounts: 'since-last-start' }, warnings: given.map((each) => ({ ...each, startedAt: since(24) })) })).toBe('stop act runtime-limit');
  });

  it('begins as early as any start that can be true, and nowhere where there is none', () => {
    const of = (startedAt: number | null, firstStartAt: number | null): number | null => runtimeSince({ container: { ...container, createdAt: since(30), startedAt }, policy, firstStartAt });
    expect([of(since(1), since(24)), of(since(24), null), of(since(40), since(24)), of(since(40), null), of(since(40), since(40)), of(null, since(24))]).toEqual([since(24), since(24), since(24), null, null, null]);
  });

  it('is not told to be within the limit where only the boot clock says so', () => {
    const clock = [{ number: 1, bootId: 'one', fromAt: since(18), fromUptimeMs: 0, seenUptimeMs: 0, untilUptimeMs: 17 * HOUR, jumpMs: null }];
    const facts = { container: { ...container, startedAt: since(18) }, firstStartAt: null, warnings: [], clock };
    expect(decideRuntime({ ...due, ...facts })).toMatchObject({ verdict: 'leave', reason: 'time-not-confirmed', evidence: { runtimeMs: 17 * HOUR, wallMs: 18 * HOUR } });
    expect(verdictOf({ ...facts, rules: { ...rules, maxRuntimeMs: 25 * HOUR } })).toBe('stop leave within-limit');
  });
});
