import { describe, expect, it } from 'vitest';
import { decideChecks, decideHealth } from '../../../../src/decide/health.ts';
import { JUDGES } from '../../../../src/decide/health/checks.ts';
import type { Gpu } from '../../../../src/model/device.ts';
import { HEALTH_CHECKS } from '../../../../src/model/health-checks.ts';
import type { HealthMark, HealthReadings } from '../../../../src/model/health.ts';
import { absent, misread, read, unsupported } from '../../../../src/model/reading.ts';
import { boardOf, factsOf, foundIn, HOUR, learned, markOf, MINUTE, NOW, rulesOf, verdictOf, withMarks } from './good-board.ts';

const lost = { state: 'unknown', why: 'swallowed' } as const;

describe('a sound board', () => {
  it('gives no finding, and every check that it supports is ok', () => {
    expect(foundIn(factsOf())).toEqual([]);
    const states = Map.groupBy(decideChecks(factsOf()), ({ verdict }) => verdict.state);
    expect([...states.keys()].toSorted()).toEqual(['ok', 'unsupported']);
    expect(states.get('unsupported')?.map(({ check }) => check.id)).toEqual(['gpu.retired_pages.limit', 'gpu.retired_pages.many', 'gpu.retired_pages.pending']);
  });

  it('is judged by every check of the table, and by none besides', () => {
    expect(Object.keys(JUDGES)).toEqual(HEALTH_CHECKS.map(({ id }) => id));
  });
});

/** Each row: what is found, in which readings. Everything else is as on the sound board. */
const FOUND: readonly (readonly [id: string, health: Partial<HealthReadings>, gpu?: Partial<Gpu>])[] = [
  ['gpu.fault', {}, { faults: ['GPU is lost'] }],
  ...(['reset', 'drain-and-reset', 'reboot', 'drain-p2p', 'imex-domain-reset', 'bus-reset', 'system-reboot', 'other'] as const).map((action) => [`gpu.recovery.${action}`, {}, { recovery: read(action) }] as const),
  ['gpu.row_remap.failed', {}, { remapFailed: read(true) }],
  ['gpu.row_remap.pending', { rowRemapPending: read(true) }],
  ['gpu.row_remap.uncorrectable', { rowsRemappedUncorrectable: read(513) }],
  ['gpu.ecc.uncorrectable', { eccVolatileDramUncorrectable: read(1) }],
  ['gpu.ecc.sram_uncorrectable', { eccVolatileSramUncorrectable: read(1) }],
  ['gpu.ecc.sram_threshold', { sramThresholdExceeded: read(true) }],
  ['gpu.ecc.channel_repair_pending', { channelRepairPending: read(true) }],
  ['gpu.ecc.tpc_repair_pending', { tpcRepairPending: read(true) }],
  ['gpu.ecc.unrepairable_memory', { unrepairableMemory: read(true) }],
  ['gpu.ecc.corrected', { eccVolatileDramCorrectable: read(1501), eccVolatileSramCorrectable: read(0) }],
  ['gpu.retired_pages.limit', { pagesRetiredSingleBit: read(50), pagesRetiredDoubleBit: read(10) }],
  ['gpu.retired_pages.many', { pagesRetiredSingleBit: read(8), pagesRetiredDoubleBit: read(2) }],
  ['gpu.retired_pages.pending', { pageRetirementPending: read(true) }],
  ['gpu.slowdown.thermal', { hwThermalSlowdown: read(true) }],
  ['gpu.slowdown.thermal', { hwThermalSlowdownUs: read(1_001_000) }],
  ['gpu.slowdown.thermal', { hwThermalSlowdown: read(true), hwSlowdown: read(true) }],
  ['gpu.slowdown.power_brake', { hwPowerBrake: read(true) }],
  ['gpu.slowdown.power_brake', { hwPowerBrakeUs: read(1_001_000) }],
  ['gpu.slowdown.hw', { hwSlowdown: read(true) }],
  ['gpu.temperature', { thermalMarginC: read(-2) }],
  ['gpu.temperature', { thermalMarginC: unsupported, slowdownMarginC: unsupported, slowdownC: read(89) }, { temperatureC: read(89) }],
  ['gpu.fabric', { fabricState: read('In Progress') }],
  ['gpu.fabric', { fabricStatus: read('Insufficient Resources') }],
  ['gpu.pcie.width', { pcieWidth: read(8) }],
  ['gpu.pcie.gen', { pcieGen: read(3) }],
  ['gpu.pcie.replay', { pcieReplays: read(151) }],
  ['gpu.mig.pending', {}, { migPending: read(true) }],
  ['gpu.ecc.pending', {}, { eccPending: read(false) }],
  ['gpu.persistence.off', {}, { persistence: read(false) }],
  ['gpu.processes.unknown', {}, { processes: lost }],
];

