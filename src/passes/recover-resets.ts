import type { Gpu } from '../model/device.ts';
import { seen } from '../model/observation.ts';
import { type BoardDebt, type Debt, debtText, isPaidBy, type ResetRun } from '../model/reset.ts';
import { willAct } from './carry-out.ts';
import type { Pass, PassParts } from './pass.ts';
import type { ResetHelper, ResetLedger } from './ports.ts';

interface Recovery {
  readonly parts: PassParts;
  readonly ledger: ResetLedger;
  readonly helper: ResetHelper;
  /** What is as it was again. In the ledger only after it was told: a kill in between lets it be done twice, and told. */
  readonly restored: { readonly run: ResetRun; readonly debt: Debt }[];
}

/**
 * What a reset of an earlier pass took and did not put back is put back now, before anything else is done: services first,
 * then settings of boards. Whatever fails stays in the journal, is a finding, and is tried again by every pass that acts.
 * All of it can be done twice, so that a recovery that is killed itself is begun anew; it is told before the ledger has it.
 */
export async function recoverResets(pass: Pass): Promise<void> {
  const { parts } = pass;
  const { resets } = parts;
  if (!willAct(pass) || resets === undefined || resets.helper === null) return;
  const { ledger, helper } = resets;
  const runs = ledger.unsettled();
  if (runs.length === 0) return;
  const recovery: Recovery = { parts, ledger, helper, restored: [] };
  for (const run of runs) for (const debt of servicesOf(run)) await startService(recovery, run, debt);
  const early = runs.filter((run) => mayStillRun(run, parts.clock.now()));
  await restoreBoards(recovery, runs.filter((run) => boardDebtsOf(run).length > 0 && !early.includes(run)));
  for (const run of runs) tell(recovery, run);
  for (const { run, debt } of recovery.restored) ledger.payDebt(run.target.uuid, debt, parts.clock.now());
  if (parts.sink.failed?.() === true) return;
  for (const run of runs.filter(({ endedAt }) => endedAt === null)) ledger.endReset(run.number, parts.clock.now());
}

/** Longer than nvidia-smi takes for a reset. */
const UNDER_WAY_MS = 2 * 60_000;

/** A child outlives its killed parent: what the board shows while it is at work is not what it will show. */
function mayStillRun({ steps }: ResetRun, now: number): boolean {
  return steps.some(({ kind, result, begunAt }) => kind === 'reset' && result === null && now >= begunAt && now - begunAt < UNDER_WAY_MS);
}

function servicesOf({ debts }: ResetRun): readonly Extract<Debt, { kind: 'service' }>[] {
  return debts.flatMap(({ debt }) => (debt.kind === 'service' ? [debt] : []));
}

function boardDebtsOf({ debts }: ResetRun): readonly BoardDebt[] {
  return debts.flatMap(({ debt }) => (debt.kind === 'service' ? [] : [debt]));
}

/** It was active before, so it is started. Where it runs, systemd has nothing to do but to forget a stop that still waits. */
async function startService({ ledger, helper, restored }: Recovery, run: ResetRun, debt: Extract<Debt, { kind: 'service' }>): Promise<void> {
  const result = await helper.startService(debt.unit);
  if (result.result === 'done') restored.push({ run, debt });
  else ledger.oweDebt(run.target.uuid, debt, result.detail);
}

/** Two looks: what is not as it was, and whether putting it back has helped. */
async function restoreBoards(recovery: Recovery, runs: readonly ResetRun[]): Promise<void> {
  if (runs.length === 0) return;
  const first = await lookAt(recovery);
  let restored = false;
  for (const run of runs) {
    const board = first(run);
    for (const debt of boardDebtsOf(run)) restored = (await restore(recovery, { run, board, debt })) || restored;
  }
  if (!restored) return;
  const second = await lookAt(recovery);
  for (const run of runs) for (const debt of boardDebtsOf(run)) payWhereSeen(recovery, { run, board: second(run), debt });
}

async function lookAt({ parts }: Recovery): Promise<(run: ResetRun) => Gpu | null> {
  const gpus = seen((await parts.observer.observe()).driver)?.gpus ?? [];
  return ({ target }) => gpus.find((gpu) => gpu.uuid === target.uuid && gpu.pciBusId === target.pciBusId) ?? null;
}

interface Owed {
  readonly run: ResetRun;
  readonly board: Gpu | null;
  readonly debt: BoardDebt;
}

/** True: something was changed, so that it is worth looking again. */
async function restore(recovery: Recovery, owed: Owed): Promise<boolean> {
  const { run, board, debt } = owed;
  const { ledger, helper } = recovery;
  if (payWhereSeen(recovery, owed)) return false;
  if (board === null) { ledger.oweDebt(run.target.uuid, debt, 'the GPU was not seen under its UUID and bus id'); return false; }
  const result = await helper.restore(run.target, debt);
  ledger.oweDebt(run.target.uuid, debt, whyOwed(result));
  return result?.result === 'done';
}

function whyOwed(result: Awaited<ReturnType<ResetHelper['restore']>>): string {
  if (result === null) return 'only an admin can put it back';
  return result.result === 'done' ? 'nvidia-smi put it back, but it does not show' : result.detail;
}

function isRestored({ restored }: Recovery, run: ResetRun, debt: Debt): boolean {
  return restored.some((each) => each.run === run && each.debt === debt);
}

function payWhereSeen(recovery: Recovery, { run, board, debt }: Owed): boolean {
  const paid = board !== null && isPaidBy(debt, board);
  if (paid && !isRestored(recovery, run, debt)) recovery.restored.push({ run, debt });
  return paid;
}

/** A run that was cut off is told, and so is what was put back, unless a recovery that was killed has told the very same; a debt that stays is a finding of every pass. */
function tell(recovery: Recovery, run: ResetRun): void {
  const { parts } = recovery;
  const { uuid, index, pciBusId } = run.target;
  const debts = run.debts.map(({ debt }) => debt);
  const restored = debts.filter((debt) => isRestored(recovery, run, debt));
  const left = debts.filter((debt) => !restored.includes(debt));
  const cutOff = run.endedAt === null && run.steps.length > 0;
  if (!cutOff && restored.length === 0) return;
  // Numbers begin again in a new ledger; what is owed becomes less from one telling to the next.
  const name = `${run.begunAt}-${run.number}-${cutOff ? 'cut-off' : 'owed'}-${restored.length}-${left.length}`;
  if (parts.sink.holds?.(`"recovery":"${name}"`) === true) return;
  const last = run.steps.at(-1);
  const what = cutOff ? `a reset of GPU ${index ?? uuid} was cut off at the step ${last?.kind ?? ''}${last?.subject === null || last === undefined ? '' : ` ${last.subject}`}` : `what a reset of GPU ${index ?? uuid} took away`;
  const how = left.length > 0 ? `still to be put back: ${left.map(debtText).join('; ')}` : 'everything is as it was before it';
  parts.sink.emit({
    action: 'pass.recovered', message: `${what}: ${how}`,
    ...(left.length === 0 && !cutOff ? { level: 'info' as const, alert: false } : {}),
    gpu: { uuid, index, busId: pciBusId },
    facts: { resets: [{ recovery: name, gpu: uuid, pass: run.passId, steps: run.steps, restored, owed: left }] },
  });
}
