import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EventAction, EVENTS, type GpuctlEvent } from '../../../src/model/event.ts';
import { eventSchema } from '../../../src/record/event-schema.ts';
import { type EventContext, MAX_LINE_BYTES, renderEvent } from '../../../src/record/events.ts';

const context: EventContext = { host: 'gpu01', pass: '01JD', job: 'release-stale', dryRun: false, version: '0.1.0', now: () => Date.UTC(2026, 10, 22, 9, 5, 0, 12) };
const actions = Object.keys(EVENTS) as EventAction[];
const validate = new Ajv2020({ allErrors: true, strict: true }).compile(eventSchema());

const UUID = 'GPU-11111111-2222-3333-4444-555555555555';
const ID = 'ab'.repeat(32);

function fieldsOf(event: GpuctlEvent, its: EventContext = context): Record<string, unknown> {
  return JSON.parse(renderEvent(event, its)) as Record<string, unknown>;
}

function expectGoodLine(line: string): void {
  expect(Buffer.byteLength(line)).toBeLessThanOrEqual(MAX_LINE_BYTES);
  expect(line.endsWith('\n')).toBe(true);
  expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  const fields: unknown = JSON.parse(line);
  expect(validate(fields) ? [] : validate.errors).toEqual([]);
}

describe('an event line', () => {
  it('says everything in flat names of the Elastic Common Schema', () => {
    const fields = fieldsOf({
      action: 'gpu.orphan.ended',
      message: 'process 4711 was ended',
      outcome: 'success',
      reason: 'orphan-container-gone',
      container: { id: ID, name: 'train' },
      process: { pid: 4711, name: 'python' },
      user: 'alice',
      gpu: { uuid: UUID, index: 0, busId: '00000000:3b:00.0', mig: null, verdict: 'orphans' },
      facts: { usedMiB: 1024, signalSent: 'SIGKILL', blockers: [{ kind: 'cool-down', wayOut: 'wait' }], absent: null },
    });
    expect(fields).toEqual({
      '@timestamp': '2026-11-22T09:05:00.012Z',
      'ecs.version': '8.11.0',
      'log.level': 'info',
      'message': 'process 4711 was ended',
      'event.action': 'gpu.orphan.ended',
      'event.kind': 'event',
      'event.module': 'gpuctl',
      'event.outcome': 'success',
      'event.reason': 'orphan-container-gone',
      'host.name': 'gpu01',
      'container.id': ID,
      'container.name': 'train',
      'process.pid': 4711,
      'process.name': 'python',
      'user.name': 'alice',
      'gpu.uuid': UUID,
      'gpu.index': 0,
      'gpu.bus_id': '00000000:3b:00.0',
      'gpu.verdict': 'orphans',
      'gpuctl.schema': 1,
      'gpuctl.version': '0.1.0',
      'gpuctl.pass': '01JD',
      'gpuctl.job': 'release-stale',
      'gpuctl.dry_run': false,
      'gpuctl.alert': false,
      'gpuctl.used_mib': 1024,
      'gpuctl.signal_sent': 'SIGKILL',
      'gpuctl.blockers': [{ kind: 'cool-down', way_out: 'wait' }],
    });
  });

  it.each(actions)('of %s satisfies the schema and carries its level', (action) => {
    const line = renderEvent({ action, message: 'm' }, context);
    expectGoodLine(line);
    expect(JSON.parse(line)).toMatchObject({ 'log.level': EVENTS[action].level, 'gpuctl.alert': EVENTS[action].alert });
  });

  it('is at least a warning where it is an alert, and an alert may be raised by the one who emits it', () => {
    expect(fieldsOf({ action: 'gpu.orphan.ended', message: 'm', alert: true })).toMatchObject({ 'log.level': 'warn', 'event.kind': 'alert', 'gpuctl.alert': true });
    expect(fieldsOf({ action: 'observe.failed', message: 'm', level: 'info' })).toMatchObject({ 'log.level': 'warn' });
    expect(fieldsOf({ action: 'gpu.reset.done', message: 'm', level: 'error' })).toMatchObject({ 'log.level': 'error', 'event.kind': 'event' });
  });

  it('is marked in a dry run', () => {
    expect(fieldsOf({ action: 'pass.started', message: 'm' }, { ...context, dryRun: true })).toMatchObject({ 'gpuctl.dry_run': true });
  });

  it('leaves out what belongs to no pass', () => {
    const fields = fieldsOf({ action: 'config.rejected', message: 'm' }, { ...context, pass: null, job: null });
    expect(fields).not.toHaveProperty('gpuctl.pass');
    expect(fields).not.toHaveProperty('gpuctl.job');
  });
});

