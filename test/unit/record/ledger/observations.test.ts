import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Container } from '../../../../src/model/container.ts';
import { claim, container, DAY, engine, ENGINE, GPU0, GPU1, HOUR, idOf, MIG, nobody, NOW, target, testLedger } from './hosts.ts';

const run = { containerId: idOf('a'), startedAt: NOW - HOUR, gpuUuid: GPU0, migUuid: null };

describe('the first observation', () => {
  it('starts the clocks once and for all', () => {
    const { ledger } = testLedger();
    expect(ledger.history().firstPassAt).toBeNull();
    ledger.recordObservation(null, [], nobody, NOW);
    ledger.recordObservation(engine([]), [], nobody, NOW + HOUR);
    expect(ledger.history().firstPassAt).toBe(NOW);
  });

  it('of an engine that is not trusted learns nothing but that', () => {
    const { ledger } = testLedger();
    expect(ledger.recordObservation(null, [claim('a')], nobody, NOW)).toEqual([]);
    expect(ledger.history()).toMatchObject({ engineId: null, knownContainerIds: [], allocations: [] });
  });

  it('learns the engine and its containers, in the order of their ids', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('b'), container('a'), { inspected: false, id: idOf('c'), name: 'c', state: 'running', why: '500' }]), [], nobody, NOW);
    expect(ledger.history()).toMatchObject({ engineId: ENGINE, knownContainerIds: [idOf('a'), idOf('b'), idOf('c')] });
  });
});

describe('another engine on the same socket', () => {
  it('is not learned from', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW);
    expect(ledger.recordObservation(engine([container('b')], 'ENGN:TWO'), [claim('b')], nobody, NOW)).toEqual([]);
    expect(ledger.history()).toMatchObject({ engineId: ENGINE, knownContainerIds: [idOf('a')] });
  });

  it('that an admin accepted has only the containers that it was itself seen to have', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [], nobody, NOW);
    ledger.acceptEngine('ENGN:TWO');
    expect(ledger.history()).toMatchObject({ engineId: 'ENGN:TWO', knownContainerIds: [] });
    ledger.recordObservation(engine([container('b')], 'ENGN:TWO'), [], nobody, NOW);
    expect(ledger.history().knownContainerIds).toEqual([idOf('b')]);
  });

  it('of another kind is not learned from, until an admin accepts it', () => {
    const { ledger } = testLedger();
    const podman = { ...engine([container('a')], null), kind: 'podman' as const };
    expect(ledger.recordObservation(podman, [claim('a')], nobody, NOW)).toHaveLength(1);
    expect(ledger.history()).toMatchObject({ engineId: null, engineKind: 'podman' });
    expect(ledger.recordObservation(engine([container('b')]), [claim('b')], nobody, NOW)).toEqual([]);
    expect(ledger.history()).toMatchObject({ engineId: null, engineKind: 'podman', knownContainerIds: [idOf('a')] });
    ledger.acceptEngine(ENGINE, 'docker');
    expect(ledger.history()).toMatchObject({ engineId: ENGINE, engineKind: 'docker', knownContainerIds: [] });
    expect(ledger.recordObservation(engine([container('b')]), [claim('b')], nobody, NOW)).toHaveLength(1);
    expect(ledger.recordObservation(podman, [claim('a')], nobody, NOW)).toEqual([]);
    ledger.acceptEngine(null, 'podman');
    expect(ledger.recordObservation(podman, [], nobody, NOW)).toEqual([]);
    expect(ledger.history()).toMatchObject({ engineId: null, engineKind: 'podman', knownContainerIds: [idOf('a')] });
  });

  it('that has no lasting id is learned from without becoming the known one', () => {
    const { ledger } = testLedger();
    expect(ledger.recordObservation(engine([container('a')], null), [claim('a')], nobody, NOW)).toHaveLength(1);
    expect(ledger.history()).toMatchObject({ engineId: null, knownContainerIds: [idOf('a')] });
  });
});

