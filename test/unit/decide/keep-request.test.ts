import { describe, expect, it } from 'vitest';
import { decideKeeping } from '../../../src/decide/keep-alive.ts';
import { decideKeepRequest, type KeepQuestion } from '../../../src/decide/keep-request.ts';
import type { IdleClock, KeepAlive } from '../../../src/model/activity.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import { container } from '../config/helpers.ts';

const HOUR_MS = 3_600_000;
const NOW = 1_000 * HOUR_MS;
const train: InspectedContainer = container({ id: 'a'.repeat(64), name: 'train', startedAt: NOW - 100 * HOUR_MS });
const owners: Readonly<Record<string, number>> = { train: 1000, other: 1001 };

const rules = (maxHours: number, keepUntilAt: number | null = null): KeepQuestion['rulesOf'] => () => ({ keepAliveMaxMs: maxHours * HOUR_MS, keepUntilAt });

function ask(changed: Partial<KeepQuestion> = {}): ReturnType<typeof decideKeepRequest> {
  return decideKeepRequest({
    reference: 'train', uid: 1000, forMs: 2 * HOUR_MS, containers: [train], ownerUidOf: ({ name }) => owners[name] ?? null,
    rulesOf: rules(24), clocks: [], wishes: [], now: NOW, ...changed,
  });
}

const wish = (askedAt: number, until: number, more: Partial<KeepAlive> = {}): KeepAlive => ({ containerId: train.id, startedAt: train.startedAt, uid: 1000, askedAt, until, ...more });
const clock = (activeAt: number, more: Partial<IdleClock> = {}): IdleClock => ({ containerId: train.id, startedAt: train.startedAt ?? 0, activeAt, samples: 9, consecutiveIdle: 9, idleMs: NOW - activeAt, ...more } as IdleClock);
const until = (answer: ReturnType<typeof decideKeepRequest>): number | null => (answer.granted ? (answer.keep.until - NOW) / HOUR_MS : null);

describe('a wish to keep a container', () => {
  it('is granted to its owner and to root, for as long as asked, for the run that is there now', () => {
    expect(ask()).toMatchObject({ granted: true, keep: { containerId: train.id, startedAt: train.startedAt, uid: 1000, askedAt: NOW, until: NOW + 2 * HOUR_MS } });
    expect(until(ask({ uid: 0, reference: 'aaaa' }))).toBe(2);
  });

  it.each<readonly [string, Partial<KeepQuestion>, string]>([
    ['of somebody else', { uid: 1001 }, 'no container of uid 1001 is called train'],
    ['whose owner nobody knows', { ownerUidOf: () => null }, 'no container of uid 1000 is called train'],
    ['that could not be inspected', { containers: [{ inspected: false, id: train.id, name: 'train', state: 'running', why: 'x' }] }, 'no container of uid 1000 is called train'],
    ['that is not there, to root as well', { uid: 0, containers: [] }, 'no container is called train'],
    ['that does not run', { containers: [{ ...train, state: 'exited' }] }, 'container train does not run'],
    ['of which nobody knows since when it runs', { containers: [{ ...train, startedAt: null }] }, 'it is not known since when container train runs'],
    ['named by too little of its id', { reference: 'aaa' }, 'no container of uid 1000 is called aaa'],
    ['named by an id that several have', { reference: 'aaaa', containers: [train, { ...train, id: `${'a'.repeat(63)}b`, name: 'train' }] }, 'aaaa names 2 containers'],
    ['where no time is allowed', { rulesOf: rules(0) }, 'container train may not be kept any longer in this idle spell'],
  ])('is refused for a container %s', (_, changed, why) => {
    expect(ask(changed)).toEqual({ granted: false, why });
  });

  it('is answered alike for a container of somebody else and for one that is not there', () => {
    const why = (answer: ReturnType<typeof decideKeepRequest>): string => (answer.granted ? '' : answer.why);
    expect(why(ask({ uid: 1001 }))).toBe(why(ask({ uid: 1001, containers: [] })));
  });

  it('by name is never one for a container of which somebody else’s has that name as its id', () => {
    const twin = { ...train, id: `${'b'.repeat(64)}`, name: 'aaaa' };
    expect(ask({ reference: 'aaaa', containers: [train, twin], ownerUidOf: () => 1000 })).toMatchObject({ granted: true, container: { name: 'aaaa' } });
  });

  const early = NOW - 20 * HOUR_MS;

  it('reaches no further than keep_alive_max from the first wish of the idle spell, however many follow', () => {
    const first = wish(early, NOW + HOUR_MS);
    const idle = [clock(NOW - 21 * HOUR_MS)];
    expect(until(ask({ forMs: 200 * HOUR_MS, clocks: idle, wishes: [first] }))).toBe(4);
    expect(ask({ clocks: idle, wishes: [wish(NOW - 25 * HOUR_MS, NOW - HOUR_MS)].map((each) => ({ ...each, until: NOW + HOUR_MS })), now: NOW + 5 * HOUR_MS })).toMatchObject({ granted: false });
  });

  it('is bounded by its own idle spell, not by that of another container or of an earlier run', () => {
    const clocks = [clock(NOW, { containerId: 'b'.repeat(64) }), clock(NOW, { startedAt: NOW - 101 * HOUR_MS }), clock(NOW - 21 * HOUR_MS)];
    expect(until(ask({ forMs: 200 * HOUR_MS, clocks, wishes: [wish(early, NOW - 2 * HOUR_MS)] }))).toBe(4);
  });

  it.each<readonly [string, Partial<KeepQuestion>]>([
    ['after the container was used again', { clocks: [clock(NOW - HOUR_MS)], wishes: [wish(NOW - 30 * HOUR_MS, NOW - 6 * HOUR_MS)] }],
    ['after it was used until the last wish was over', { clocks: [clock(NOW - HOUR_MS)], wishes: [wish(early, NOW - HOUR_MS)] }],
    ['after it was started again', { clocks: [clock(early)], wishes: [wish(early, NOW + HOUR_MS, { startedAt: NOW - 101 * HOUR_MS })] }],
    ['for each container', { clocks: [clock(early)], wishes: [wish(early, NOW + HOUR_MS, { containerId: 'b'.repeat(64) })] }],
    ['whatever was wished under a clock that was ahead', { clocks: [clock(early)], wishes: [wish(NOW + 1, NOW + HOUR_MS)] }],
    ['from now at the latest, where it was last active under a clock that was ahead', { clocks: [clock(NOW + 5 * HOUR_MS)] }],
  ])('has the whole time, %s', (_, changed) => {
    expect(until(ask({ forMs: 200 * HOUR_MS, ...changed }))).toBe(24);
  });

  it('promises no more than the idle stop will give, where a label has kept the container since the spell began', () => {
    const facts = { clocks: [clock(early)], rulesOf: rules(24, NOW + HOUR_MS) };
    const answer = ask({ forMs: 8 * HOUR_MS, ...facts });
    expect(until(answer)).toBe(4);
    expect(decideKeeping({ wishes: answer.granted ? [answer.keep] : [], clock: clock(early), rules: facts.rulesOf(train), now: NOW })).toEqual({ state: 'kept', untilAt: NOW + 4 * HOUR_MS });
    expect(until(ask({ ...facts, clocks: [] })), 'a container that was never sampled').toBe(2);
  });
});