describe('a board', () => {
  it.each(FOUND.map(([id, health, gpu = {}]) => ({ id, health, gpu })))('gives $id, and nothing else, for $health $gpu', ({ id, health, gpu }) => {
    expect(foundIn(factsOf({ board: boardOf(gpu, health) }))).toEqual([id]);
  });

  it('has a test for each check', () => {
    expect(new Set([...FOUND.map(([id]) => id), 'gpu.ghost_memory'])).toEqual(new Set(HEALTH_CHECKS.map(({ id }) => id)));
  });

  it.each<[string, Partial<HealthReadings>, Partial<Gpu>?]>([
    ['512 remapped rows', { rowsRemappedUncorrectable: read(512) }],
    ['nine retired pages', { pagesRetiredSingleBit: read(9), pagesRetiredDoubleBit: read(0) }],
    ['errors of its life that are old', { eccAggregateDramUncorrectable: read(7627), eccAggregateSramUncorrectable: read(3) }],
    ['a thousand corrected errors an hour', { eccVolatileDramCorrectable: read(1500) }],
    ['less than a second of slow-down', { hwThermalSlowdownUs: read(1_000_000), hwPowerBrakeUs: read(999_999) }],
    ['a software power cap', { swPowerCapUs: read(9_000_000_000) }],
    ['a hot but allowed temperature', { thermalMarginC: read(-1) }],
    ['a fabric that tells no status', { fabricStatus: absent }],
    ['no fabric', { fabricState: unsupported, fabricStatus: unsupported }],
    ['a link that sleeps', { performanceState: read('P8'), pcieGen: read(1), pcieWidth: read(1) }],
    ['a better link than before', { pcieGen: read(6) }],
    ['persistence off on a desktop board', { brand: read('GeForce') }, { persistence: read(false) }],
  ])('with %s is no finding', (_, health, gpu = {}) => {
    expect(foundIn(factsOf({ board: boardOf(gpu, health) }))).toEqual([]);
  });
});

