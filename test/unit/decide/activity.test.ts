import { describe, expect, it } from 'vitest';
import { decideDeviceUse, decideSample, followedIn } from '../../../src/decide/activity.ts';
import type { Assessment } from '../../../src/decide/assess.ts';
import { type ProcessUses, sharesDevice } from '../../../src/decide/device-sharing.ts';
import { isDemandHigh } from '../../../src/decide/demand.ts';
import { decideWaste, wasteSince } from '../../../src/decide/waste.ts';
import type { Claim } from '../../../src/model/claim.ts';
import type { Gpu } from '../../../src/model/device.ts';
import { complete, failed, observed } from '../../../src/model/observation.ts';
import { misread, read, type Reading, unsupported } from '../../../src/model/reading.ts';
import { container, HOUR, ID, MINUTE, NOW, STARTED } from './limit-facts.ts';

interface Device { readonly use?: Reading<number>; readonly pids?: readonly number[] | 'unknown'; readonly mig?: readonly (string | null)[] }

function gpuOf({ use = read(0), pids = [], mig }: Device, index: number): Gpu {
  return {
    uuid: `GPU-${index}`, index, utilizationPercent: use, migCurrent: mig === undefined ? unsupported : read(true),
    migDevices: (mig ?? []).map((uuid, at) => ({ uuid, index: at })),
    processes: pids === 'unknown' ? { state: 'unknown', why: 'cut' } : { state: 'known', processes: pids.map((pid) => ({ pid })) },
  } as unknown as Gpu;
}

const claimOn = (gpuUuid: string, more: Partial<Claim> = {}): Claim => ({ containerId: ID, containerName: 'job', containerState: 'running', startedAt: STARTED, source: 'device-request', reference: '', gpuUuid, migUuid: null, released: false, ...more });

/** Pid 1 is the container's, 2 another's, 3 nobody knows whose, 5 perhaps the container's. */
function assessmentOf(devices: readonly Device[], more: { readonly driver?: object; readonly claims?: readonly Claim[]; readonly unresolved?: readonly object[]; readonly bootId?: string | null; readonly more?: number } = {}): Assessment {
  const gpus = devices.map(gpuOf);
  return {
    snapshot: { driver: more.driver ?? { state: 'complete', value: { gpus } }, engine: { state: 'complete', value: { containers: ['infra', ...Array.from({ length: 10 }, (_, n) => `c${n}`)].map((id) => ({ inspected: true, id })) } } }, gpus,
    look: { bootId: more.bootId === undefined ? 'boot' : more.bootId },
    ownership: new Map([[1, { kind: 'container', containerId: ID }], [2, { kind: 'container', containerId: 'other' }], [3, { kind: 'unknown' }], [5, { kind: 'unknown', containerId: ID }], ...(more.more === undefined ? [] : [[more.more, { kind: 'container', containerId: ID }] as const])]),
    claims: { claims: more.claims ?? gpus.map((gpu) => claimOn(gpu.uuid)), unresolved: more.unresolved ?? [] },
  } as unknown as Assessment;
}

const counters = { containerId: ID, startedAt: STARTED, cpuNs: read(1), networkBytes: read(1) };
const useIn = (assessment: Assessment, more: object = {}): unknown => decideSample({ container: { ...container, ...more }, counters, assessment, uses: null, at: NOW })?.gpuPercent;

