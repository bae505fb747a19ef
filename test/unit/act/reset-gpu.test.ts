import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { resetGpu } from '../../../src/act/reset-gpu.ts';
import type { DriverView, Gpu } from '../../../src/model/device.ts';
import { complete, failed, type Observed } from '../../../src/model/observation.ts';
import { misread, read } from '../../../src/model/reading.ts';
import type { ActResult } from '../../../src/passes/ports.ts';
import { passingJournal } from '../../../src/passes/reset-transaction.ts';
import { assessed, GPU0, GPU1 } from '../decide/good-case.ts';

const BUS = '00000000:10:00.0';
const DONE = `GPU ${BUS} was successfully reset.\nAll done.\n`;
const IN_USE = `GPU ${BUS} is currently in use by another process.\n1 device is currently being used by one or more other processes.\n`;

function board(more: Partial<Gpu> = {}): Gpu {
  const [gpu] = assessed({}).gpus;
  if (gpu === undefined) throw new Error('no GPU');
  return { ...gpu, ...more };
}

interface Answer {
  readonly stdout: string;
  readonly exit: number;
}

interface Case {
  /** Of each `-r`, in order; the last one counts for all after it. */
  readonly resets?: readonly Answer[];
  readonly before?: Partial<Gpu>;
  /** The board as it is afterwards; null: it does not come back. */
  readonly after?: Partial<Gpu> | null;
  readonly driver?: Observed<DriverView>;
  readonly timeoutMs?: number;
  /** The answer to the question before another attempt. */
  readonly mayRetry?: ActResult;
}