describe('a reading', () => {
  it.each([['absent', absent], ['unsupported', unsupported]])('that is %s makes its check unsupported, neither ok nor found', (_, reading) => {
    const health = Object.fromEntries(Object.keys(boardOf().health ?? {}).map((key) => [key, reading])) as unknown as HealthReadings;
    const board = boardOf({ recovery: reading, remapFailed: reading, repairPending: reading, migCurrent: reading, migPending: reading, eccCurrent: reading, eccPending: reading, persistence: reading, temperatureC: reading, usedMiB: reading, health });
    const states = decideChecks(factsOf({ board })).filter(({ verdict }) => verdict.state !== 'unsupported').map(({ check, verdict }) => `${check.id} ${verdict.state}`);
    expect(states).toEqual(['gpu.fault ok', 'gpu.processes.unknown ok']);
  });

  it('that could not be read makes its check unknown, with what stands there', () => {
    expect(verdictOf('gpu.ecc.tpc_repair_pending', factsOf({ board: boardOf({}, { tpcRepairPending: misread('GPU requires reset') }) }))).toEqual({ state: 'unknown', why: 'GPU requires reset' });
    expect(verdictOf('gpu.pcie.gen', factsOf({ board: boardOf({}, { performanceState: misread('Unknown Error') }) }))).toMatchObject({ state: 'unknown' });
  });

  it('of a board that somebody made up without health is unsupported', () => {
    const { health: _, ...board } = boardOf();
    expect(foundIn(factsOf({ board }))).toEqual([]);
    expect(verdictOf('gpu.pcie.replay', factsOf({ board }))).toEqual({ state: 'unsupported' });
  });

  it('that was never read before is learned first: nothing is held against it', () => {
    const board = boardOf({}, { eccVolatileDramUncorrectable: read(5), eccVolatileSramUncorrectable: read(5), eccVolatileDramCorrectable: read(9_999_999), pcieReplays: read(9999), pcieGen: read(1), pcieWidth: read(1), hwThermalSlowdownUs: read(1e9), hwPowerBrakeUs: read(1e9) });
    const facts = factsOf({ board, marks: new Map() });
    expect(foundIn(facts)).toEqual([]);
    for (const id of ['gpu.ecc.uncorrectable', 'gpu.ecc.corrected', 'gpu.pcie.replay', 'gpu.pcie.width', 'gpu.slowdown.thermal']) expect(verdictOf(id, facts).state).toBe('learning');
  });

  it('of a counter that began again is held against nothing', () => {
    const board = boardOf({}, { eccVolatileDramUncorrectable: read(3), eccVolatileSramUncorrectable: read(3), eccVolatileDramCorrectable: read(5000), pcieReplays: read(20), hwThermalSlowdownUs: read(5e6), hwPowerBrakeUs: read(5e6) });
    const before: readonly Partial<HealthMark>[] = [{ baseline: 0, anchor: 0, next: 0, last: 8e6 }];
    const facts = withMarks(board, ...(['ecc.volatile.dram.uncorrectable', 'ecc.volatile.sram.uncorrectable', 'ecc.volatile.correctable', 'pcie.replays', 'slowdown.thermal_us', 'slowdown.power_brake_us'] as const).map((reading) => markOf(reading, 0, before[0])));
    expect(foundIn(facts)).toEqual([]);
  });

  it('of a rate under a clock that was set back is learned anew', () => {
    expect(verdictOf('gpu.pcie.replay', withMarks(boardOf({}, { pcieReplays: read(900) }), markOf('pcie.replays', 150, { anchorAt: NOW + HOUR })))).toEqual({ state: 'learning' });
  });
});

describe('uncorrectable errors', () => {
  it('stay a finding, look after look, while the counter stays above its baseline', () => {
    const facts = withMarks(boardOf({}, { eccVolatileDramUncorrectable: read(5) }), markOf('ecc.volatile.dram.uncorrectable', 5, { baseline: 2 }));
    expect(decideHealth(facts)).toMatchObject([{ id: 'gpu.ecc.uncorrectable', severity: 'critical', evidence: { count: 5, baseline: 2 }, message: '3 new uncorrectable memory errors (DRAM)' }]);
  });

  it('that were there at the first look are none', () => {
    expect(foundIn(withMarks(boardOf({}, { eccVolatileDramUncorrectable: read(5) }), markOf('ecc.volatile.dram.uncorrectable', 5)))).toEqual([]);
  });
});

