import { describe, expect, it } from 'vitest';
import { decideChecks, decideHealth } from '../../../../src/decide/health.ts';
import { correctedOf, JUDGES } from '../../../../src/decide/health/checks.ts';
import { thresholdOf } from '../../../../src/decide/health/facts.ts';
import { found, learning, notNow, notSupported, ok, type Verdict, worst } from '../../../../src/decide/health/verdict.ts';
import type { Gpu } from '../../../../src/model/device.ts';
import { HEALTH_CHECKS } from '../../../../src/model/health-checks.ts';
import type { HealthMark, HealthReadings } from '../../../../src/model/health.ts';
import { absent, misread, read, unsupported } from '../../../../src/model/reading.ts';
import { boardOf, factsOf, foundIn, HOUR, learned, markOf, MINUTE, NOW, rulesOf, UUID, verdictOf, withMarks } from './good-board.ts';

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

interface Found {
  readonly id: string;
  /** The whole message, as a person reads it. */
  readonly says: string;
  readonly health?: Partial<HealthReadings>;
  readonly gpu?: Partial<Gpu>;
  readonly evidence?: object;
}

const LEARNED_AT = '2026-11-22T06:05:00.000Z';
const ANCHORED_AT = '2026-11-22T07:35:00.000Z';

/** Each row: what is found, in which readings. Everything else is as on the sound board. */
const FOUND: readonly Found[] = [
  { id: 'gpu.fault', says: 'the driver reports: GPU is lost, Unknown Error', gpu: { faults: ['GPU is lost', 'Unknown Error'] }, evidence: { faults: ['GPU is lost', 'Unknown Error'] } },
  ...(['reset', 'drain-and-reset', 'reboot', 'drain-p2p', 'imex-domain-reset', 'bus-reset', 'system-reboot'] as const).map((action) => (
    { id: `gpu.recovery.${action}`, says: `the driver asks for the recovery action ${action}`, gpu: { recovery: read(action) }, evidence: { recovery: action } })),
  { id: 'gpu.recovery.other', says: 'the driver asks for a recovery action that this version does not know', gpu: { recovery: read('other') }, evidence: { recovery: 'other' } },
  { id: 'gpu.row_remap.failed', says: 'row remapping has failed: the board has no spare memory rows left', gpu: { remapFailed: read(true) } },
  { id: 'gpu.row_remap.pending', says: 'a memory repair waits for a reset; running work is not affected', health: { rowRemapPending: read(true) } },
  { id: 'gpu.row_remap.uncorrectable', says: '513 rows were remapped for uncorrectable errors', health: { rowsRemappedUncorrectable: read(513) }, evidence: { rows: 513 } },
  { id: 'gpu.ecc.uncorrectable', says: '1 new uncorrectable memory errors (DRAM)', health: { eccVolatileDramUncorrectable: read(1) }, evidence: { count: 1, baseline: 0, since: LEARNED_AT } },
  { id: 'gpu.ecc.sram_uncorrectable', says: '1 new uncorrectable errors in the chip (SRAM)', health: { eccVolatileSramUncorrectable: read(1) }, evidence: { count: 1, baseline: 0, since: LEARNED_AT } },
  { id: 'gpu.ecc.sram_threshold', says: 'the uncorrectable SRAM errors of its life exceed NVIDIA’s threshold', health: { sramThresholdExceeded: read(true) } },
  { id: 'gpu.ecc.channel_repair_pending', says: 'a repair of a memory channel waits for a reset', health: { channelRepairPending: read(true) } },
  { id: 'gpu.ecc.tpc_repair_pending', says: 'a repair of a processing cluster (TPC) waits for a reset', health: { tpcRepairPending: read(true) } },
  { id: 'gpu.ecc.unrepairable_memory', says: 'it has memory that cannot be repaired', health: { unrepairableMemory: read(true) } },
  { id: 'gpu.ecc.corrected', says: `1501 corrected memory errors since ${ANCHORED_AT}`, health: { eccVolatileDramCorrectable: read(1500), eccVolatileSramCorrectable: read(1) }, evidence: { count: 1501, before: 0, since: ANCHORED_AT } },
  { id: 'gpu.retired_pages.limit', says: '60 memory pages are retired, 10 of them for uncorrectable errors', health: { pagesRetiredSingleBit: read(50), pagesRetiredDoubleBit: read(10) }, evidence: { single: 50, double: 10 } },
  { id: 'gpu.retired_pages.many', says: '10 memory pages are retired, 2 of them for uncorrectable errors', health: { pagesRetiredSingleBit: read(8), pagesRetiredDoubleBit: read(2) }, evidence: { single: 8, double: 2 } },
  { id: 'gpu.retired_pages.pending', says: 'the retirement of a memory page waits for a reset; running work is not affected', health: { pageRetirementPending: read(true) } },
  { id: 'gpu.slowdown.thermal', says: 'the hardware slows it down for heat', health: { hwThermalSlowdown: read(true) } },
  { id: 'gpu.slowdown.thermal', says: `1001 ms slowed down for heat since ${ANCHORED_AT}`, health: { hwThermalSlowdownUs: read(1_001_000) }, evidence: { count: 1_001_000, before: 0, since: ANCHORED_AT } },
  { id: 'gpu.slowdown.thermal', says: 'the hardware slows it down for heat', health: { hwThermalSlowdown: read(true), hwSlowdown: read(true) } },
  { id: 'gpu.slowdown.power_brake', says: 'the power brake of the chassis slows it down', health: { hwPowerBrake: read(true), hwSlowdown: read(true) } },
  { id: 'gpu.slowdown.power_brake', says: `1001 ms slowed down by the power brake of the chassis since ${ANCHORED_AT}`, health: { hwPowerBrakeUs: read(1_001_000) }, evidence: { count: 1_001_000, before: 0, since: ANCHORED_AT } },
  { id: 'gpu.slowdown.hw', says: 'the hardware holds its clocks down', health: { hwSlowdown: read(true) } },
  { id: 'gpu.temperature', says: 'it is at 33 °C, so hot that the hardware slows down', health: { thermalMarginC: read(-2) }, evidence: { temperatureC: 33, leftC: 0 } },
  { id: 'gpu.temperature', says: 'it is so hot that the hardware slows down', health: { thermalMarginC: read(-3) }, gpu: { temperatureC: unsupported }, evidence: { temperatureC: null, leftC: -1 } },
  { id: 'gpu.temperature', says: 'it is at 89 °C, so hot that the hardware slows down', health: { thermalMarginC: unsupported, slowdownMarginC: unsupported, slowdownC: read(89) }, gpu: { temperatureC: read(89) }, evidence: { temperatureC: 89, leftC: 0 } },
  { id: 'gpu.fabric', says: 'its registration with the NVLink fabric is In Progress, status Success', health: { fabricState: read('In Progress') }, evidence: { state: 'In Progress', status: 'Success' } },
  { id: 'gpu.fabric', says: 'its registration with the NVLink fabric is Not Started', health: { fabricState: read('Not Started'), fabricStatus: unsupported }, evidence: { state: 'Not Started', status: null } },
  { id: 'gpu.fabric', says: 'its registration with the NVLink fabric is Completed, status Insufficient Resources', health: { fabricStatus: read('Insufficient Resources') }, evidence: { state: 'Completed', status: 'Insufficient Resources' } },
  { id: 'gpu.pcie.width', says: 'its PCIe link has 8 lanes, and had 16', health: { pcieWidth: read(8) }, evidence: { level: 8, baseline: 16, since: LEARNED_AT } },
  { id: 'gpu.pcie.gen', says: 'its PCIe link runs at generation 3, and ran at 5', health: { pcieGen: read(3) }, evidence: { level: 3, baseline: 5, since: LEARNED_AT } },
  { id: 'gpu.pcie.replay', says: `1 replays on its PCIe link since ${ANCHORED_AT}`, health: { pcieReplays: read(151) }, evidence: { count: 151, before: 150, since: ANCHORED_AT } },
  { id: 'gpu.mig.pending', says: 'MIG mode is off and becomes on at the next reset', gpu: { migPending: read(true) } },
  { id: 'gpu.mig.pending', says: 'MIG mode is on and becomes off at the next reset', gpu: { migCurrent: read(true) } },
  { id: 'gpu.ecc.pending', says: 'ECC mode is on and becomes off at the next reset', gpu: { eccPending: read(false) } },
  { id: 'gpu.persistence.off', says: 'persistence mode is off: the driver lets go of the board whenever nobody uses it, and its counters begin again', gpu: { persistence: read(false) } },
  { id: 'gpu.processes.unknown', says: 'its process list is not known: swallowed', gpu: { processes: lost }, evidence: { why: 'swallowed' } },
];

