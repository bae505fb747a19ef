import { describe, expect, it } from 'vitest';
import { alertOf, clearedSubjects, linesOf, messageOf, subjectOf, titleOf } from '../../../../src/act/notify/alert.ts';
import type { GpuctlEvent } from '../../../../src/model/event.ts';
import { conflict } from './receivers.ts';

const raised: GpuctlEvent = { action: 'gpu.condition.raised', message: 'x', reason: 'gpu.fault', gpu: { uuid: 'GPU-1' } };
const partial: GpuctlEvent = { action: 'observe.partial', message: 'x', facts: { source: 'engine' } };
const tripped: GpuctlEvent = { action: 'breaker.tripped', message: 'x', reason: 'over-budget', facts: { verb: 'kill' } };
const container = { id: 'a'.repeat(64), name: 'train' };

describe('two alerts', () => {
  it.each<[string, GpuctlEvent, GpuctlEvent]>([
    ['actions', conflict, { ...conflict, action: 'gpu.reset.failed' }],
    ['devices', conflict, { ...conflict, gpu: { uuid: 'GPU-2' } }],
    ['MIG instances of one device', conflict, { ...conflict, gpu: { uuid: 'GPU-1', mig: 'MIG-1' } }],
    ['containers', { ...conflict, container }, { ...conflict, container: { ...container, id: 'b'.repeat(64) } }],
    ['conditions of one device', raised, { ...raised, reason: 'gpu.lost' }],
    ['sources', partial, { ...partial, facts: { source: 'nvidia-smi' } }],
    ['kinds of act', tripped, { ...tripped, facts: { verb: 'reset' } }],
  ])('of other %s are two', (_, one, other) => {
    expect(subjectOf(one)).not.toBe(subjectOf(other));
  });

  it.each<[string, GpuctlEvent, GpuctlEvent]>([
    ['the message', conflict, { ...conflict, message: 'three live containers claim one device' }],
    ['the reason, where they are about no condition', tripped, { ...tripped, reason: 'x' }],
    ['what else is told', partial, { ...partial, facts: { source: 'engine', verb: 'kill', missing: 7 } }],
    ['the name of the container', { ...conflict, container }, { ...conflict, container: { ...container, name: null } }],
  ])('that differ in %s are one', (_, one, other) => {
    expect(subjectOf(one)).toBe(subjectOf(other));
  });

  it('of one subject are known by it after an upgrade', () => {
    expect([conflict, { ...raised, container }, { action: 'ledger.rebuilt', message: 'x' } as const].map(subjectOf)).toEqual([
      '["gpu.allocation.conflict","GPU-1",null,null,null]',
      `["gpu.condition.raised","GPU-1",null,"${container.id}","gpu.fault"]`,
      '["ledger.rebuilt",null,null,null,null]',
    ]);
  });
});

it('a condition that was cleared ends the alerts of its beginning and of its worsening, and no other event ends any', () => {
  expect(clearedSubjects({ ...raised, action: 'gpu.condition.cleared' })).toEqual([subjectOf(raised), subjectOf({ ...raised, action: 'gpu.condition.changed' })]);
  for (const event of [raised, { ...raised, action: 'gpu.condition.changed' } as const, conflict]) expect(clearedSubjects(event)).toEqual([]);
});

/** So many of one alert. */
function messageAbout(event: GpuctlEvent, count = 1): ReturnType<typeof messageOf> {
  return messageOf(Array.from({ length: count }, () => alertOf(event, { render: ({ action }) => `{"${action}"}\n`, now: () => 7 })), 'gpu01');
}

it('an alert is kept in the words of its instant: its subject, its line, its sentence', () => {
  expect(alertOf(conflict, { render: ({ action }) => `{"${action}"}\n`, now: () => 7 })).toEqual({ subject: subjectOf(conflict), at: 7, line: '{"gpu.allocation.conflict"}', sentence: 'gpu.allocation.conflict: two live containers claim one device' });
});

describe('a message', () => {
  it.each<[string, Partial<GpuctlEvent>]>([
    ['', {}],
    ['', { container: { ...container, name: null } }],
    [' (container train)', { container }],
    [' (owner alice)', { user: 'alice' }],
    [' (container train, owner alice)', { container, user: 'alice' }],
  ])('says what happened%s', (about, changed) => {
    const { sentences } = messageAbout({ ...conflict, ...changed });
    expect(sentences).toEqual([`gpu.allocation.conflict: two live containers claim one device${about}`]);
  });

  it.each([[1, 'gpuctl on gpu01: 1 alert'], [2, 'gpuctl on gpu01: 2 alerts'], [50, 'gpuctl on gpu01: 50 alerts']])('of %i alerts has them all', (count, title) => {
    const message = messageAbout(conflict, count);
    expect(titleOf(message)).toBe(title);
    expect(linesOf(message)).toHaveLength(count);
    expect(message).toMatchObject({ host: 'gpu01', lines: Array.from({ length: count }, () => '{"gpu.allocation.conflict"}'), more: 0 });
  });

  it('of a storm counts those that it has no room for, and says where they are', () => {
    const message = messageAbout(conflict, 53);
    expect(titleOf(message)).toBe('gpuctl on gpu01: 53 alerts');
    expect(linesOf(message)).toHaveLength(51);
    expect(linesOf(message).at(-1)).toBe('and 3 more; see the event file');
  });
});
