import { property, assert, integer, oneof, constant } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LONGEST_MS, parseDuration, parsePercent, parseSize, renderDuration } from '../../../src/config/units.ts';

describe('a duration', () => {
  it.each([
    ['90s', 90_000], ['30m', 1_800_000], ['24h', 86_400_000], ['7d', 604_800_000], ['0', 0], [0, 0], ['0s', 0], ['never', null], ['3650d', LONGEST_MS],
  ])('%s is understood', (text, ms) => {
    expect(parseDuration(text)).toEqual({ value: ms });
  });

  it.each([
    [48, '48 has no unit'], ['48', 'has no unit'], ['0.5h', 'half an hour is 30m'], ['0,5h', 'has a fraction'], [0.5, 'has no unit'], ['-5m', 'is negative'],
    ['1w', 'is no duration'], ['1h30m', 'is no duration'], ['', 'is no duration'], [' 5m', 'is no duration'], ['5 m', 'is no duration'], ['5m\n', 'is no duration'],
    ['Never', 'is no duration'], ['5M', 'is no duration'], [true, '90s, 30m'], [null, 'nothing'], [['5m'], 'a list'], [Number.NaN, 'no unit'], ['3651d', 'ten years'],
    ['9999999999s', 'is no duration'],
  ])('%j is refused', (text, message) => {
    expect(parseDuration(text)).toEqual({ problem: expect.stringContaining(message) });
  });

  it('is rendered as something that reads back as the same', () => {
    assert(property(oneof(constant(null), integer({ min: 0, max: LONGEST_MS / 1000 })), (seconds) => {
      const ms = seconds === null ? null : seconds * 1000;
      expect(parseDuration(renderDuration(ms))).toEqual({ value: ms });
    }));
  });
});

describe('a size', () => {
  it.each([['512KiB', 524_288], ['1MiB', 1_048_576], ['1GiB', 1_073_741_824]])('%s is understood', (text, bytes) => {
    expect(parseSize(text)).toEqual({ value: bytes });
  });

  it.each([1024, '1MB', '1M', '1.5GiB', '-1MiB', 'never', null])('%j is refused', (text) => {
    expect(parseSize(text)).toEqual({ problem: expect.stringContaining('512KiB, 1MiB or 1GiB') });
  });
});

describe('a share', () => {
  it('is written with its sign', () => {
    expect(parsePercent('80%')).toEqual({ value: 80 });
  });

  it.each([80, '80', '0%', '101%', '12.5%', '-1%', null])('%j is refused', (text) => {
    expect(parsePercent(text)).toEqual({ problem: expect.stringContaining('1% to 100%') });
  });
});