describe('an allocation', () => {
  it('is opened for each device that a container holds, once, however many ways it claims it', () => {
    const { ledger } = testLedger();
    const claims = [claim('a'), claim('a', { source: 'label' }), claim('a', { gpuUuid: GPU1, migUuid: MIG }), claim('a', { gpuUuid: GPU1 })];
    const opened = ledger.recordObservation(engine([container('a')]), claims, new Map([[idOf('a'), 'alice']]), NOW);
    expect(opened).toEqual([
      { ...run, containerName: 'name-a', owner: 'alice', observedAt: NOW, releasedAt: null, releaseReason: null },
      expect.objectContaining({ gpuUuid: GPU1, migUuid: MIG }),
      expect.objectContaining({ gpuUuid: GPU1, migUuid: null }),
    ]);
    expect(ledger.recordObservation(engine([container('a')]), claims, nobody, NOW + 1)).toEqual([]);
    const { allocations } = ledger.history();
    expect(allocations).toHaveLength(3);
    expect(allocations[0]).toStrictEqual(opened[0]);
  });

  it('is not what is claimed because nobody could look, nor what was given up', () => {
    const { ledger } = testLedger();
    const claims = [claim('a', { source: 'uninspected' }), claim('b', { released: true })];
    expect(ledger.recordObservation(engine([container('a'), container('b')]), claims, nobody, NOW)).toEqual([]);
  });

  it('belongs to the run that the engine tells of, also where a process alone is the claim', () => {
    const { ledger } = testLedger();
    const claims = [claim('a', { source: 'live-process', startedAt: null }), claim('a')];
    expect(ledger.recordObservation(engine([container('a')]), claims, nobody, NOW)).toEqual([expect.objectContaining(run)]);
  });

  it('of a run that is over makes way for that of the next run, whether or not this one claims anything', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a'), container('b')]), [claim('a'), claim('b')], nobody, NOW);
    const again = [container('a', { startedAt: NOW }), container('b', { startedAt: NOW })];
    const opened = ledger.recordObservation(engine(again), [claim('a', { startedAt: NOW })], nobody, NOW + 1);
    expect(opened).toEqual([expect.objectContaining({ containerId: idOf('a'), startedAt: NOW })]);
    expect(ledger.history().allocations).toStrictEqual(opened);
  });

  it('of a created container becomes that of its first run', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a', { startedAt: null, state: 'created' })]), [claim('a', { startedAt: null })], nobody, NOW);
    expect(ledger.history().allocations).toMatchObject([{ startedAt: null }]);
    ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW);
    expect(ledger.history().allocations).toMatchObject([{ startedAt: NOW - HOUR }]);
  });

  it('stays open while its container cannot be inspected, and when it is gone', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW);
    ledger.recordObservation(engine([{ inspected: false, id: idOf('a'), name: 'a', state: 'unknown', why: '500' }]), [claim('a', { source: 'uninspected', startedAt: null })], nobody, NOW);
    ledger.recordObservation(engine([]), [], nobody, NOW);
    expect(ledger.history().allocations).toMatchObject([{ ...run, releasedAt: null }]);
  });
});

describe('a released allocation', () => {
  it('is remembered as long as the engine still has the container', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW);
    ledger.release(run, 'hold-expired', NOW + 1);
    ledger.release(run, 'gone', NOW + 2);
    expect(ledger.history().allocations).toMatchObject([{ ...run, releasedAt: NOW + 1, releaseReason: 'hold-expired' }]);
    ledger.recordObservation(engine([container('a')]), [claim('a', { released: true })], nobody, NOW + 3);
    expect(ledger.history().allocations).toHaveLength(1);
    ledger.recordObservation(engine([]), [], nobody, NOW + 4);
    expect(ledger.history().allocations).toEqual([]);
  });

  it('is only the one of that device and that run', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [claim('a'), claim('a', { migUuid: MIG }), claim('a', { gpuUuid: GPU1 })], nobody, NOW);
    ledger.release({ ...run, startedAt: NOW }, 'no-hold', NOW);
    ledger.release({ ...run, startedAt: null }, 'no-hold', NOW);
    expect(ledger.history().allocations.filter((each) => each.releasedAt !== null)).toEqual([]);
    ledger.release({ ...run, migUuid: MIG }, 'no-hold', NOW);
    expect(ledger.history().allocations.filter((each) => each.releasedAt !== null)).toMatchObject([{ migUuid: MIG }]);
  });

  it('counts no more once the container holds the device again, in the same run or a later one', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW);
    ledger.release(run, 'hold-expired', NOW + 1);
    expect(ledger.recordObservation(engine([container('a')]), [claim('a')], nobody, NOW + 2)).toHaveLength(1);
    expect(ledger.history().allocations).toMatchObject([{ ...run, observedAt: NOW + 2, releasedAt: null }]);
    ledger.release(run, 'hold-expired', NOW + 3);
    ledger.recordObservation(engine([container('a', { startedAt: NOW + 4 })]), [claim('a', { startedAt: NOW + 4 })], nobody, NOW + 5);
    expect(ledger.history().allocations).toMatchObject([{ startedAt: NOW + 4, releasedAt: null }]);
  });
});

