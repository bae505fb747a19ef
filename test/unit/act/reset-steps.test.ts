import { describe, expect, it } from 'vitest';
import { createActor } from '../../../src/act/actor.ts';
import type { ResetParts } from '../../../src/act/reset-gpu.ts';
import type { ChildResult } from '../../../src/callout/child.ts';
import type { GpuTarget } from '../../../src/model/decision.ts';
import type { Gpu } from '../../../src/model/device.ts';
import { complete, failed } from '../../../src/model/observation.ts';
import { misread, read } from '../../../src/model/reading.ts';
import type { BoardDebt } from '../../../src/model/reset.ts';
import type { Snapshot } from '../../../src/model/snapshot.ts';
import type { ActResult } from '../../../src/passes/ports.ts';
import { passingJournal } from '../../../src/passes/reset-transaction.ts';
import { snapshotOf } from '../../property/host.ts';
import { assessed, GPU0, GPU1, hostOf, NOW } from '../decide/good-case.ts';

const BUS = '00000000:10:00.0';
const target: GpuTarget = { kind: 'gpu', uuid: GPU0, pciBusId: BUS, index: 0 };

const ended = (stdout: string, exitCode: number): ChildResult => ({ stdout, stderr: '', exitCode, problem: null });
const done = ended(`GPU ${BUS} was successfully reset.\nAll done.\n`, 0);
const busy = ended(`GPU ${BUS} is currently in use by another process.\n`, 19);
const lost = ended(`GPU ${BUS}: GPU is lost.\n`, 15);
const hung = (problem: 'timeout' | 'hung'): ChildResult => ({ stdout: '', stderr: '', exitCode: null, problem });

function board(more: Partial<Gpu> = {}): Gpu {
  const [gpu] = assessed({}).gpus;
  if (gpu === undefined) throw new Error('no GPU');
  return { ...gpu, persistence: read(true), computeMode: read('Prohibited'), powerLimitW: read(250), ...more };
}

function snapshotWith(driver: Snapshot['driver']): Snapshot {
  return { ...snapshotOf(hostOf(), NOW), driver };
}

const driverWith = (gpus: readonly Gpu[]): Snapshot['driver'] => complete({ driverVersion: '590', attachedGpus: gpus.length, gpus });

interface Case {
  /** Of each call, in order; a call after the last one succeeds and says nothing. */
  readonly answers?: readonly ChildResult[];
  readonly before?: Partial<Gpu>;
  /** The board at each look, in order (the last one lasts); null: it is not there. */
  readonly looks?: readonly (Partial<Gpu> | null)[];
  readonly snapshot?: Snapshot;
}

/** One reset, and in their order: the calls of nvidia-smi, the looks, and what was written into the journal. */
async function reset({ answers = [done], before, looks = [{}], snapshot = snapshotWith(driverWith([board(before)])) }: Case): Promise<{ readonly result: ActResult; readonly story: readonly string[] }> {
  const story: string[] = [];
  const [left, toSee] = [[...answers], [...looks]];
  const journal = passingJournal();
  const names = (debts: readonly { readonly kind: string }[]): string => debts.map(({ kind }) => kind).join(' ');
  const parts: ResetParts = {
    nvidiaSmi: { path: 'nvidia-smi', timeoutMs: 1000 },
    run: async ({ args }) => { story.push(args.join(' ')); return left.shift() ?? ended('', 0); },
    observeDriver: async () => {
      story.push('look');
      const seen = toSee.length > 1 ? toSee.shift() : toSee[0];
      return driverWith(seen === null ? [] : [board({ ...before, ...seen })]);
    },
  };
  const actor = createActor({ ...parts, clock: { now: () => 0, monotonicMs: () => 0, sleep: async () => {} }, termGraceMs: 0, stateOf: () => null, signal: () => {}, stopping: () => false });
  const result = await actor.resetGpu(target, snapshot, {
    ...journal,
    begin: (intent) => { story.push(`begin ${intent.kind}: ${names(intent.debts)}`); return journal.begin(intent); },
    end: (step, { result: how, detail }) => { story.push(`end ${step}: ${how}${detail === '' ? '' : `, ${detail}`}`); },
    paid: (debt) => { story.push(`paid ${debt.kind}`); journal.paid(debt); },
    owed: (debt: BoardDebt, why) => { story.push(`owed ${debt.kind}: ${why}`); },
  });
  return { result, story };
}

const BEGIN = 'begin reset: persistence compute-mode power-limit ecc-mode';
const IN_USE = 'nvidia-smi (exit 19): GPU 00000000:10:00.0 is currently in use by another process.; somebody has it open whom /proc does not show as a holder of its node: stop monitoring services such as DCGM or an exporter, or list them under reset.pause_services';
const HUNG = 'nvidia-smi (timeout): ; see the kernel log; it is not known whether the reset took place';

