import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideIdle, type IdleFacts } from '../../src/decide/idle.ts';
import { decideLeftover, type LeftoverFacts } from '../../src/decide/leftovers.ts';
import type { LimitPolicy, LimitRules } from '../../src/decide/limit-rules.ts';
import type { Standing } from '../../src/decide/managed.ts';
import { decideRuntime, type RuntimeFacts } from '../../src/decide/runtime.ts';
import type { ContainerState } from '../../src/model/container.ts';
import { misread, read, type Reading, unsupported } from '../../src/model/reading.ts';
import { clock, container, HOUR, ID, MINUTE, NOW, policy, rules, sample, STARTED } from '../unit/decide/limit-facts.ts';

/*
 * Whatever the facts are, an act is allowed only where a second, naive reading of the design allows it.
 */

const ago = (longestMs: number): fc.Arbitrary<number> => fc.integer({ min: -HOUR, max: longestMs }).map((ms) => NOW - ms);
const orNull = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(some, { nil: null, freq: 8 });
const standings = fc.constantFrom<Standing>('managed', 'managed', 'managed', 'protected', 'infrastructure', 'unclaimed', 'unknown');
const states = fc.constantFrom<ContainerState>('created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead', 'unknown', 'running', 'exited', 'exited');
const readings: fc.Arbitrary<Reading<number>> = fc.constantFrom(read(0), read(0), read(0), read(0), read(4), unsupported, misread('x'));
const limitRules: fc.Arbitrary<LimitRules> = fc.record({
  idleTimeoutMs: orNull(fc.integer({ min: MINUTE, max: 3 * HOUR })), maxRuntimeMs: orNull(fc.integer({ min: HOUR, max: 30 * HOUR })),
  gpuHoldAfterStopMs: orNull(fc.integer({ min: 0, max: HOUR })), containerHoldAfterStopMs: orNull(fc.integer({ min: 0, max: HOUR })),
  idleChecks: fc.integer({ min: 1, max: 5 }), keepAliveMaxMs: fc.constantFrom(0, HOUR, 24 * HOUR),
  keepUntilAt: fc.option(ago(HOUR), { nil: null, freq: 2 }), exemptFromIdle: fc.constantFrom(null, null, null, 'thesis'), exemptFromRuntime: fc.constantFrom(null, null, null, 'thesis'),
}).map((some) => ({ ...rules, ...some }));
const policies: fc.Arbitrary<LimitPolicy> = fc.record({
  configured: fc.record({ limits: fc.constantFrom(true, true, false), leftovers: fc.boolean() }),
  runtimeCounts: fc.constantFrom('since-first-start', 'since-last-start'), createdTimeoutMs: orNull(fc.integer({ min: MINUTE, max: HOUR })), allLeftovers: fc.boolean(),
}).map((some) => ({ ...policy, ...some }));
const warnings = fc.array(fc.record({ containerId: fc.constant(ID), startedAt: fc.constantFrom(STARTED, STARTED, STARTED - 1), kind: fc.constantFrom('idle' as const, 'runtime' as const), stage: fc.constantFrom('warned' as const, 'final' as const, 'notice' as const), at: ago(4 * HOUR) }), { maxLength: 6 });
const wishes = fc.array(fc.record({ containerId: fc.constant(ID), startedAt: fc.constantFrom(STARTED, STARTED - 1), uid: fc.constant(1), askedAt: ago(4 * HOUR), forMs: fc.integer({ min: 1, max: 5 * HOUR }) }).map(({ forMs, ...wish }) => ({ ...wish, until: wish.askedAt + forMs })), { maxLength: 2 });

/** Half of the time what a stop needs, so that stops are tried at all. */
const told = fc.tuple(warnings, fc.boolean(), fc.integer({ min: 1, max: 90 })).map(([some, both, minutes]) => (both ? [...some, ...(['warned', 'final'] as const).map((stage) => ({ containerId: ID, startedAt: STARTED, kind: 'idle' as const, stage, at: NOW - minutes * MINUTE }))] : some));
const idleFacts: fc.Arbitrary<IdleFacts> = fc.record({
  standing: standings, rules: limitRules, policy: policies, warnings: told, wishes, highDemand: fc.boolean(), mayStop: fc.constantFrom(true, true, false), state: fc.constantFrom<ContainerState>('running', 'running', 'running', 'paused', ...['created', 'restarting', 'exited', 'unknown'] as const),
  sample: orNull(fc.record({ cpuNs: readings, networkBytes: readings, gpuPercent: readings }).map((some) => ({ ...sample, ...some }))),
  clock: orNull(fc.tuple(fc.integer({ min: 0, max: 4 * 60 }), fc.integer({ min: 0, max: 10 })).map(([minutes, consecutiveIdle]) => clock(minutes, { consecutiveIdle }))),
  startedAt: orNull(fc.constantFrom(STARTED, STARTED, NOW - MINUTE, NOW + 1)),
}).map(({ state, startedAt, ...facts }) => ({ ...facts, container: { ...container, state, startedAt }, now: NOW, round: 1 }));

