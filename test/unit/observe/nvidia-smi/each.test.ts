import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ChildCall, ChildResult } from '../../../../src/callout/child.ts';
import { normalizeBusId } from '../../../../src/model/device.ts';
import { observeDriver, observeListed, type NvidiaSmi } from '../../../../src/observe/nvidia-smi/index.ts';
import { renderCall } from '../../../hostsim/fake-smi.ts';
import { newWorld } from '../../../hostsim/new-world.ts';
import { writeWorld, type NvmlError, type World } from '../../../hostsim/world.ts';

interface Sick {
  readonly smi: NvidiaSmi;
  readonly world: World;
  readonly busIds: readonly string[];
  readonly asked: readonly string[];
}

/** Four GPUs of which the second has no handle. `only`: bus ids that others than nvidia-smi know of. */
function sickHost(driver: string, { error = 'lost', change = () => undefined, instead = () => null, only }: {
  readonly error?: NvmlError; readonly change?: (world: World) => void; readonly instead?: (args: readonly string[]) => Partial<ChildResult> | null; readonly only?: (busIds: readonly string[]) => readonly string[];
} = {}): Sick {
  const folder = mkdtempSync(join(tmpdir(), 'each-'));
  onTestFinished(() => { rmSync(folder, { recursive: true, force: true }); });
  const [path, world] = [join(folder, 'world.json'), newWorld(driver, 4)];
  world.faults.push({ kind: 'sick-gpu', gpu: world.gpus[1]?.uuid ?? '', error, style: 'handle' });
  change(world);
  writeWorld(path, world);
  const busIds = world.gpus.map(({ busId }) => normalizeBusId(busId) ?? '');
  const asked: string[] = [];
  const run = async ({ args }: ChildCall): Promise<ChildResult> => {
    asked.push(args.join(' '));
    const { text, exitCode } = renderCall(path, args);
    return { exitCode, stdout: text, stderr: '', problem: null, ...instead(args) };
  };
  return { world, busIds, asked, smi: { path: 'nvidia-smi', timeoutMs: 5000, run, candidates: () => only?.(busIds) ?? busIds } };
}

const OLD = '535.274.02';

describe('where one GPU without a handle silences an old driver', () => {
  test.each(['lost', 'reset-required', 'unknown', 'power', 'irq'] as const)('the others are seen completely, and it is the one gap (%s)', async (error) => {
    const { smi, busIds, world } = sickHost(OLD, { error });
    const seen = await observeDriver(smi);
    expect(seen).toMatchObject({ state: 'partial', missing: [{ subject: busIds[1] }], value: { attachedGpus: 4 } });
    expect(seen.state === 'partial' && seen.value.gpus.map(({ uuid, index, processes }) => [uuid, index, processes.state])).toEqual([0, 2, 3].map((at) => [world.gpus[at]?.uuid, at, 'known']));
  });

  test('their MIG devices have their UUIDs', async () => {
    const mig = { uuid: 'MIG-11111111-2222-3333-4444-555555555555', profile: '1g.10gb', gi: 7, ci: 0, totalMiB: 9728, usedMiB: 12 };
    const { smi } = sickHost(OLD, { change: (world) => { const gpu = world.gpus[2]; if (gpu !== undefined) gpu.mig = [mig]; } });
    const seen = await observeDriver(smi);
    expect(seen.state === 'partial' && seen.value.gpus[1]?.migDevices).toMatchObject([{ uuid: mig.uuid, profile: mig.profile }]);
  });

  test('the bad one is not asked, nor any twice', async () => {
    const { smi, asked, busIds } = sickHost(OLD);
    await observeDriver(smi);
    expect(asked.filter((args) => args.includes(busIds[1] ?? '-'))).toEqual([]);
    expect(new Set(asked).size).toBe(asked.length);
  });

  test('a second bad one is a gap as well', async () => {
    const { smi, busIds } = sickHost(OLD, { instead: (args) => (args.includes('-x') && args.includes('00000000:3b:00.0') ? { exitCode: 15, stdout: 'Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.\n' } : null), change: (world) => { const gpu = world.gpus[3]; if (gpu !== undefined) gpu.busId = '00000000:3B:00.0'; } });
    const seen = await observeDriver(smi);
    expect(seen.state === 'partial' && seen.missing.map(({ subject }) => subject)).toEqual(expect.arrayContaining([busIds[1], '00000000:3b:00.0']));
    expect(seen.state === 'partial' && seen.value.gpus).toHaveLength(2);
  });

  test.each<readonly [string, Parameters<typeof sickHost>[1]]>([
    ['nobody knows of others', { only: () => [] }],
    ['one is attached that nobody knows of', { change: (world) => { world.attached = 6; } }],
    ['one that is attached is not known', { only: (busIds) => busIds.slice(0, 3) }],
    ['an answer is no document', { instead: (args) => (args.includes('-i') ? { stdout: 'what?' } : null) }],
  ])('nothing is seen where it is not certain which there are: %s', async (_, more) => {
    expect(await observeDriver(sickHost(OLD, more).smi)).toMatchObject({ state: 'failed', code: 'device-fault' });
  });

  test('a bus id at which there is no GPU any more is left out', async () => {
    const seen = await observeDriver(sickHost(OLD, { only: (busIds) => [...busIds, '00000000:f1:00.0'] }).smi);
    expect(seen.state === 'partial' && seen.value.gpus).toHaveLength(3);
  });

  test('a call that does not come back is the last one', async () => {
    const { smi, asked } = sickHost(OLD, { instead: (args) => (args.includes('-i') ? { exitCode: null, stdout: '', problem: 'hung', pid: 4711 } : null) });
    const hung: (number | null)[] = [];
    expect(await observeDriver({ ...smi, onHung: (pid) => { hung.push(pid); } })).toMatchObject({ state: 'failed', code: 'hung' });
    expect([hung, asked.filter((args) => args.includes('-i'))]).toEqual([[4711], [expect.any(String)]]);
  });

  test('the compute list of the others is known, and whose is not', async () => {
    const { smi, busIds, world } = sickHost(OLD, { change: (its) => { its.gpus[3]?.processes.push({ pid: 4711, type: 'C', name: 'x', usedMiB: 1, ghost: true }); } });
    expect(await observeListed(smi)).toMatchObject({ state: 'partial', value: [{ gpuUuid: world.gpus[3]?.uuid, pid: 4711 }], missing: [{ subject: busIds[1] }] });
  });
});

test('newer drivers describe the others by themselves, and nobody is asked one by one', async () => {
  const { smi, asked } = sickHost('590.48.01');
  expect(await observeDriver(smi)).toMatchObject({ state: 'partial' });
  expect(asked.filter((args) => args.includes('-i'))).toEqual([]);
});
