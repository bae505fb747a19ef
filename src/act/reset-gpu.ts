import { type ChildResult, runChild } from '../callout/child.ts';
import type { GpuTarget } from '../model/decision.ts';
import type { DriverView, Gpu } from '../model/device.ts';
import { type Observed, seen } from '../model/observation.ts';
import { known, type Reading } from '../model/reading.ts';
import type { ActResult } from '../passes/ports.ts';

export interface ResetParts {
  readonly nvidiaSmi: { readonly path: string; readonly timeoutMs: number };
  readonly observeDriver: () => Promise<Observed<DriverView>>;
}

/**
 * Resets exactly one GPU, named by its bus id, and verifies that it came back as it was. Where only nvidia-persistenced
 * is in the way, persistence is turned off for this GPU, and on again afterwards in any case.
 */
export async function resetGpu(parts: ResetParts, target: GpuTarget, before: Gpu): Promise<ActResult> {
  const first = await smi(parts, ['-r', '-i', target.pciBusId]);
  const inUse = isInUse(first);
  const persistent = known(before.persistence) === true;
  const attempt = inUse && persistent ? await withoutPersistence(parts, target) : first;
  const refusal = refusalIn(attempt, target.pciBusId);
  if (refusal !== null) return refusal;
  return verify(parts, before);
}

function smi({ nvidiaSmi }: ResetParts, args: readonly string[]): Promise<ChildResult> {
  return runChild({ file: nvidiaSmi.path, args, timeoutMs: nvidiaSmi.timeoutMs });
}

function isInUse({ stdout, exitCode }: ChildResult): boolean {
  return exitCode !== 0 && /in use by another (?:client|process)/i.test(stdout);
}

async function withoutPersistence(parts: ResetParts, { pciBusId }: GpuTarget): Promise<ChildResult> {
  await smi(parts, ['-pm', '0', '-i', pciBusId]);
  const attempt = await smi(parts, ['-r', '-i', pciBusId]);
  await smi(parts, ['-pm', '1', '-i', pciBusId]);
  return attempt;
}

/** Null: nvidia-smi says that it reset this GPU. Texts differ by driver and generation; only the success text counts as success. */
function refusalIn(attempt: ChildResult, pciBusId: string): ActResult | null {
  const text = [attempt.stdout, attempt.stderr].join('\n').trim().replace(/\s+/g, ' ').slice(0, 500);
  const resetThis = [...attempt.stdout.matchAll(/^GPU ([0-9a-f:.]+) was successfully reset/gim)].some((match) => match[1]?.toLowerCase().endsWith(pciBusId.slice(-10)));
  if (attempt.problem === null && attempt.exitCode === 0 && resetThis) return null;
  const what = attempt.problem === null ? `exit ${attempt.exitCode}` : attempt.problem;
  return { result: 'failed', reason: null, detail: `nvidia-smi (${what}): ${text}`, quarantine: /unstable state/i.test(text) };
}

async function verify(parts: ResetParts, before: Gpu): Promise<ActResult> {
  const back = await lookAgain(parts, before);
  if (back === null) return failure('it did not come back under its UUID and bus id');
  if (known(before.persistence) === true && known(back.persistence) === false) await smi(parts, ['-pm', '1', '-i', before.pciBusId]);
  const broken = brokenIn(before, back);
  if (broken.length > 0) return failure(`it came back changed: ${broken.join('; ')}`);
  const lost = lostIn(before, back);
  return { result: 'done', reason: null, detail: lost.length === 0 ? 'it came back as it was' : `it came back, but lost: ${lost.join('; ')}` };
}

function failure(detail: string): ActResult {
  return { result: 'failed', reason: null, detail };
}

async function lookAgain({ observeDriver }: ResetParts, before: Gpu): Promise<Gpu | null> {
  const gpus = seen(await observeDriver())?.gpus ?? [];
  return gpus.find((gpu) => gpu.uuid === before.uuid && gpu.pciBusId === before.pciBusId) ?? null;
}

/** What makes the device unfit, or still asking for a reset. */
function brokenIn(before: Gpu, back: Gpu): readonly string[] {
  const broken = back.faults.map((fault) => `the driver reports ${fault}`);
  const action = known(back.recovery);
  if (action !== null && action !== 'none') broken.push(`it still asks for ${action}`);
  if (known(back.repairPending) === true) broken.push('a memory repair is still pending');
  if (known(before.migCurrent) !== known(back.migCurrent)) broken.push('its MIG mode changed');
  return broken;
}

/** Settings that a reset takes away and that an admin may have made. Persistence is put back by the reset itself. */
function lostIn(before: Gpu, back: Gpu): readonly string[] {
  return [
    ...changed('compute mode', before.computeMode, back.computeMode),
    ...changed('power limit', before.powerLimitW, back.powerLimitW),
    ...changed('ECC mode', before.eccCurrent, back.eccCurrent),
  ];
}

function changed<T>(what: string, before: Reading<T>, back: Reading<T>): readonly string[] {
  const [was, is] = [known(before), known(back)];
  return was === null || was === is ? [] : [`${what} was ${String(was)}, is ${is === null ? 'unknown' : String(is)}`];
}