describe('what is old', () => {
  it('is forgotten at the end of a pass: gone containers after 90 days, released allocations and resets after 400', () => {
    const { ledger } = testLedger();
    ledger.recordObservation(engine([container('a'), container('b')]), [claim('a')], nobody, NOW);
    ledger.release(run, 'gone', NOW);
    ledger.recordObservation(engine([container('b')]), [], nobody, NOW);
    const passAt = (at: number, id: string): void => {
      ledger.beginPass({ id, job: 'sample', startedAt: at });
      ledger.endPass(id, at, 0);
    };
    passAt(NOW, '1');
    passAt(NOW + 91 * DAY, '2');
    expect(ledger.history().knownContainerIds).toEqual([idOf('a'), idOf('b')]);
    passAt(NOW + 91 * DAY, '3');
    expect(ledger.history().knownContainerIds).toEqual([idOf('b')]);
  });

  it('is as well, newest kept, what is more than twenty thousand gone containers, however young: containers can be made and removed all day', () => {
    const { ledger } = testLedger();
    const made = (from: number): Container[] => Array.from({ length: 10_500 }, (_, n) => ({ ...container('a'), id: (from + n).toString(16).padStart(64, '0') }));
    ledger.recordObservation(engine(made(0)), [], nobody, NOW);
    ledger.recordObservation(engine(made(20_000)), [], nobody, NOW + 1);
    ledger.recordObservation(engine([container('b')]), [], nobody, NOW + 2);
    for (const id of ['1', '2']) {
      ledger.beginPass({ id, job: 'sample', startedAt: NOW + 3 });
      ledger.endPass(id, NOW + 3, 0);
    }
    const known = new Set(ledger.history().knownContainerIds);
    expect([known.size, known.has(idOf('b')), made(20_000).every(({ id }) => known.has(id))]).toEqual([20_001, true, true]);
  });

  it('is as well, however young, what is more than fifty thousand allocations or a hundred thousand acts; what is not over stays', () => {
    const { ledger, file } = testLedger();
    ledger.recordObservation(engine([container('a'), container('b')]), [claim('a'), claim('b', { gpuUuid: GPU1 })], nobody, NOW);
    ledger.release(run, 'gone', NOW);
    ledger.beginPass({ id: 'cut off', job: 'release-stale', startedAt: NOW });
    ledger.beginAct('cut off', 'kill', target, NOW);
    const db = new DatabaseSync(file);
    db.exec(`
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50100)
      INSERT INTO allocations (container_id, container_name, gpu_uuid, observed_at, released_at) SELECT i, 'x', '${GPU0}', ${NOW}, ${NOW} FROM n;
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
      INSERT INTO acts (pass_id, verb, target, begun_at, ended_at) SELECT 'cut off', 'release', '{}', ${NOW}, ${NOW} FROM n`);
    const count = (table: string): unknown => db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'];
    for (const id of ['1', '2']) {
      ledger.beginPass({ id, job: 'sample', startedAt: NOW });
      ledger.endPass(id, NOW, 0);
    }
    // Two allocations and one act of the beginning: of containers that are there, and untold.
    expect([count('allocations'), count('acts')]).toEqual([50_002, 100_001]);
    expect(ledger.history().allocations.map(({ containerId }) => containerId)).toEqual([idOf('a'), idOf('b')]);
    expect(ledger.untoldActs('2')).toHaveLength(1);
    db.close();
  });

  it('is not forgotten because of one pass under a clock that jumped ahead', () => {
    const { ledger } = testLedger();
    ledger.recordMemory([{ gpuUuid: GPU0, at: NOW - HOUR, usedMiB: 1, unexplainedMiB: 1 }]);
    for (const [id, at] of [['1', NOW], ['2', NOW + 10_000 * DAY], ['3', NOW + 1]] as const) {
      ledger.beginPass({ id, job: 'sample', startedAt: at });
      ledger.endPass(id, at, 0);
    }
    expect(ledger.history().memory).toHaveLength(1);
  });
});

describe('a thousand containers', () => {
  it('are recorded whole, and a second time without anything new', () => {
    const { ledger } = testLedger();
    const prefixes = Array.from({ length: 1000 }, (_, n) => n.toString(16).padStart(3, '0'));
    const view = engine(prefixes.map((prefix) => container(prefix)));
    const claims = prefixes.flatMap((prefix) => [claim(prefix), claim(prefix, { gpuUuid: GPU1 })]);
    expect(ledger.recordObservation(view, claims, nobody, NOW)).toHaveLength(2000);
    expect(ledger.recordObservation(view, claims, nobody, NOW)).toEqual([]);
    expect(ledger.history().allocations.map((each) => each.containerId + each.gpuUuid)).toEqual(claims.map((each) => each.containerId + each.gpuUuid));
  });
});
