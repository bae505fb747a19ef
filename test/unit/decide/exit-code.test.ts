import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../../src/decide/exit-code.ts';

const nothing = { observationFailed: false, actFailed: false, findings: false };

describe('the exit code of a pass', () => {
  it('is 0 where nothing was to do', () => {
    expect(exitCodeOf(nothing)).toBe(0);
  });

  it('is 1 for findings, 4 for an act that failed besides, 3 where a source failed besides', () => {
    expect(exitCodeOf({ ...nothing, findings: true })).toBe(1);
    expect(exitCodeOf({ ...nothing, findings: true, actFailed: true })).toBe(4);
    expect(exitCodeOf({ findings: true, actFailed: true, observationFailed: true })).toBe(3);
  });

  it('does not depend on findings where something weighs more', () => {
    expect(exitCodeOf({ ...nothing, actFailed: true })).toBe(4);
    expect(exitCodeOf({ ...nothing, observationFailed: true })).toBe(3);
  });
});