describe('the use of devices in a sample', () => {
  it.each<[string, readonly Device[], unknown]>([
    ['is that of the device on which it has a process', [{ use: read(70), pids: [1] }], read(70)],
    ['is the highest of several (S11)', [{ use: read(0), pids: [1] }, { use: read(90), pids: [1] }], read(90)],
    ['is 0 where both are idle (S11)', [{ use: read(0), pids: [1] }, { use: read(0), pids: [1] }], read(0)],
    ['is 0 where a complete list shows no process of it, whoever else computes', [{ use: read(99), pids: [2] }], read(0)],
    ['is unsupported under MIG', [{ use: unsupported, pids: [1] }], unsupported],
    ['is that of the others where one has no such reading', [{ use: unsupported, pids: [1] }, { use: read(3), pids: [1] }], read(3)],
    ['is an error where the reading is', [{ use: misread('x'), pids: [1] }, { use: read(90), pids: [1] }], misread('x')],
    ['is an error where a list is not known', [{ use: read(0), pids: 'unknown' }], misread('its process list is not known: cut')],
    ['is an error where somebody unknown is on it', [{ use: read(0), pids: [3] }], misread('a process on it belongs to nobody knows whom')],
    ['is an error where somebody unknown is on it beside another', [{ use: read(0), pids: [2, 3] }], misread('a process on it belongs to nobody knows whom')],
    ['is an error where a process on it was not looked at', [{ use: read(0), pids: [9] }], misread('a process on it belongs to nobody knows whom')],
    ['is an error where a process is only perhaps its own', [{ use: read(0), pids: [5] }], misread('a process on it belongs to nobody knows whom')],
  ])('%s', (_, devices, expected) => { expect(useIn(assessmentOf(devices))).toEqual(expected); });

  it('is an error where nvidia-smi failed, or may have left out a device of it', () => {
    expect(useIn(assessmentOf([], { driver: failed('timeout', 'hung') }))).toEqual(misread('nvidia-smi: hung'));
    const partial = { state: 'partial', value: { gpus: [] }, missing: [] };
    const unseen = misread('a device that it may be on was not seen');
    expect(useIn(assessmentOf([], { driver: partial, unresolved: [{ containerId: ID }] }))).toEqual(unseen);
    expect(useIn(assessmentOf([], { driver: partial }), { privileged: true })).toEqual(unseen);
    expect(useIn(assessmentOf([], { driver: partial }))).toEqual(read(0));
    expect(useIn(assessmentOf([], { driver: partial, unresolved: [{ containerId: 'other' }] }))).toEqual(read(0));
    expect(useIn(assessmentOf([], { unresolved: [{ containerId: ID }] }))).toEqual(read(0));
  });

  it('is not spoilt by the list of a device that it does not claim', () => {
    expect(useIn(assessmentOf([{ use: read(1), pids: [1] }, { pids: 'unknown' }], { claims: [claimOn('GPU-0'), claimOn('GPU-1', { containerId: 'other' })] }))).toEqual(read(1));
  });
});

describe('the use of a shared device', () => {
  const shared = assessmentOf([{ use: read(90), pids: [1, 2] }]);
  const shareIn = (assessment: Assessment, uses: ProcessUses): unknown => decideSample({ container, counters, assessment, uses, at: NOW })?.gpuPercent;
  const said = (...percents: readonly (number | null)[]): ProcessUses => complete(percents.map((smPercent, at) => ({ gpuIndex: 0, pid: at + 1, smPercent })));

  it.each<[string, Assessment, ProcessUses, unknown]>([
    ['is that of its own processes', shared, said(0, 88), read(0)],
    ['is the sum of its own processes', assessmentOf([{ use: read(90), pids: [1, 2, 4] }], { more: 4 }), complete([{ gpuIndex: 0, pid: 1, smPercent: 30 }, { gpuIndex: 0, pid: 4, smPercent: 40 }, { gpuIndex: 0, pid: 2, smPercent: 1 }]), read(70)],
    ['is the device’s where one of its own has no sample', shared, said(null, 88), read(90)],
    ['is the device’s where one of its own is not mentioned', shared, complete([{ gpuIndex: 0, pid: 2, smPercent: 88 }]), read(90)],
    ['is the device’s where the samples are of another device', shared, complete([{ gpuIndex: 1, pid: 1, smPercent: 0 }, { gpuIndex: 1, pid: 2, smPercent: 88 }]), read(90)],
    ['is the device’s where no sample tells who uses it', shared, said(0, 0), read(90)],
    ['is the device’s where another process may be its own', assessmentOf([{ use: read(90), pids: [1, 2, 3] }]), said(0, 88, 0), read(90)],
    ['is the device’s where the driver cannot tell', shared, failed('refused', 'Not supported'), read(90)],
    ['is the device’s where nobody was asked', shared, null, read(90)],
    ['is the device’s where the samples are not complete', shared, observed([{ gpuIndex: 0, pid: 1, smPercent: 1 }, { gpuIndex: 0, pid: 2, smPercent: 88 }], [{ subject: 'line 3', why: 'cut' }]), read(90)],
    ['is the device’s where nobody knows whose another process is', assessmentOf([{ use: read(90), pids: [1, 2, 9] }]), said(0, 88), read(90)],
    ['is the device’s where only one container is on it, whatever became of the question', assessmentOf([{ use: read(90), pids: [1] }]), failed('malformed', 'cut off'), read(90)],
    ['is not supported under MIG, whatever became of the question', assessmentOf([{ use: unsupported, pids: [1, 2], mig: [] }]), failed('malformed', 'cut off'), unsupported],
    ['is not known where the answer could not be read', shared, failed('malformed', 'cut off'), misread('pmon: cut off')],
    ['is the device’s where only one container is on it, whatever was said', assessmentOf([{ use: read(90), pids: [1] }]), said(0), read(90)],
    ['is 0 where the device is idle, whatever became of the question', assessmentOf([{ use: read(0), pids: [1, 2] }]), failed('timeout', 'late'), read(0)],
    ['is not supported under MIG', assessmentOf([{ use: unsupported, pids: [1, 2], mig: [] }]), said(null, null), unsupported],
  ])('%s', (_, assessment, uses, expected) => { expect(shareIn(assessment, uses)).toEqual(expected); });

  it('is worth a question only where several containers are on a device that is in use', () => {
    const asks = (...devices: readonly Device[]): boolean => sharesDevice(assessmentOf(devices));
    expect([asks({ use: read(90), pids: [1, 2] }), asks({ use: misread('x'), pids: [1, 2] }), asks({ use: read(0) }, { use: read(90), pids: [1, 2] })]).toEqual([true, true, true]);
    expect([asks({ use: read(90), pids: 'unknown' }), asks({ use: read(90), pids: [1, 9] })]).toEqual([false, false]);
    expect([asks({ use: read(0), pids: [1, 2] }), asks({ use: read(90), pids: [1] }, { use: read(90), pids: [2] }), asks({ use: read(90), pids: [1, 3] }), asks({ use: unsupported, pids: [1, 2], mig: [] })]).toEqual([false, false, false, false]);
  });
});

