import { describe, expect, it } from 'vitest';
import { foldSample, type RunSample } from '../../../src/decide/idle-clock.ts';
import type { IdleClock } from '../../../src/model/activity.ts';
import { absent, misread, read, unsupported } from '../../../src/model/reading.ts';
import { clock, HOUR, MINUTE, NOW, policy, sample, STARTED } from './limit-facts.ts';

const before: IdleClock = clock(20);
const next = (more: Partial<RunSample>): IdleClock => foldSample(before, { ...sample, startedAt: STARTED, at: NOW + 5 * MINUTE, ...more }, policy.thresholds);
const CPU = 1e9;
/** Growth of so much per cent of one core over five minutes. */
const cpu = (percent: number): { cpuNs: ReturnType<typeof read<number>> } => ({ cpuNs: read(CPU + (percent / 100) * 5 * MINUTE * 1e6) });

describe('one more sample', () => {
  it('that is idle feeds the clock with the time between the two', () => {
    expect(next({})).toMatchObject({ idleMs: 25 * MINUTE, consecutiveIdle: 13, samples: 51, activeAt: before.activeAt });
  });

  it('is what the next one is held against', () => {
    const latest = { ...sample, startedAt: STARTED, at: NOW + 5 * MINUTE, cpuNs: read(CPU + 7), networkBytes: read(1007), gpuPercent: read(1) };
    expect(foldSample(before, latest, policy.thresholds).last).toEqual(latest);
  });

  it('of the same instant adds nothing', () => {
    expect(next({ at: NOW })).toBe(before);
  });

  it.each<[string, Partial<RunSample>]>([
    ['CPU time', cpu(2)], ['bytes', { networkBytes: read(1000 + 1024 ** 2) }], ['a busy device', { gpuPercent: read(5) }],
    ['CPU time, where another signal is unknown', { ...cpu(2), gpuPercent: misread('no') }],
  ])('that is active by %s begins anew', (_, more) => {
    expect(next(more)).toMatchObject({ idleMs: 0, consecutiveIdle: 0, activeAt: NOW + 5 * MINUTE });
  });

  it.each<[string, Partial<RunSample>]>([
    ['CPU time', cpu(1.9)], ['bytes', { networkBytes: read(999 + 1024 ** 2) }], ['a device', { gpuPercent: read(4.9) }],
  ])('with a little %s is idle', (_, more) => {
    expect(next(more)).toMatchObject({ idleMs: 25 * MINUTE });
  });

  it.each<[string, Partial<RunSample>]>([
    ['a signal failed to be read', { cpuNs: misread('no') }],
    ['the device failed to be read', { gpuPercent: misread('no') }],
    ['a signal has a value at one end only', { networkBytes: absent }],
  ])('where %s is never idle, and stops the clock', (_, more) => {
    expect(next(more)).toMatchObject({ idleMs: before.idleMs, consecutiveIdle: 0, activeAt: before.activeAt });
  });

  it.each<[string, Partial<RunSample>, Partial<RunSample>]>([
    ['began to be told, at a little', { networkBytes: absent }, { networkBytes: read(1) }],
    ['began to be told, at much', { networkBytes: absent }, { networkBytes: read(1024 ** 4) }],
    ['failed before and is not told now', { cpuNs: misread('no') }, { cpuNs: unsupported }],
    ['was not told before and fails now', { cpuNs: unsupported }, { cpuNs: misread('no') }],
  ])('of which a signal %s is neither idle nor active', (_, earlier, more) => {
    const odd = { ...before, last: { ...before.last, ...earlier } };
    expect(foldSample(odd, { ...sample, startedAt: STARTED, at: NOW + 5 * MINUTE, ...more }, policy.thresholds)).toMatchObject({ idleMs: before.idleMs, consecutiveIdle: 0, activeAt: before.activeAt, last: more });
  });

  it('without any signal is unknown', () => {
    const nothing = { cpuNs: unsupported, networkBytes: absent, gpuPercent: unsupported };
    const blind = { ...before, last: { ...before.last, ...nothing } };
    expect(foldSample(blind, { ...sample, ...nothing, startedAt: STARTED, at: NOW + MINUTE }, policy.thresholds)).toMatchObject({ idleMs: before.idleMs, consecutiveIdle: 0 });
  });

  it('is judged by the signals that there are', () => {
    const last = { ...before.last, networkBytes: absent };
    expect(foldSample({ ...before, last }, { ...sample, startedAt: STARTED, at: NOW + MINUTE, networkBytes: absent, gpuPercent: unsupported }, policy.thresholds)).toMatchObject({ consecutiveIdle: 13 });
  });

  it('after one that could not be read still sees the growth meanwhile', () => {
    const blind = next({ cpuNs: misread('no') });
    expect(foldSample(blind, { ...sample, ...cpu(50), startedAt: STARTED, at: NOW + 10 * MINUTE }, policy.thresholds)).toMatchObject({ idleMs: 0, activeAt: NOW + 10 * MINUTE });
  });
});

describe('a clock is begun anew', () => {
  it.each<[string, Partial<RunSample>]>([
    ['for another run', { startedAt: STARTED + 1 }], ['after a reboot', { bootId: 'other' }],
    ['where the CPU counter shrank', { cpuNs: read(CPU - 1) }], ['where the network counter shrank', { networkBytes: read(999) }],
  ])('%s', (_, more) => {
    expect(next(more)).toMatchObject({ idleMs: 0, samples: 1, consecutiveIdle: 0, activeAt: NOW + 5 * MINUTE });
  });

  it('for a container without one', () => {
    expect(foldSample(null, { ...sample, startedAt: STARTED }, policy.thresholds)).toMatchObject({ idleMs: 0, samples: 1, last: sample });
  });
});

describe('a gap', () => {
  it.each([['a dead scheduler', 17 * MINUTE], ['a clock a day ahead', 24 * HOUR], ['a clock an hour back', -HOUR], ['a clock a second back', -1000]])('(%s) stops the clock and never feeds it', (_, elapsed) => {
    expect(next({ at: NOW + elapsed })).toMatchObject({ idleMs: before.idleMs, consecutiveIdle: 0 });
  });

  it('of fifteen minutes and a slow start of cron is none', () => {
    expect(next({ at: NOW + 16 * MINUTE })).toMatchObject({ idleMs: 36 * MINUTE });
    expect(next({ at: NOW + 15 * MINUTE + 20_000 })).toMatchObject({ idleMs: 35 * MINUTE + 20_000 });
  });

  it('hides no work in an average: ten minutes of CPU time in ten hours are activity', () => {
    expect(next({ at: NOW + 10 * HOUR, cpuNs: read(CPU + 10 * MINUTE * 1e6) })).toMatchObject({ idleMs: 0, activeAt: NOW + 10 * HOUR });
  });

  it('takes back a last activity in the future', () => {
    expect(foldSample({ ...before, activeAt: NOW + HOUR }, { ...sample, startedAt: STARTED, at: NOW - MINUTE }, policy.thresholds).activeAt).toBe(NOW - MINUTE);
  });
});

describe('an interval of less than five seconds', () => {
  it('with a wake-up in it is judged together with what follows', () => {
    expect(next({ at: NOW + 200, cpuNs: read(CPU + 20e6) })).toBe(before);
  });

  it('with work in it is active', () => {
    expect(next({ at: NOW + 200, cpuNs: read(CPU + 190e6) })).toMatchObject({ idleMs: 0 });
  });

  it('without growth is idle', () => {
    expect(next({ at: NOW + 200 })).toMatchObject({ idleMs: before.idleMs + 200 });
  });
});
