import { describe, expect, it } from 'vitest';
import { dueStage, givenStages, reachedStage } from '../../../src/decide/stages.ts';
import type { WarningStage } from '../../../src/model/activity.ts';
import { NOW, warning } from './limit-facts.ts';

const percents = [80, 95] as const;

describe('the step that is due', () => {
  it.each([
    [79.9, null, null, null, null],
    [80, 'warned', 'warned', null, null],
    [95, 'final', 'warned', 'final', null],
    [100, 'stop', 'warned', 'final', 'stop'],
  ])('after %s %% of a limit is never the one after a step that was not taken: reached %s, nothing given %s, warned %s, warned twice %s', (percent, reached, ...due) => {
    const given: readonly (readonly WarningStage[])[] = [[], ['warned'], ['warned', 'final']];
    expect(reachedStage({ percent, percents })).toBe(reached);
    expect(given.map((stages) => dueStage({ percent, percents, given: new Set(stages) }))).toEqual(due);
  });
});

describe('the stages that were given', () => {
  it('are those that count, of warnings up to this moment', () => {
    const warnings = [warning('warned', 0), warning('final', -1), warning('notice', 5)];
    expect(givenStages(warnings, NOW, ({ stage }) => stage !== 'notice')).toEqual(new Set(['warned']));
  });
});