it('no sample is taken where the boot is not known', () => {
  expect(decideSample({ container, counters, assessment: assessmentOf([], { bootId: null }), uses: null, at: NOW })).toBeNull();
});

describe('what is followed', () => {
  const other = { ...container, id: 'other' };
  const followed = (engine: object, claiming: readonly string[] = [ID, 'other'], infrastructure: readonly string[] = []): readonly string[] =>
    followedIn({ snapshot: { engine } } as unknown as Assessment, new Set(claiming), ({ id }) => infrastructure.includes(id)).map(({ id }) => id);
  const listing = (...containers: readonly object[]): object => complete({ containers });

  it('is every live container that claims a device, a frozen one too, but for the infrastructure', () => {
    expect(followed(listing(container, { ...other, state: 'paused' }))).toEqual([ID, 'other']);
    expect(followed(listing(container, other), [ID])).toEqual([ID]);
    expect(followed(listing(container, other), [ID, 'other'], ['other'])).toEqual([ID]);
  });

  it('is none that does not run or was not inspected, and nothing where the engine failed', () => {
    expect(followed(listing({ ...container, state: 'exited' }, { ...other, state: 'restarting' }))).toEqual([]);
    expect(followed(listing({ inspected: false, id: ID, name: 'job', state: 'running', why: 'late' }))).toEqual([]);
    expect(followed(failed('timeout', 'late'))).toEqual([]);
  });

  it('is the use of each device that tells it, whoever is on it', () => {
    expect(decideDeviceUse(assessmentOf([{ use: read(0) }, { use: unsupported }, { use: read(90) }]), NOW)).toEqual([{ gpuUuid: 'GPU-0', at: NOW, utilizationPercent: 0 }, { gpuUuid: 'GPU-2', at: NOW, utilizationPercent: 90 }]);
  });
});

describe('high demand', () => {
  const held = (count: number, more: Partial<Claim> = {}): readonly Claim[] => Array.from({ length: count }, (_, index) => claimOn(`GPU-${index}`, { containerId: `c${index}`, ...more }));
  const ten = Array.from({ length: 10 }, () => ({}));
  const high = (claims: readonly Claim[], devices: readonly Device[] = ten, driver?: object): boolean => isDemandHigh(assessmentOf(devices, { claims, ...(driver !== undefined && { driver }) }), ({ id }) => id === 'infra', 80);

  it('begins where four of five devices are allocated', () => {
    expect([high(held(7)), high(held(8))]).toEqual([false, true]);
  });

  it('counts neither released nor infrastructure’s claims, nor those of containers that could not be inspected', () => {
    expect([high(held(10, { released: true })), high(held(10, { containerId: 'infra' })), high(held(10, { source: 'uninspected' }))]).toEqual([false, false, false]);
  });

  it('counts MIG devices one by one', () => {
    const migs = ['a', 'b', 'c', 'd', 'e'];
    expect(high(migs.slice(0, 4).map((migUuid) => claimOn('GPU-0', { migUuid })), [{ mig: migs }])).toBe(true);
    expect(high(migs.slice(0, 3).map((migUuid) => claimOn('GPU-0', { migUuid })), [{ mig: migs }])).toBe(false);
    expect(high([claimOn('GPU-0')], [{ mig: migs }])).toBe(true);
    expect(high(migs.slice(0, 3).map((migUuid) => claimOn('GPU-0', { migUuid })), [{ mig: ['a', 'b', 'c', null, null] }]), 'two of which nobody knows who they are').toBe(false);
  });

  it('is not assumed where the devices, or what containers claim, are not all known, or there are none', () => {
    const all = assessmentOf(ten, { claims: held(10) });
    expect(high(held(10), ten, { state: 'partial', value: { gpus: [] }, missing: [] })).toBe(false);
    expect(isDemandHigh({ ...all, snapshot: { ...all.snapshot, engine: failed('timeout', 'hung') } }, () => false, 80)).toBe(false);
    expect(isDemandHigh(all, () => false, 80)).toBe(true);
    expect(high([], [])).toBe(false);
  });
});

