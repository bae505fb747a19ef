import type { GpuTarget } from '../model/decision.ts';
import type { DriverView, Gpu } from '../model/device.ts';
import { type Observed, seen } from '../model/observation.ts';
import { known } from '../model/reading.ts';
import { type BoardDebt, debtsOf, debtText, isPaidBy } from '../model/reset.ts';
import type { ActResult, ResetJournal } from '../passes/ports.ts';
import { parseResetAnswer, type ResetAnswer } from './reset-answer.ts';
import { callSmi, restoreSetting, resultOf, type SmiParts } from './restore.ts';

export interface ResetParts extends SmiParts {
  readonly observeDriver: () => Promise<Observed<DriverView>>;
}

interface Reset {
  readonly parts: ResetParts;
  readonly target: GpuTarget;
  readonly before: Gpu;
  readonly journal: ResetJournal;
}

/**
 * Resets exactly one GPU, named by its bus id, and verifies that it came back as it was; settings that are not as before
 * are put back. Where only nvidia-persistenced is in the way, persistence is turned off for this GPU and on again
 * afterwards. Each step is in the journal before it is taken. Where a reset hung, or turning persistence off for one, no
 * other call is made: what is owed stays in the journal for the next pass. Rejects only with what the journal throws.
 */
export async function resetGpu(parts: ResetParts, target: GpuTarget, before: Gpu, journal: ResetJournal): Promise<ActResult> {
  const reset: Reset = { parts, target, before, journal };
  const answer = await attemptTwice(reset);
  if (answer.kind === 'refused' && answer.why === 'hung') return { ...failure(answer.detail), quarantine: false };
  const back = await putBack(reset, await lookAgain(reset));
  if (answer.kind === 'refused') return { ...failure(answer.detail), quarantine: answer.why === 'unstable' };
  return back === null ? failure('it did not come back under its UUID and bus id') : judge(reset, back);
}

async function attemptTwice(reset: Reset): Promise<ResetAnswer> {
  const first = await attempt(reset);
  if (first.kind !== 'refused' || first.why !== 'in-use' || known(reset.before.persistence) !== true) return first;
  return withoutPersistence(reset, first);
}

type Refused = Extract<ResetAnswer, { readonly kind: 'refused' }>;

async function attempt({ parts, target, before, journal }: Reset): Promise<ResetAnswer> {
  const step = journal.begin({ kind: 'reset', subject: null, debts: debtsOf(before) });
  const answer = parseResetAnswer(await callSmi(parts, ['-r', '-i', target.pciBusId]), target.pciBusId);
  journal.end(step, answer.kind === 'done' ? { result: 'done', detail: '' } : { result: 'failed', detail: answer.detail });
  return answer;
}

/** The first attempt may have taken a minute, so whether anybody came meanwhile is asked before the second. */
async function withoutPersistence(reset: Reset, inUse: Refused): Promise<ResetAnswer> {
  const { parts, target, journal } = reset;
  const debt: BoardDebt = { kind: 'persistence', on: true };
  const step = journal.begin({ kind: 'persistence-off', subject: null, debts: [debt] });
  const off = await callSmi(parts, ['-pm', '0', '-i', target.pciBusId]);
  journal.end(step, resultOf(off));
  if (off.problem === 'timeout' || off.problem === 'hung') return { kind: 'refused', why: 'hung', detail: 'nvidia-smi -pm 0 did not end in time' };
  const against = await journal.mayRetry();
  const answer: ResetAnswer = against === null ? await attempt(reset) : { ...inUse, detail: `${inUse.detail}; it was not tried again: ${against.detail}` };
  if (answer.kind === 'done' || answer.why !== 'hung') await restore(reset, debt);
  return answer;
}

async function restore({ parts, target, journal }: Reset, debt: BoardDebt): Promise<void> {
  const result = await restoreSetting(parts, target, debt);
  if (result?.result === 'failed') journal.owed(debt, result.detail);
}

/** Pays what is owed: what is as it was, and what can be made so again. Gives the board as it is then; null: it did not come back. */
async function putBack(reset: Reset, first: Gpu | null): Promise<Gpu | null> {
  if (first === null) return null;
  const restorable = pay(reset, first);
  for (const debt of restorable) await restore(reset, debt);
  if (restorable.length === 0) return first;
  const second = await lookAgain(reset);
  if (second !== null) pay(reset, second);
  return second;
}

/** Strikes out what is as it was; gives what is not. */
function pay({ journal }: Reset, back: Gpu): readonly BoardDebt[] {
  const debts = journal.debts();
  for (const debt of debts) if (isPaidBy(debt, back)) journal.paid(debt);
  return debts.filter((debt) => !isPaidBy(debt, back));
}

async function lookAgain({ parts, before }: Reset): Promise<Gpu | null> {
  const gpus = seen(await parts.observeDriver())?.gpus ?? [];
  return gpus.find((gpu) => gpu.uuid === before.uuid && gpu.pciBusId === before.pciBusId) ?? null;
}

function judge({ before, journal }: Reset, back: Gpu): ActResult {
  const broken = brokenIn(before, back);
  if (broken.length > 0) return failure(`it came back changed: ${broken.join('; ')}`);
  const lost = journal.debts();
  return { result: 'done', reason: null, detail: lost.length === 0 ? 'it came back as it was' : `it came back, but lost: ${lost.map(debtText).join('; ')}` };
}

function failure(detail: string): ActResult {
  return { result: 'failed', reason: null, detail };
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