function mayStopIdle({ standing, rules: { idleTimeoutMs, idleChecks, exemptFromIdle, keepAliveMaxMs, keepUntilAt }, policy: { configured, highDemand: { factor } }, container: { state, startedAt }, ...facts }: IdleFacts): boolean {
  const { clock: idle, sample: now } = facts;
  if (!facts.mayStop || standing !== 'managed' || !configured.limits || idleTimeoutMs === null || exemptFromIdle !== null) return false;
  if ((state !== 'running' && state !== 'paused') || startedAt === null || NOW - startedAt < 30 * MINUTE) return false;
  if (idle === null || now === null || [now.cpuNs, now.networkBytes, now.gpuPercent].some(({ kind }) => kind === 'error')) return false;
  if (idle.consecutiveIdle < idleChecks || idle.idleMs < idleTimeoutMs * (facts.highDemand ? factor : 1)) return false;
  const given = (stage: string): boolean => facts.warnings.some((each) => each.kind === 'idle' && each.stage === stage && each.startedAt === STARTED && each.at >= idle.activeAt && each.at <= NOW);
  if (!given('warned') || !given('final')) return false;
  // Surely kept: one wish that is younger than all that is allowed, and not over.
  const kept = facts.wishes.length === 1 && keepUntilAt === null && facts.wishes.some((wish) => wish.startedAt === STARTED && wish.askedAt <= NOW && wish.until > NOW && NOW - Math.max(wish.askedAt, idle.activeAt) < keepAliveMaxMs);
  return !kept;
}

describe('an idle stop', () => {
  it('is decided only for a managed container that is known to be idle for its limit, warned twice since, and neither kept nor exempt', () => {
    let stops = 0;
    fc.assert(fc.property(idleFacts, (facts) => {
      const { verb, verdict } = decideIdle(facts);
      if (verb !== 'stop' || verdict !== 'act') return;
      stops += 1;
      expect(mayStopIdle(facts)).toBe(true);
    }), { numRuns: 60_000 });
    expect(stops).toBeGreaterThan(20);
  });

  it('and every warning of it, is decided only for managed containers, and one thing at a time', () => {
    fc.assert(fc.property(idleFacts, (facts) => {
      const { verdict, reason } = decideIdle(facts);
      if (verdict !== 'act') return;
      expect([facts.standing, facts.policy.configured.limits, reason === 'exempt']).toEqual(['managed', true, facts.rules.exemptFromIdle !== null]);
    }), { numRuns: 20_000 });
  });
});

const runtimeFacts: fc.Arbitrary<RuntimeFacts> = fc.record({ standing: standings, rules: limitRules, policy: policies, warnings, state: states, startedAt: orNull(ago(40 * HOUR)), firstStartAt: orNull(ago(80 * HOUR)), firstPassAt: orNull(ago(80 * HOUR)) })
  .map(({ state, startedAt, ...facts }) => ({ ...facts, container: { ...container, state, startedAt }, now: NOW, round: 1 }));

describe('a runtime stop', () => {
  it('is decided only for a managed container past its limit, counted from gpuctl’s first pass at the earliest, warned twice', () => {
    let stops = 0;
    fc.assert(fc.property(runtimeFacts, (facts) => {
      const { verb, verdict } = decideRuntime(facts);
      if (verb !== 'stop' || verdict !== 'act') return;
      stops += 1;
      const { standing, rules: { maxRuntimeMs, exemptFromRuntime }, policy: { configured, runtimeCounts }, container: { state, startedAt }, firstStartAt, firstPassAt } = facts;
      // One that is between two runs of a crash loop is past its limit all the same, where the limit counts from its first start.
      const runs = state === 'running' || state === 'paused' || (state === 'restarting' && runtimeCounts === 'since-first-start');
      expect([standing, configured.limits, exemptFromRuntime, runs]).toEqual(['managed', true, null, true]);
      const from = runtimeCounts === 'since-last-start' ? startedAt : Math.min(startedAt ?? Infinity, firstStartAt ?? Infinity);
      expect(NOW - Math.max(from ?? Infinity, firstPassAt ?? Infinity)).toBeGreaterThanOrEqual(maxRuntimeMs ?? Infinity);
      for (const stage of ['warned', 'final']) expect(facts.warnings.some((each) => each.kind === 'runtime' && each.stage === stage && each.at <= NOW)).toBe(true);
    }), { numRuns: 60_000 });
    expect(stops).toBeGreaterThan(20);
  });
});

const leftoverFacts: fc.Arbitrary<LeftoverFacts> = fc.record({ standing: standings, rules: limitRules, policy: policies, state: states, createdAt: orNull(ago(3 * HOUR)), finishedAt: orNull(ago(3 * HOUR)), firstPassAt: orNull(ago(3 * HOUR)) })
  .map(({ state, createdAt, finishedAt, ...facts }) => ({ ...facts, container: { ...container, state, createdAt, finishedAt }, now: NOW, round: 1 }));

describe('a removal', () => {
  it('is decided only for what is at rest and managed, past all of its holds, where a file says so', () => {
    let removals = 0;
    fc.assert(fc.property(leftoverFacts, (facts) => {
      if (decideLeftover(facts).verdict !== 'act') return;
      removals += 1;
      const { standing, rules: { gpuHoldAfterStopMs: gpu, containerHoldAfterStopMs: own }, policy: { configured, createdTimeoutMs, allLeftovers }, container: { state, createdAt, finishedAt }, firstPassAt } = facts;
      expect(['created', 'exited']).toContain(state);
      expect(standing === 'managed' || (allLeftovers && (standing === 'unclaimed' || standing === 'unknown'))).toBe(true);
      expect(configured.limits || configured.leftovers).toBe(true);
      const [since, hold] = state === 'created' ? [createdAt, createdTimeoutMs] : [finishedAt, gpu === null || own === null ? null : Math.max(gpu, own)];
      expect(NOW - Math.max(since ?? Infinity, firstPassAt ?? Infinity)).toBeGreaterThan(hold ?? Infinity);
    }), { numRuns: 30_000 });
    expect(removals).toBeGreaterThan(100);
  });
});
