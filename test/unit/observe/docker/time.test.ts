import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseEngineTime } from '../../../../src/observe/docker/time.ts';

describe("the engine's times", () => {
  test.each<[string, number]>([
    ['2026-11-22T01:11:55.52691598Z', Date.UTC(2026, 10, 22, 1, 11, 55, 526)],
    ['2026-11-22T01:11:55.999999999Z', Date.UTC(2026, 10, 22, 1, 11, 55, 999)],
    ['2026-11-22T01:11:55Z', Date.UTC(2026, 10, 22, 1, 11, 55)],
    ['2026-11-22T01:11:55.5Z', Date.UTC(2026, 10, 22, 1, 11, 55, 500)],
    ['2026-11-22T02:11:55.123456789+01:00', Date.UTC(2026, 10, 22, 1, 11, 55, 123)],
    ['2026-11-21T19:41:55-05:30', Date.UTC(2026, 10, 22, 1, 11, 55)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['1969-12-31T23:59:59.9995Z', -1],
  ])('%s is that very millisecond', (text, at) => {
    expect(parseEngineTime(text)).toBe(at);
  });

  test('the zero time means never', () => {
    expect(parseEngineTime('0001-01-01T00:00:00Z')).toBeNull();
  });

  test.each(['', 'now', '2026-02-30T00:00:00Z', '2026-11-22T24:00:00Z', '2026-11-22T23:59:60Z', '2026-11-22', '2026-11-22T01:11:55', '2026-11-22 01:11:55Z', '2026-11-22T01:11:55.Z', '2026-11-22T01:11:55.1234567890Z', '2026-11-22T01:11:55+25:00', '1795309915'])('%j is no time', (text) => {
    expect(parseEngineTime(text)).toBeUndefined();
  });

  test('any instant in any offset comes back as itself', () => {
    fc.assert(fc.property(fc.date({ min: new Date('1971-01-01'), max: new Date('9998-01-01'), noInvalidDate: true }), fc.integer({ min: -14 * 60, max: 14 * 60 }), (date, offset) => {
      const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1);
      const two = (n: number): string => String(n).padStart(2, '0');
      const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
      expect(parseEngineTime(`${local}999999${zone}`)).toBe(date.getTime());
    }));
  });
});
