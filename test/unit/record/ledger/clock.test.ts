import { describe, expect, it } from 'vitest';
import type { ClockEra } from '../../../../src/model/clock.ts';
import { HOUR, NOW, testLedger } from './hosts.ts';

const era: ClockEra = { number: 1, bootId: 'one', fromAt: NOW - HOUR, fromUptimeMs: 0, seenUptimeMs: 10, untilUptimeMs: 20, jumpMs: null };

describe('the eras of the host’s clocks', () => {
  it('are none before the first reading, which is not the same as an empty list', () => {
    expect(testLedger().ledger.history().clock).toBeUndefined();
  });

  it('are kept in their order, each as it was last', () => {
    const { ledger } = testLedger();
    ledger.recordClock?.(era);
    ledger.recordClock?.({ ...era, untilUptimeMs: 300 });
    ledger.recordClock?.({ ...era, number: 2, jumpMs: -HOUR });
    expect(ledger.history().clock).toEqual([{ ...era, untilUptimeMs: 300 }, { ...era, number: 2, jumpMs: -HOUR }]);
  });

  it('are forgotten where a clock jumps at every pass, the oldest first', () => {
    const { ledger } = testLedger();
    for (let number = 1; number <= 510; number += 1) ledger.recordClock?.({ ...era, number, jumpMs: HOUR });
    const kept = ledger.history().clock ?? [];
    expect([kept.length, kept[0]?.number, kept.at(-1)?.number]).toEqual([500, 11, 510]);
  });
});

describe('refusals of wishes to keep a container', () => {
  it('are the latest few of each user and of the last day, until he is granted something', () => {
    const { ledger: { limits } } = testLedger();
    limits.recordKeepRefusal?.({ uid: 7, why: 'of yesterday' }, NOW - 25 * HOUR);
    limits.recordKeepRefusal?.({ uid: 8, why: 'his own' }, NOW);
    for (let n = 0; n < 9; n += 1) limits.recordKeepRefusal?.({ uid: 7, why: `no ${n}` }, NOW + n);
    expect(limits.keepRefusals?.().map(({ why }) => why)).toEqual(['his own', 'no 4', 'no 5', 'no 6', 'no 7', 'no 8']);
    limits.forgetKeepRefusals?.(7);
    expect(limits.keepRefusals?.()).toEqual([{ uid: 8, at: NOW, why: 'his own' }]);
  });

  it('are the newest five hundred of all users, however many uids somebody has', () => {
    const { ledger: { limits } } = testLedger();
    for (let uid = 0; uid < 503; uid += 1) limits.recordKeepRefusal?.({ uid, why: 'no' }, NOW);
    const uids = limits.keepRefusals?.().map(({ uid }) => uid) ?? [];
    expect([uids.length, uids.at(0), uids.at(-1)]).toEqual([500, 3, 502]);
  });
});
