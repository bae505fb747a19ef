import { describe, expect, it } from 'vitest';
import { decideKeepRequest, type KeepQuestion } from '../../../src/decide/keep-request.ts';
import type { IdleClock, KeepAlive } from '../../../src/model/activity.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import { container } from '../config/helpers.ts';

const HOUR_MS = 3_600_000;
const NOW = 1_000 * HOUR_MS;
const train: InspectedContainer = container({ id: 'a'.repeat(64), name: 'train', startedAt: NOW - 100 * HOUR_MS });
const owners: Readonly<Record<string, number>> = { train: 1000, other: 1001 };

function ask(changed: Partial<KeepQuestion> = {}): ReturnType<typeof decideKeepRequest> {
  return decideKeepRequest({
    reference: 'train', uid: 1000, forMs: 2 * HOUR_MS, containers: [train], ownerUidOf: ({ name }) => owners[name] ?? null,
    keepAliveMaxMs: () => 24 * HOUR_MS, clocks: [], wishes: [], now: NOW, ...changed,
  });
}

const wish = (askedAt: number, until: number): KeepAlive => ({ containerId: train.id, startedAt: train.startedAt, uid: 1000, askedAt, until });
const clock = (activeAt: number): IdleClock => ({ containerId: train.id, startedAt: train.startedAt ?? 0, activeAt, samples: 9, consecutiveIdle: 9, idleMs: NOW - activeAt } as IdleClock);
const until = (answer: ReturnType<typeof decideKeepRequest>): number | null => (answer.granted ? (answer.keep.until - NOW) / HOUR_MS : null);

describe('a wish to keep a container', () => {
  it('is granted to its owner and to root, for as long as asked, for the run that is there now', () => {
    expect(ask()).toMatchObject({ granted: true, keep: { containerId: train.id, startedAt: train.startedAt, uid: 1000, askedAt: NOW, until: NOW + 2 * HOUR_MS } });
    expect(until(ask({ uid: 0, reference: 'aaaa' }))).toBe(2);
  });

  it.each<readonly [string, Partial<KeepQuestion>]>([
    ['of somebody else', { uid: 1001 }],
    ['whose owner nobody knows', { ownerUidOf: () => null }],
    ['that could not be inspected', { containers: [{ inspected: false, id: train.id, name: 'train', state: 'running', why: 'x' }] }],
    ['that does not run', { containers: [{ ...train, state: 'exited' }] }],
    ['named by too little of its id', { reference: 'aaa' }],
    ['named by an id that several have', { reference: 'aaaa', containers: [train, { ...train, id: `${'a'.repeat(63)}b`, name: 'train' }] }],
    ['where no time is allowed', { keepAliveMaxMs: () => 0 }],
  ])('is refused for a container %s', (_, changed) => {
    expect(ask(changed)).toMatchObject({ granted: false, why: expect.any(String) });
  });

  it('is answered alike for a container of somebody else and for one that is not there', () => {
    const why = (answer: ReturnType<typeof decideKeepRequest>): string => (answer.granted ? '' : answer.why);
    expect(why(ask({ uid: 1001 }))).toBe(why(ask({ uid: 1001, containers: [] })));
  });

  it('by name is never one for a container of which somebody else’s has that name as its id', () => {
    const twin = { ...train, id: `${'b'.repeat(64)}`, name: 'aaaa' };
    expect(ask({ reference: 'aaaa', containers: [train, twin], ownerUidOf: () => 1000 })).toMatchObject({ granted: true, container: { name: 'aaaa' } });
  });

  it('reaches no further than keep_alive_max from the first wish of the idle spell, however many follow', () => {
    const first = wish(NOW - 20 * HOUR_MS, NOW + HOUR_MS);
    const idle = [clock(NOW - 21 * HOUR_MS)];
    expect(until(ask({ forMs: 200 * HOUR_MS, clocks: idle, wishes: [first] }))).toBe(4);
    expect(ask({ clocks: idle, wishes: [wish(NOW - 25 * HOUR_MS, NOW - HOUR_MS)].map((each) => ({ ...each, until: NOW + HOUR_MS })), now: NOW + 5 * HOUR_MS })).toMatchObject({ granted: false });
  });

  it('counts anew after the container was used again', () => {
    expect(until(ask({ forMs: 200 * HOUR_MS, clocks: [clock(NOW - HOUR_MS)], wishes: [wish(NOW - 30 * HOUR_MS, NOW - 6 * HOUR_MS)] }))).toBe(24);
  });
});
