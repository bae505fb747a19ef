import { describe, expect, it } from 'vitest';
import { decideKeeping } from '../../../src/decide/keep-alive.ts';
import type { KeepAlive } from '../../../src/model/activity.ts';
import { clock, HOUR, MINUTE, NOW, rules, STARTED, wish } from './limit-facts.ts';

const kept = (wishes: readonly KeepAlive[], idleMinutes = 120, more: Partial<typeof rules> = {}): string => decideKeeping({ wishes, clock: clock(idleMinutes), rules: { ...rules, ...more }, now: NOW }).state;

describe('a wish to keep a container', () => {
  it.each<[string, readonly KeepAlive[], number, string]>([
    ['holds until its time', [wish(30, 60)], 120, 'kept'],
    ['ends with its time', [wish(60, 60)], 120, 'none'],
    ['of another run is none', [wish(30, 60, { startedAt: STARTED - 1 })], 120, 'none'],
    ['of another container is none', [wish(30, 60, { containerId: 'd'.repeat(64) })], 120, 'none'],
    ['from the future is none', [wish(-5, 60)], 120, 'none'],
    ['made while it was still active reaches into the idle spell', [wish(200, 400)], 120, 'kept'],
    ['that ended before the spell began uses up none of its time', [wish(32 * 60, 60), wish(10, 60)], 30 * 60, 'kept'],
    ['that ended as the spell began uses up none of its time', [wish(32 * 60, 2 * 60), wish(10, 60)], 30 * 60, 'kept'],
    ['that was over before it was made uses up none of its time', [wish(25 * 60, -30), wish(10, 60)], 30 * 60, 'kept'],
    ['that is for no time uses up none of it', [wish(25 * 60, 0), wish(10, 60)], 30 * 60, 'kept'],
    ['holds from the moment it is made', [wish(0, 60)], 120, 'kept'],
    ['made long before the spell is bounded from the beginning of the spell', [wish(25 * 60, 100 * 60)], 120, 'kept'],
    ['is bounded, however long it is', [wish(25 * 60, 100 * 60)], 30 * 60, 'spent'],
    ['is bounded together with those before it', [wish(25 * 60, 60), wish(10, 60)], 30 * 60, 'spent'],
    ['has the whole time again in a new spell', [wish(40 * 60, 24 * 60), wish(10, 60)], 30, 'kept'],
  ])('%s', (_, wishes, idleMinutes, expected) => { expect(kept(wishes, idleMinutes)).toBe(expected); });

  it('is void where nothing may be deferred', () => { expect(kept([wish(1, 60)], 120, { keepAliveMaxMs: 0 })).toBe('spent'); });

  it('may stand in a label, and is bounded as well', () => {
    expect(kept([], 120, { keepUntilAt: NOW + MINUTE })).toBe('kept');
    expect(kept([], 120, { keepUntilAt: NOW + 9999 * HOUR })).toBe('kept');
    expect(decideKeeping({ wishes: [], clock: { ...clock(0), startedAt: NOW - 30 * HOUR, activeAt: NOW - 25 * HOUR }, rules: { ...rules, keepUntilAt: NOW + 9999 * HOUR }, now: NOW }).state).toBe('spent');
  });
});