/** One reset of a board by a program that is called as nvidia-smi would be, and every call that it got. */
async function reset({ resets = [{ stdout: DONE, exit: 0 }], before = {}, after = {}, driver, timeoutMs = 5000, mayRetry }: Case): Promise<{ readonly result: ActResult; readonly calls: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-act-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  const smi = join(folder, 'nvidia-smi');
  resets.forEach(({ stdout, exit }, n) => { writeFileSync(join(folder, `out.${n}`), stdout); writeFileSync(join(folder, `exit.${n}`), String(exit)); });
  writeFileSync(smi, `#!/bin/sh
cd '${folder}'
echo "$*" >> calls
[ "$1" = -r ] || exit 0
n=$(grep -c '^-r' calls); n=$((n - 1)); [ $n -lt ${resets.length} ] || n=${resets.length - 1}
[ "$(cat exit.$n)" = hang ] && exec sleep 30
cat out.$n; exit "$(cat exit.$n)"
`);
  chmodSync(smi, 0o755);
  writeFileSync(join(folder, 'calls'), '');
  const seen = driver ?? complete({ driverVersion: '590', attachedGpus: 1, gpus: after === null ? [] : [board({ ...before, ...after })] });
  const result = await resetGpu({ nvidiaSmi: { path: smi, timeoutMs }, observeDriver: async () => seen }, { kind: 'gpu', uuid: GPU0, pciBusId: BUS, index: 0 }, board(before), { ...passingJournal(), ...(mayRetry === undefined ? {} : { mayRetry: async () => mayRetry }) });
  return { result, calls: readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') };
}

describe('a reset', () => {
  it('names exactly one GPU, by its bus id', async () => {
    const { result, calls } = await reset({});
    expect(calls).toEqual([`-r -i ${BUS}`]);
    expect(result).toMatchObject({ result: 'done', detail: 'it came back as it was' });
  });

  it('is known by its success text, whatever the length of the domain and the case', async () => {
    expect((await reset({ resets: [{ stdout: 'GPU 0000:10:00.0 was successfully reset.\n', exit: 0 }] })).result.result).toBe('done');
    expect((await reset({ resets: [{ stdout: `GPU ${BUS.toUpperCase()} was successfully reset.\n`, exit: 0 }] })).result.result).toBe('done');
  });

  it.each<[string, Answer]>([
    ['it exits 0 and says nothing', { stdout: '', exit: 0 }],
    ['it exits 0 and says that all is done', { stdout: 'All done.\n', exit: 0 }],
    ['another GPU was reset', { stdout: 'GPU 00000000:11:00.0 was successfully reset.\nAll done.\n', exit: 0 }],
    ['it exits with an error after the success text', { stdout: DONE, exit: 255 }],
    ['it is not supported', { stdout: `Resetting GPU ${BUS} is not supported.\n`, exit: 3 }],
    ['it is not permitted', { stdout: `Unable to reset GPU ${BUS}: Insufficient Permissions\n`, exit: 4 }],
    ['NVLink asks for more GPUs', { stdout: `The following GPUs could not be reset:\n  GPU ${BUS}: In use by another client\n\n1 device must be reset together with 00000000:11:00.0\n`, exit: 255 }],
  ])('failed where %s', async (_, answer) => {
    const { result, calls } = await reset({ resets: [answer], before: { persistence: read(false) } });
    expect(result).toMatchObject({ result: 'failed', quarantine: false });
    expect(calls).toEqual([`-r -i ${BUS}`]);
  });

  it('that leaves the board unstable asks for its quarantine', async () => {
    const { result } = await reset({ resets: [{ stdout: `GPU ${BUS} may be in an unstable state. Please reboot.\n`, exit: 15 }] });
    expect(result).toMatchObject({ result: 'failed', quarantine: true });
  });

  it('that hangs fails at its deadline', async () => {
    const { result } = await reset({ resets: [{ stdout: '', exit: 'hang' as unknown as number }], timeoutMs: 300 });
    expect(result).toMatchObject({ result: 'failed', detail: expect.stringMatching(/timeout|hung/) as string });
  });
});

describe('persistence', () => {
  const busy = { stdout: IN_USE, exit: 19 };

  it('is turned off for this GPU where the node is in use, and on again', async () => {
    const { result, calls } = await reset({ resets: [busy, { stdout: DONE, exit: 0 }] });
    expect(calls).toEqual([`-r -i ${BUS}`, `-pm 0 -i ${BUS}`, `-r -i ${BUS}`, `-pm 1 -i ${BUS}`]);
    expect(result.result).toBe('done');
  });

  it('is turned on again, and nothing tried once more, where somebody came while the first try lasted', async () => {
    const { result, calls } = await reset({ resets: [busy, { stdout: DONE, exit: 0 }], mayRetry: { result: 'refused', reason: 'blocked', detail: 'container job (running) claims it' } });
    expect(calls).toEqual([`-r -i ${BUS}`, `-pm 0 -i ${BUS}`, `-pm 1 -i ${BUS}`]);
    expect(result).toMatchObject({ result: 'failed', detail: expect.stringContaining('it was not tried again: container job (running) claims it') as string });
  });

  it('is turned on again where the second try fails, too', async () => {
    const { result, calls } = await reset({ resets: [busy, busy] });
    expect(calls.at(-1)).toBe(`-pm 1 -i ${BUS}`);
    expect(result.result).toBe('failed');
  });

  it.each([['is off', read(false)], ['could not be read', misread('Unknown Error')]])('is left alone where it %s', async (_, persistence) => {
    const { result, calls } = await reset({ resets: [busy], before: { persistence } });
    expect(calls).toEqual([`-r -i ${BUS}`]);
    expect(result.result).toBe('failed');
  });

  it('that the reset took away is put back', async () => {
    const { calls } = await reset({ after: { persistence: read(false) } });
    expect(calls).toEqual([`-r -i ${BUS}`, `-pm 1 -i ${BUS}`]);
  });
});

describe('afterwards the board must be as it was', () => {
  it.each<[string, Partial<Gpu> | null]>([
    ['it did not come back', null],
    ['another board is at its bus id', { uuid: GPU1 }],
    ['it is at another bus id', { pciBusId: '00000000:11:00.0' }],
    ['the driver reports a fault', { faults: ['GPU is lost'] }],
    ['it still asks for a reset', { recovery: read('reset') }],
    ['it asks for what nobody knows', { recovery: read('other') }],
    ['a repair is still pending', { repairPending: read(true) }],
    ['its MIG mode changed', { migCurrent: read(true) }],
  ])('failed: %s', async (_, after) => {
    expect((await reset({ after })).result.result).toBe('failed');
  });

  it('where an admin had set another ECC mode for the next reset, that one is what it comes back with', async () => {
    const pending = { eccCurrent: read(true), eccPending: read(false) };
    expect((await reset({ before: pending, after: { eccCurrent: read(false) } })).result.detail).toBe('it came back as it was');
    expect((await reset({ before: pending, after: { eccCurrent: read(true) } })).result.detail).toContain('lost: ECC mode was');
  });

  it('failed where the driver does not answer any more', async () => {
    expect((await reset({ driver: failed('hung', 'nvidia-smi hangs') })).result.result).toBe('failed');
  });

  it.each<[string, Partial<Gpu>]>([['compute mode', { computeMode: read('Prohibited') }], ['power limit', { powerLimitW: misread('N/A') }], ['ECC mode', { eccCurrent: read(false) }]])('says where its %s was lost', async (what, after) => {
    expect((await reset({ after })).result).toMatchObject({ result: 'done', detail: expect.stringContaining(`lost: ${what}`) as string });
  });
});
