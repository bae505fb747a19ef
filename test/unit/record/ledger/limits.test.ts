import { describe, expect, it } from 'vitest';
import type { ActivitySample, IdleClock } from '../../../../src/model/activity.ts';
import { absent, misread, read } from '../../../../src/model/reading.ts';
import { claim, container, DAY, engine, GPU0, HOUR, idOf, nobody, NOW, testLedger } from './hosts.ts';

const sample: ActivitySample = { containerId: idOf('a'), startedAt: NOW - HOUR, at: NOW, bootId: 'boot', cpuNs: read(1_234_567_890), networkBytes: read(99), gpuPercent: read(12.5) };
const clock: IdleClock = { containerId: idOf('a'), startedAt: NOW - HOUR, last: sample, samples: 7, consecutiveIdle: 3, idleMs: 60_000, activeAt: NOW - 60_000 };

describe('idle clocks', () => {
  it('come back as they were, CPU time to the microsecond and never more than it was', () => {
    const test = testLedger();
    test.ledger.limits.recordActivity([sample], [clock]);
    expect(test.reopen().limits.idleClocks()).toEqual([{ ...clock, last: { ...sample, cpuNs: read(1_234_567_000) } }]);
  });

  it('keep what is missing apart from what failed', () => {
    const { ledger } = testLedger();
    const blind = { ...sample, cpuNs: misread('no'), networkBytes: absent };
    ledger.limits.recordActivity([blind], [{ ...clock, last: blind }]);
    expect(ledger.limits.idleClocks()).toMatchObject([{ last: { cpuNs: { kind: 'error' }, networkBytes: { kind: 'unsupported' }, gpuPercent: read(12.5) } }]);
  });

  it('are replaced, and go with the run that they are of', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a'), container('b')]), [], nobody, NOW);
    const other = { ...clock, containerId: idOf('b'), last: { ...sample, containerId: idOf('b') } };
    ledger.limits.recordActivity([], [clock, other]);
    ledger.limits.recordActivity([], [{ ...clock, idleMs: 90_000 }]);
    expect(ledger.limits.idleClocks().map(({ idleMs }) => idleMs)).toEqual([90_000, 60_000]);
    ledger.recordObservation(engine([container('a', { startedAt: NOW })]), [], nobody, NOW);
    ledger.limits.recordActivity([], []);
    expect(ledger.limits.idleClocks()).toEqual([]);
  });

  it('bear a container of which the ledger knows nothing else', () => {
    const { ledger } = testLedger();
    ledger.limits.recordActivity([sample], [clock]);
    ledger.limits.recordActivity([], []);
    expect(ledger.limits.idleClocks()).toHaveLength(1);
  });
});

describe('warnings', () => {
  const warning = { containerId: idOf('a'), startedAt: NOW - HOUR, kind: 'idle', stage: 'warned', at: NOW } as const;

  it('are kept by container, kind and stage, and cleared by kind; an exempt owner’s notice stays', () => {
    const { ledger } = testLedger();
    for (const each of [warning, { ...warning, stage: 'final' as const }, { ...warning, stage: 'notice' as const }, { ...warning, kind: 'runtime' as const, startedAt: null }, { ...warning, at: NOW + 1 }]) ledger.limits.recordWarning(each);
    expect(ledger.limits.warnings()).toHaveLength(4);
    ledger.limits.clearWarnings(idOf('a'), 'idle');
    expect(ledger.limits.warnings().map(({ kind, stage }) => `${kind} ${stage}`)).toEqual(['idle notice', 'runtime warned']);
  });
});

describe('the rest', () => {
  it('remembers wishes, each once, oldest first', () => {
    const { ledger } = testLedger();
    const keep = { containerId: idOf('a'), startedAt: NOW - HOUR, uid: 1000, askedAt: NOW, until: NOW + HOUR };
    for (const each of [keep, keep, { ...keep, askedAt: NOW - 1 }]) ledger.limits.recordKeepAlive(each);
    expect(ledger.limits.keepAlives()).toEqual([{ ...keep, askedAt: NOW - 1 }, keep]);
  });

  it('remembers who was once managed, and the first start of who is there', () => {
    const { ledger } = testLedger();
    ledger.limits.recordManaged([idOf('a'), idOf('b')]);
    ledger.limits.recordManaged([idOf('a')]);
    expect(ledger.limits.onceManaged()).toEqual(new Set([idOf('a'), idOf('b')]));
    ledger.recordObservation(engine([container('a'), container('b')]), [claim('a')], nobody, NOW);
    ledger.recordObservation(engine([container('a', { startedAt: NOW })]), [], nobody, NOW);
    expect(ledger.limits.firstStarts()).toEqual(new Map([[idOf('a'), NOW - HOUR]]));
  });

  it('remembers the use of devices since an instant', () => {
    const { ledger } = testLedger();
    ledger.limits.recordDeviceUse([{ gpuUuid: GPU0, at: NOW - HOUR, utilizationPercent: 1 }, { gpuUuid: GPU0, at: NOW, utilizationPercent: 99.5 }]);
    expect(ledger.limits.deviceUse(NOW)).toEqual([{ gpuUuid: GPU0, at: NOW, utilizationPercent: 99.5 }]);
    expect(ledger.limits.deviceUse(0)).toHaveLength(2);
  });

  it('forgets samples after their time, and what was said of containers that are long gone', () => {
    const test = testLedger({ keepSamplesMs: HOUR });
    const { ledger } = test;
    ledger.recordObservation(engine([container('b')]), [], nobody, NOW);
    ledger.limits.recordDeviceUse([{ gpuUuid: GPU0, at: NOW, utilizationPercent: 1 }]);
    for (const prefix of ['a', 'b']) ledger.limits.recordWarning({ containerId: idOf(prefix), startedAt: null, kind: 'runtime', stage: 'final', at: NOW });
    for (const [pass, at] of [['1', NOW + 31 * DAY], ['2', NOW + 31 * DAY + 1]] as const) {
      ledger.beginPass({ id: pass, job: 'sample', startedAt: at });
      ledger.endPass(pass, at, 0);
    }
    expect(ledger.limits.deviceUse(0)).toEqual([]);
    expect(ledger.limits.warnings().map(({ containerId }) => containerId)).toEqual([idOf('b')]);
  });
});