describe('a board', () => {
  it.each(FOUND)('gives $id, and nothing else, where $says', ({ id, says, health, gpu, evidence = {} }) => {
    const facts = factsOf({ board: boardOf(gpu, health) });
    expect(foundIn(facts)).toEqual([id]);
    expect(decideHealth(facts)).toMatchObject([{ subject: { gpu: UUID }, message: says, evidence }]);
    expect(decideHealth(facts)[0]?.evidence).toEqual(evidence);
  });

  it('has a test for each check', () => {
    expect(new Set([...FOUND.map(({ id }) => id), 'gpu.ghost_memory'])).toEqual(new Set(HEALTH_CHECKS.map(({ id }) => id)));
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
    expect(verdictOf('gpu.pcie.gen', factsOf({ board: boardOf({}, { performanceState: misread('Unknown Error') }) }))).toEqual({ state: 'unknown', why: 'Unknown Error' });
    expect(verdictOf('gpu.persistence.off', factsOf({ board: boardOf({}, { brand: misread('Unknown Error') }) }))).toEqual({ state: 'unknown', why: 'Unknown Error' });
  });

  it('of a link outside P0 means nothing now, and the check says so', () => {
    expect(verdictOf('gpu.pcie.width', factsOf({ board: boardOf({}, { performanceState: read('P8') }) }))).toEqual({ state: 'not-now', why: 'it is in P8, and only P0 counts' });
  });

  it.each<[string, HealthReadings['eccVolatileDramCorrectable'], HealthReadings['eccVolatileSramCorrectable'], object]>([
    ['adds up', read(2), read(3), read(5)],
    ['is what DRAM counts, where SRAM is not counted', read(2), absent, read(2)],
    ['is what SRAM counts, where DRAM is not counted', unsupported, read(3), read(3)],
    ['is unsupported where neither is counted', unsupported, unsupported, unsupported],
    ['is an error where DRAM could not be read', misread('Unknown Error'), read(3), misread('Unknown Error')],
    ['is an error where SRAM could not be read', read(2), misread('Unknown Error'), misread('Unknown Error')],
  ])('of corrected errors %s', (_, eccVolatileDramCorrectable, eccVolatileSramCorrectable, sum) => {
    expect(correctedOf({ gpu: boardOf({}, { eccVolatileDramCorrectable, eccVolatileSramCorrectable }) })).toEqual(sum);
  });

  it.each<[string, readonly Verdict[], Verdict]>([
    ['what was found, whatever else is not known', [{ state: 'unknown', why: 'cut' }, found('heat')], found('heat')],
    ['unknown, where the other is in order', [ok, { state: 'unknown', why: 'cut' }, learning], { state: 'unknown', why: 'cut' }],
    ['learning, where the other is in order', [ok, learning, notNow('P8')], learning],
    ['not now, where the other is in order', [ok, notNow('P8'), notSupported], notNow('P8')],
    ['in order, where the other is not supported', [notSupported, ok], ok],
    ['unsupported, where neither is supported', [notSupported, notSupported], notSupported],
  ])('of two that one check looks at makes it %s', (_, verdicts, verdict) => {
    expect(worst(...verdicts)).toEqual(verdict);
  });

  it('of a board that somebody made up without health is unsupported', () => {
    const { health: _, ...board } = boardOf();
    expect(foundIn(factsOf({ board }))).toEqual([]);
    expect(correctedOf({ gpu: board })).toBeUndefined();
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
    for (const { health, gpu } of FOUND) {
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
    ['gpu.retired_pages.limit', 5, { pagesRetiredSingleBit: read(5), pagesRetiredDoubleBit: read(0) }],
  ])('%s has a threshold that the configuration sets', (id, threshold, health) => {
    const board = boardOf({}, health);
    expect(foundIn(factsOf({ board }))).toEqual([]);
    expect(foundIn(factsOf({ board, rules: rulesOf({ thresholds: { [id]: threshold } }) }))).toEqual([id]);
  });

  it('of replays is measured by their number, however long that took', () => {
    const replayed = (count: number): readonly string[] => foundIn(factsOf({ board: boardOf({}, { pcieReplays: read(count) }), rules: rulesOf({ thresholds: { 'gpu.pcie.replay': 10 } }) }));
    expect([replayed(160), replayed(161)]).toEqual([[], ['gpu.pcie.replay']]);
  });

  it('has a threshold only where there is something to measure', () => {
    expect(() => thresholdOf('gpu.fault', rulesOf({}))).toThrow('gpu.fault has no threshold');
  });

  it('tells how far a warm board is from slowing down, where a margin is asked for', () => {
    const facts = factsOf({ board: boardOf({}, { thermalMarginC: read(8) }), rules: rulesOf({ thresholds: { 'gpu.temperature': 10 } }) });
    expect(decideHealth(facts)).toMatchObject([{ message: 'it is at 33 °C, 10 °C below where the hardware slows down', evidence: { leftC: 10 } }]);
  });

  it('of the rate of corrected errors is measured over the time that has passed, an hour at least', () => {
    const board = boardOf({}, { eccVolatileDramCorrectable: read(3000) });
    const over = (age: number): readonly string[] => foundIn(withMarks(board, markOf('ecc.volatile.correctable', 0, { anchorAt: NOW - age })));
    expect(over(0)).toEqual(['gpu.ecc.corrected']);
    expect(over(MINUTE)).toEqual(['gpu.ecc.corrected']);
    expect(over(3 * HOUR)).toEqual([]);
    expect(foundIn(withMarks(boardOf({}, { eccVolatileDramCorrectable: read(900) }), markOf('ecc.volatile.correctable', 0, { anchorAt: NOW - MINUTE })))).toEqual([]);
  });
});

describe('a board that answers "GPU requires reset"', () => {
  const remedyOf = (gpu: Partial<Gpu>): string | undefined => decideHealth(factsOf({ board: boardOf({ faults: ['GPU requires reset'], ...gpu }) })).find(({ id }) => id === 'gpu.fault')?.remedy;

  it('is reset by gpuctl where its process list is known', () => {
    expect(remedyOf({})).toBe('gpuctl resets it at the next moment when nothing refers to it');
  });

  it('is the admin’s where it is not: the remedy says what to look at and what to type', () => {
    const byHand = (node: string): string => `nvidia-smi cannot tell who is on it, so gpuctl does not reset it: end who has ${node} open (fuser -v ${node}), then nvidia-smi -r -i 00000000:10:00.0 by hand, or reboot the host`;
    expect(remedyOf({ processes: lost, minorNumber: 3 })).toBe(byHand('/dev/nvidia3'));
    expect(remedyOf({ processes: lost, minorNumber: null })).toBe(byHand('/dev/nvidiaN'));
  });

  it('and is lost besides needs what a lost one needs', () => {
    expect(remedyOf({ faults: ['GPU requires reset', 'GPU is lost'] })).toBe('look at the kernel log; a lost GPU needs a reboot');
    expect(remedyOf({ faults: ['Unknown Error'] })).toBe('look at the kernel log; a lost GPU needs a reboot');
  });

  it('has its other findings with their own remedies', () => {
    const [, remap] = decideHealth(factsOf({ board: boardOf({ faults: ['GPU requires reset'], remapFailed: read(true), processes: lost }) }));
    expect(remap).toMatchObject({ id: 'gpu.row_remap.failed', remedy: 'replace the board' });
  });
});

describe('a remedy', () => {
  const remedyOf = (gpu: Partial<Gpu>, health: Partial<HealthReadings> = {}): string | undefined => decideHealth(factsOf({ board: boardOf(gpu, health) }))[0]?.remedy;

  it('names the device as it is to be typed: by its bus id, its index, or, where that is not known, its UUID', () => {
    expect(remedyOf({ recovery: read('bus-reset') })).toBe('drain the GPU and reset its bus by hand: nvidia-smi -r bus -i 00000000:10:00.0 (590 and later); gpuctl does not do it');
    expect(remedyOf({ index: 3 }, { pcieWidth: read(8) })).toMatch(/gpuctl health-check --baseline accept --device 3$/);
    expect(remedyOf({ index: null }, { pcieWidth: read(8) })).toMatch(/--device GPU-00000000-aaaa-4bbb-8ccc-0123456789ab$/);
  });
});

describe('ghost memory', () => {
  const since = (minutes: number, overSamples: number): Partial<Parameters<typeof factsOf>[0]> => ({ memory: { ...learned, overSince: NOW - minutes * MINUTE, overSamples } });
  const leaking = boardOf({ usedMiB: read(904) });

  it('is memory above the baseline with nobody on the device, at the third look in a row, ten minutes after the first', () => {
    expect(decideHealth(factsOf({ board: leaking, ...since(10, 2) }))).toMatchObject([{
      id: 'gpu.ghost_memory', evidence: { usedMiB: 904, baselineMiB: 4, samples: 3, since: '2026-11-22T08:55:00.000Z' },
      message: '900 MiB more than the idle board needs are in use, and nobody is on the device since 2026-11-22T08:55:00.000Z',
      remedy: 'above dirty.memory gpuctl resets it when nothing refers to it; below, gpuctl reset 0 by hand',
    }]);
  });

  const notYet = { state: 'not-now', why: 'memory above the baseline has not lasted long enough' };
  it.each<[string, Parameters<typeof factsOf>[0], object]>([
    ['at the second look', since(30, 1), notYet],
    ['before ten minutes have passed', since(9, 5), notYet],
    ['at the first look', { memory: learned }, notYet],
    ['while somebody is on the device', { ...since(30, 5), nobody: false }, { state: 'not-now', why: 'somebody is on the device' }],
    ['while it is not known who claims it', { ...since(30, 5), nobody: null }, { state: 'unknown', why: 'it is not known who claims the device' }],
    ['before a baseline was learned', { ...since(30, 5), baselineMiB: null }, learning],
    ['when nothing was learned under this driver', { memory: null, baselineMiB: null }, learning],
  ])('is not found %s', (_, more, verdict) => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: leaking, ...more }))).toEqual(verdict);
  });

  it('is not found within its tolerance', () => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: boardOf({ usedMiB: read(516) }), ...since(30, 5) })).state).toBe('ok');
  });

  it('is not found where the process list is not known', () => {
    expect(verdictOf('gpu.ghost_memory', factsOf({ board: boardOf({ usedMiB: read(904), processes: lost }), ...since(30, 5), nobody: null }))).toEqual({ state: 'unknown', why: 'swallowed' });
  });
});