describe('waste', () => {
  const allocation = { containerId: ID, containerName: 'job', startedAt: STARTED, gpuUuid: 'GPU-0', migUuid: null, owner: 'alice', observedAt: NOW - 5 * HOUR, releasedAt: null, releaseReason: null };
  const uses = (percents: readonly number[], everyMin = 5): Parameters<typeof decideWaste>[0]['uses'] => percents.map((utilizationPercent, at) => ({ gpuUuid: 'GPU-0', at: NOW - at * everyMin * MINUTE, utilizationPercent }));
  const found = (facts: Partial<Parameters<typeof decideWaste>[0]>): readonly string[] => decideWaste({ uses: uses([0, 0, 0, 0, 0, 4.9]), allocations: [allocation], now: NOW, ...facts }).map(({ message }) => message);

  it('is a device that somebody holds while hardly anything runs on it, told with owner and hours', () => {
    expect(decideWaste({ uses: uses([0, 0, 0, 0, 0, 4.9]), allocations: [allocation], now: NOW })).toEqual([{
      id: 'gpu.waste', severity: 'info', subject: { gpu: 'GPU-0', container: ID, owner: 'alice' },
      message: 'container job of alice has held it for 5 h; 100 % of the samples of the last 30 minutes were below 5 %',
      remedy: 'ask its owner; the idle limit stops what is idle altogether',
    }]);
  });

  it('names the MIG device, and says where the owner is not known', () => {
    const [finding] = decideWaste({ uses: uses([0, 0, 0, 0, 0]), allocations: [{ ...allocation, owner: null, migUuid: 'MIG-a' }], now: NOW });
    expect(finding).toMatchObject({ message: expect.stringContaining('container job of an unknown owner has held it') as string });
    expect(finding?.subject).toEqual({ gpu: 'GPU-0', container: ID, mig: 'MIG-a' });
  });

  it('is told from three samples over twenty minutes on, of a device that is held for the half hour; none from the future counts', () => {
    expect(found({ uses: [...uses([80]).map((each) => ({ ...each, at: NOW + 1 })), ...uses([0, 0, 0], 10)], allocations: [{ ...allocation, observedAt: NOW - 30 * MINUTE }] }))
      .toEqual(['container job of alice has held it for 0.5 h; 100 % of the samples of the last 30 minutes were below 5 %']);
  });

  it('looks half an hour back', () => {
    expect(wasteSince(NOW)).toBe(NOW - 30 * MINUTE);
  });

  it.each<[string, Parameters<typeof found>[0]]>([
    ['it is used in one of five samples', { uses: uses([0, 0, 0, 0, 80]) }],
    ['it was used at the very beginning of the half hour', { uses: uses([0, 0, 0, 80], 10) }],
    ['its samples are of the threshold itself', { uses: uses([5, 5, 5, 5, 5]) }],
    ['there are two samples', { uses: uses([0, 0], 20) }],
    ['the samples are of one minute', { uses: uses([0, 0, 0, 0], 0.3) }],
    ['the samples are old', { uses: uses([0, 0, 0, 0, 0]).map((each) => ({ ...each, at: each.at - HOUR })) }],
    ['the samples are of another device', { uses: uses([0, 0, 0, 0, 0]).map((each) => ({ ...each, gpuUuid: 'GPU-1' })) }],
    ['it was released', { allocations: [{ ...allocation, releasedAt: NOW - HOUR }] }],
    ['it is held for less than the window', { allocations: [{ ...allocation, observedAt: NOW - 29 * MINUTE }] }],
  ])('is not told where %s', (_, facts) => { expect(found(facts)).toEqual([]); });
});