describe('a finding', () => {
  it('carries its evidence, its remedy, its source with a date, and the first driver that has the reading', () => {
    for (const [, health, gpu = {}] of FOUND) {
      for (const finding of decideHealth(factsOf({ board: boardOf(gpu, health) }))) {
        expect(finding.remedy).toMatch(/\w/);
        expect(finding.remedy, 'what is to be typed names the device').not.toMatch(/--device GPU|reset GPU|BUS/);
        expect(finding.source).toMatch(/20\d\d/);
        expect(finding).toHaveProperty('evidence');
        expect(finding.minDriver === null || Number(finding.minDriver) >= 450).toBe(true);
      }
    }
  });

  it('that is switched off is off, and its neighbours are judged all the same', () => {
    const facts = factsOf({ board: boardOf({ persistence: read(false), remapFailed: read(true) }), rules: rulesOf({ disabled: new Set(['gpu.persistence.off']) }) });
    expect(foundIn(facts)).toEqual(['gpu.row_remap.failed']);
    expect(verdictOf('gpu.persistence.off', facts)).toEqual({ state: 'off' });
  });

  it.each<[string, number, Partial<HealthReadings>]>([
    ['gpu.row_remap.uncorrectable', 8, { rowsRemappedUncorrectable: read(9) }],
    ['gpu.ecc.corrected', 1, { eccVolatileDramCorrectable: read(2) }],
    ['gpu.temperature', 10, { thermalMarginC: read(8) }],
    ['gpu.slowdown.thermal', 0, { hwThermalSlowdownUs: read(1000) }],
    ['gpu.retired_pages.many', 1, { pagesRetiredSingleBit: read(1), pagesRetiredDoubleBit: read(0) }],
  ])('%s has a threshold that the configuration sets', (id, threshold, health) => {
    const board = boardOf({}, health);
    expect(foundIn(factsOf({ board }))).toEqual([]);
    expect(foundIn(factsOf({ board, rules: rulesOf({ thresholds: { [id]: threshold } }) }))).toEqual([id]);
  });

  it('of the rate of corrected errors is measured over the time that has passed, an hour at least', () => {
    const board = boardOf({}, { eccVolatileDramCorrectable: read(3000) });
    const over = (age: number): readonly string[] => foundIn(withMarks(board, markOf('ecc.volatile.correctable', 0, { anchorAt: NOW - age })));
    expect(over(MINUTE)).toEqual(['gpu.ecc.corrected']);
    expect(over(3 * HOUR)).toEqual([]);
    expect(foundIn(withMarks(boardOf({}, { eccVolatileDramCorrectable: read(900) }), markOf('ecc.volatile.correctable', 0, { anchorAt: NOW - MINUTE })))).toEqual([]);
  });
});

describe('a board that answers "GPU requires reset"', () => {
  const remedyOf = (gpu: Partial<Gpu>): string | undefined => decideHealth(factsOf({ board: boardOf({ faults: ['GPU requires reset'], ...gpu }) })).find(({ id }) => id === 'gpu.fault')?.remedy;

  it('is reset by gpuctl where its process list is known', () => {
    expect(remedyOf({})).toMatch(/^gpuctl resets it/);
  });

  it('is the admin’s where it is not: the remedy says what to look at and what to type', () => {
    expect(remedyOf({ processes: lost, minorNumber: 3 })).toMatch(/gpuctl does not reset it.*fuser -v \/dev\/nvidia3.*nvidia-smi -r -i 00000000:10:00\.0/);
  });
});

describe('ghost memory', () => {
  const since = (minutes: number, overSamples: number): Partial<Parameters<typeof factsOf>[0]> => ({ memory: { ...learned, overSince: NOW - minutes * MINUTE, overSamples } });
  const leaking = boardOf({ usedMiB: read(904) });

  it('is memory above the baseline with nobody on the device, at the third look in a row, ten minutes after the first', () => {
    expect(decideHealth(factsOf({ board: leaking, ...since(10, 2) }))).toMatchObject([{ id: 'gpu.ghost_memory', evidence: { usedMiB: 904, baselineMiB: 4, samples: 3 } }]);
  });

  it.each<[string, Parameters<typeof factsOf>[0], string]>([
    ['at the second look', since(30, 1), 'not-now'],
    ['before ten minutes have passed', since(9, 5), 'not-now'],
    ['at the first look', { memory: learned }, 'not-now'],
    ['while somebody is on the device', { ...since(30, 5), nobody: false }, 'not-now'],
    ['while it is not known who claims it', { ...since(30, 5), nobody: null }, 'unknown'],
    ['before a baseline was learned', { ...since(30, 5), baselineMiB: null }, 'learning'],
    ['when nothing was learned under this driver', { memory: null, baselineMiB: null }, 'learning'],
  ])('is not found %s', (_, more, state) => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: leaking, ...more })).state).toBe(state);
  });

  it('is not found within its tolerance', () => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: boardOf({ usedMiB: read(516) }), ...since(30, 5) })).state).toBe('ok');
  });

  it('is not found where the process list is not known', () => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: boardOf({ usedMiB: read(904), processes: lost }), ...since(30, 5), nobody: null })).state).toBe('unknown');
  });
});