describe('hostile text in an event', () => {
  it('is escaped where it would drive a terminal or turn the text around', () => {
    const name = '\u001b]0;pwned\u0007\u009b2J\u007f\u2028\u202e\u200b\ufeff\u{e0041}ä🚀';
    const line = renderEvent({ action: 'gpu.orphan.found', message: name, container: { id: ID, name } }, context);
    expectGoodLine(line);
    expect(line).toContain('ä🚀');
    expect(JSON.parse(line)).toMatchObject({ 'message': name, 'container.name': name });
  });

  it('that is no well-formed Unicode becomes well-formed', () => {
    expect(fieldsOf({ action: 'pass.started', message: 'a\ud800b\udc00', facts: { text: ['\udfff'] } }))
      .toMatchObject({ 'message': 'a\ufffdb\ufffd', 'gpuctl.text': ['\ufffd'] });
  });

  it('of any length leaves a valid line that says it was shortened, with all ids whole', () => {
    for (const filler of ['x', '\u0001', '🚀', '"', '\ud800']) {
      const huge = filler.repeat(1024 * 1024);
      const line = renderEvent({ action: 'gpu.reset.withheld', message: huge, container: { id: ID, name: huge }, gpu: { uuid: UUID }, facts: { blockers: [{ what: huge }] } }, context);
      expectGoodLine(line);
      expect(JSON.parse(line)).toMatchObject({ 'gpuctl.truncated': true, 'container.id': ID, 'gpu.uuid': UUID, 'event.action': 'gpu.reset.withheld' });
    }
  });

  it('cannot make a line endless by number or depth', () => {
    const deep = Array.from({ length: 1000 }).reduce<unknown>((inner) => ({ inner }), 'x');
    const facts = { deep, many: Array.from({ length: 100_000 }, (_, n) => n), keys: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n])) };
    const line = renderEvent({ action: 'pass.ended', message: 'm', facts }, context);
    expectGoodLine(line);
    expect(JSON.parse(line)).toMatchObject({ 'gpuctl.truncated': true, 'message': 'm' });
  });

  it('used as the name of a fact neither forges a field nor gets into the line', () => {
    const fields = fieldsOf({ action: 'pass.started', message: 'm', facts: { 'alert': true, 'dryRun': true, 'pass': 'x', 'event.action': 1, 'a b': 1, '__proto__x': 1, '': 1, ['k'.repeat(65)]: 1 } });
    expect(fields).toMatchObject({ 'gpuctl.alert': false, 'gpuctl.dry_run': false, 'gpuctl.pass': '01JD', 'event.action': 'pass.started', 'gpuctl.truncated': true });
    expect(Object.keys(fields).filter((key) => !/^[a-z@.]+(?:_[a-z]+)*$/.test(key))).toEqual([]);
  });

  it('says that something was left out for which JSON has no form', () => {
    expect(fieldsOf({ action: 'pass.ended', message: 'm', facts: { counts: { kills: Number.NaN, stops: 2 }, when: new Map() } }))
      .toMatchObject({ 'gpuctl.counts': { stops: 2 }, 'gpuctl.truncated': true });
  });

  it('of every kind and in every place gives a good line', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ unit: 'grapheme', maxLength: 5000, size: 'max' }), fc.string({ maxLength: 20 }).map((s) => s.repeat(1000)));
    const event = fc.record({
      action: fc.constantFrom(...actions),
      message: text,
      alert: fc.boolean(),
      reason: text,
      container: fc.record({ id: text, name: fc.option(text) }),
      process: fc.record({ pid: fc.nat(), name: text }),
      user: text,
      gpu: fc.record({ uuid: text, busId: text, mig: fc.option(text), index: fc.option(fc.nat()) }),
      facts: fc.dictionary(fc.oneof(text, fc.constantFrom('blockers', 'counts', 'exit')), fc.oneof(fc.anything(), text, fc.array(text))),
    }, { requiredKeys: ['action', 'message'] });
    fc.assert(fc.property(event, (its) => { expectGoodLine(renderEvent(its, context)); }), { numRuns: 100 });
  });
});