describe('the journal of a reset', () => {
  it('has the reset with all that it may take away, and its end, before what came back is struck out', async () => {
    const { result, story } = await reset({});
    expect(story).toEqual([BEGIN, `-r -i ${BUS}`, 'end 1: done', 'look', 'paid persistence', 'paid compute-mode', 'paid power-limit', 'paid ecc-mode']);
    expect(result).toEqual({ result: 'done', reason: null, detail: 'it came back as it was' });
  });

  it('has why a reset was refused, and persistence as a debt before it is turned off', async () => {
    const { result, story } = await reset({ answers: [busy, ended('All done.\n', 0), done] });
    expect(story.slice(0, 10)).toEqual([BEGIN, `-r -i ${BUS}`, `end 1: failed, ${IN_USE}`, 'begin persistence-off: persistence', `-pm 0 -i ${BUS}`, 'end 2: done, All done.', BEGIN, `-r -i ${BUS}`, 'end 3: done', `-pm 1 -i ${BUS}`]);
    expect(result.result).toBe('done');
  });

  it('keeps a setting that could not be put back, with the reason', async () => {
    const { story } = await reset({ answers: [busy, ended('', 0), done, ended('Unknown Error\n', 255)] });
    expect(story).toContain('owed persistence: exit 255: Unknown Error');
    const later = await reset({ answers: [done, ended('Not Supported\n', 3)], looks: [{ computeMode: read('Default') }] });
    expect(later.story).toContain('owed compute-mode: exit 3: Not Supported');
    expect(later.result).toMatchObject({ result: 'done', detail: 'it came back, but lost: compute mode was Prohibited' });
  });

  it('tells all that was lost', async () => {
    expect((await reset({ looks: [{ computeMode: read('Default'), powerLimitW: read(700) }] })).result.detail).toBe('it came back, but lost: compute mode was Prohibited; power limit was 250 W');
  });

  it('strikes out what was put back by a second look, which is made for nothing else', async () => {
    const { result, story } = await reset({ looks: [{ powerLimitW: read(700) }, {}] });
    expect(story.slice(3)).toEqual(['look', 'paid persistence', 'paid compute-mode', 'paid ecc-mode', `-pl 250 -i ${BUS}`, 'look', 'paid power-limit']);
    expect(result.detail).toBe('it came back as it was');
  });
});

describe('after a call that hung nothing more is called, not even to look', () => {
  it.each(['timeout', 'hung'] as const)('the reset (%s)', async (problem) => {
    const { result, story } = await reset({ answers: [hung(problem)] });
    expect(story).toEqual([BEGIN, `-r -i ${BUS}`, `end 1: failed, ${HUNG.replace('timeout', problem)}`]);
    expect(result).toEqual({ result: 'failed', reason: null, detail: HUNG.replace('timeout', problem), quarantine: false });
  });

  it.each(['timeout', 'hung'] as const)('persistence off (%s)', async (problem) => {
    const { result, story } = await reset({ answers: [busy, hung(problem)] });
    expect(story.slice(3)).toEqual(['begin persistence-off: persistence', `-pm 0 -i ${BUS}`, `end 2: failed, ${problem}: `]);
    expect(result).toEqual({ result: 'failed', reason: null, detail: 'nvidia-smi -pm 0 did not end in time', quarantine: false });
  });

  it('the second reset: persistence is not turned on again, as that would hang as well', async () => {
    const { result, story } = await reset({ answers: [busy, ended('', 0), hung('timeout')] });
    expect(story.slice(6)).toEqual([BEGIN, `-r -i ${BUS}`, `end 3: failed, ${HUNG}`]);
    expect(result).toMatchObject({ result: 'failed', quarantine: false });
  });
});

it('a board that refuses for another reason than its use keeps its persistence, and is not tried again', async () => {
  const { result, story } = await reset({ answers: [lost] });
  expect(story.filter((each) => each.startsWith('-'))).toEqual([`-r -i ${BUS}`]);
  expect(result).toMatchObject({ result: 'failed', quarantine: false });
});

describe('what is said of a board that is not as it was', () => {
  it.each<[string, readonly (Partial<Gpu> | null)[]]>([
    ['it did not come back under its UUID and bus id', [null]],
    ['it did not come back under its UUID and bus id', [{ computeMode: read('Default') }, null]],
    ['it came back changed: the driver reports GPU is lost; the driver reports Unknown Error', [{ faults: ['GPU is lost', 'Unknown Error'] }]],
    ['it came back changed: it still asks for drain-and-reset', [{ recovery: read('drain-and-reset') }]],
    ['it came back changed: a memory repair is still pending; its MIG mode changed', [{ repairPending: read(true), migCurrent: read(true) }]],
  ])('%s', async (detail, looks) => {
    expect((await reset({ looks })).result).toEqual({ result: 'failed', reason: null, detail });
  });

  it('nothing, where its driver is too old to say what it asks for', async () => {
    const untold = { recovery: misread('N/A'), repairPending: misread('N/A') } as const;
    expect((await reset({ before: untold, looks: [untold] })).result.detail).toBe('it came back as it was');
  });
});

it.each<[string, Snapshot['driver']]>([
  ['there is none like it', driverWith([])],
  ['its bus id is another board’s', driverWith([board({ uuid: GPU1 })])],
  ['it has moved to another bus id', driverWith([board({ pciBusId: '00000000:11:00.0' })])],
  ['the driver said nothing', failed('hung', 'nvidia-smi hangs')],
])('a device that the last look did not see is not reset: %s', async (_, driver) => {
  expect(await reset({ snapshot: snapshotWith(driver) })).toEqual({ result: { result: 'refused', reason: 'no-longer-wanted', detail: 'the device was not in the last observation' }, story: [] });
});

it('the acting side ends processes by the parts that it was given', async () => {
  const actor = createActor({
    nvidiaSmi: { path: 'nvidia-smi', timeoutMs: 1000 }, observeDriver: async () => driverWith([]), termGraceMs: 0, stateOf: () => null, signal: () => {}, stopping: () => true,
    clock: { now: () => 0, monotonicMs: () => 0, sleep: async () => {} },
  });
  const results = await actor.endProcesses([{ kind: 'process', identity: null, pid: 7, name: 'x', containerId: null, gpuUuids: [] }], { mayEnd: async () => null, stillListed: async () => null });
  expect(results).toEqual([{ result: 'refused', reason: 'interrupted', detail: 'the pass was asked to end before SIGTERM' }]);
});
