import { unitsToPause } from '../decide/reset.ts';
import type { GpuTarget } from '../model/decision.ts';
import { GpuctlError } from '../model/errors.ts';
import type { BoardDebt } from '../model/reset.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { begin, finish, interruption, type Numbered } from './carry-out.ts';
import { observe, type Pass } from './pass.ts';
import type { ActResult, ResetHelper, ResetJournal, ResetParts } from './ports.ts';
import { countReset } from './reset-count.ts';
import { decideAgain, type ResetContext } from './reset-decision.ts';

/**
 * One reset from its last check to its end. Every step is in the journal before it is taken, with what must be put back
 * if this process dies right after it: what it does not finish, the next pass does (`recover-resets.ts`).
 */
export async function resetOne(pass: Pass, entry: Numbered<GpuTarget>, context: ResetContext): Promise<void> {
  const { actor, resets, clock } = pass.parts;
  const { target } = entry.decision;
  const stop = interruption(pass);
  if (stop !== null || actor === null) { finish(pass, entry, null, stop ?? { result: 'refused', reason: 'interrupted', detail: 'this pass has no acting side' }); return; }
  const fresh = await observe(pass);
  const again = decideAgain(pass, target, fresh, context);
  if (again.stands === null) { finish(pass, entry, null, again.result); return; }
  // The run comes first, so that an act without one was never begun.
  const run = resets?.ledger.beginReset(pass.id, target, clock.now()) ?? null;
  const act = begin(pass, entry);
  const pause = resets === undefined || resets.helper === null || run === null ? null : { resets, helper: resets.helper, run };
  const units = unitsToPause(again.stands);
  const mayRetry = (): Promise<ActResult | null> => mayGoOn(pass, target, context);
  const attempt = (snapshot: Snapshot): Promise<ActResult> => tryReset(pass, { target, snapshot, run, mayRetry });
  const result = units.length === 0 ? await attempt(fresh.snapshot)
    : pause === null ? { result: 'refused' as const, reason: 'service-not-stopped' as const, detail: 'this pass cannot stop services' }
    : await paused({ pass, target, units, begun: new Set(), stopped: [], ...pause }, context, attempt);
  finish(pass, entry, act, result);
  if (run !== null) resets?.ledger.endReset(run, clock.now());
}

/** The decision once more, on a look that is made for it: nobody may have come while the first attempt lasted. */
async function mayGoOn(pass: Pass, target: GpuTarget, context: ResetContext): Promise<ActResult | null> {
  const stop = interruption(pass);
  if (stop !== null) return stop;
  const again = decideAgain(pass, target, await observe(pass), { ...context, pausing: false });
  return again.stands === null ? again.result : null;
}

interface Attempt {
  readonly target: GpuTarget;
  readonly snapshot: Snapshot;
  readonly run: number | null;
  readonly mayRetry: ResetJournal['mayRetry'];
}

/** It is counted before anything else is done: what dies after this has been counted, what dies before is in flight. */
async function tryReset(pass: Pass, { target, snapshot, run, mayRetry }: Attempt): Promise<ActResult> {
  const { parts } = pass;
  if (parts.actor === null) return { result: 'refused', reason: 'interrupted', detail: 'this pass has no acting side' };
  const result = await parts.actor.resetGpu(target, snapshot, { ...journalOf(pass, target, run), mayRetry });
  if (result.result !== 'refused') countReset(parts, target, result, parts.clock.now());
  if (result.result === 'done') parts.ledger.withdrawReset(target.uuid);
  return result;
}

interface Pause {
  readonly pass: Pass;
  readonly target: GpuTarget;
  readonly units: readonly string[];
  readonly resets: ResetParts;
  readonly helper: ResetHelper;
  readonly run: number;
  /** Whose stop was begun with its dependents. */
  readonly begun: Set<string>;
  /** In the order in which they were. */
  readonly stopped: string[];
}

/** Stops the units, looks and decides anew, resets, and starts what it stopped again, whatever happened in between. */
async function paused(pause: Pause, context: ResetContext, attempt: (snapshot: Snapshot) => Promise<ActResult>): Promise<ActResult> {
  const { pass, target, units, stopped } = pause;
  try {
    for (const unit of units) {
      const refused = stopped.includes(unit) ? null : await stopService(pause, unit);
      if (refused !== null) return refused;
    }
    const stop = interruption(pass);
    if (stop !== null) return stop;
    const fresh = await observe(pass);
    const again = decideAgain(pass, target, fresh, { ...context, pausing: false });
    return again.stands === null ? again.result : await attempt(fresh.snapshot);
  } finally {
    for (const unit of stopped.toReversed()) await startAgain(pause, unit);
  }
}

/** Null: it has stopped. Only a service that is active is stopped, since whatever is stopped is started again. */
async function stopService(pause: Pause, unit: string): Promise<ActResult | null> {
  const { pass, resets, helper, run, stopped } = pause;
  const { clock } = pass.parts;
  const state = await helper.serviceState(unit);
  if (state !== 'active') return notStopped(`${unit} is in the way, but systemd calls it ${state}`);
  const refused = await stopDependents(pause, unit);
  if (refused !== null) return refused;
  const step = resets.ledger.beginStep(run, { kind: 'stop-service', subject: unit, debts: [{ kind: 'service', unit }] }, clock.now());
  stopped.push(unit);
  const result = await helper.stopService(unit);
  resets.ledger.endStep(step, result, clock.now());
  return result.result === 'done' ? null : notStopped(`${unit} did not stop: ${result.detail}`);
}

/** What systemd would stop together with it is stopped before it, where it is listed as well; starting the one would not bring back the other. */
async function stopDependents(pause: Pause, unit: string): Promise<ActResult | null> {
  const { pass, helper, begun, stopped } = pause;
  begun.add(unit);
  const dependents = await helper.dependents(unit);
  if (dependents === null) return notStopped(`it is not known what else would stop with ${unit}`);
  for (const dependent of dependents) {
    // By one before it.
    if (stopped.includes(dependent)) continue;
    const listed = pass.parts.policy.reset.pauseServices?.includes(dependent) === true;
    if (!listed || begun.has(dependent)) return notStopped(`${dependent} would stop with ${unit}: list it under reset.pause_services as well`);
    const refused = await stopService(pause, dependent);
    if (refused !== null) return refused;
  }
  return null;
}

function notStopped(detail: string): ActResult {
  return { result: 'refused', reason: 'service-not-stopped', detail };
}

/** A ledger that cannot be written must not keep the other services from being started: the debt stays, and the next pass sees that it runs. */
async function startAgain({ pass, target, resets, helper }: Pause, unit: string): Promise<void> {
  const debt = { kind: 'service', unit } as const;
  const result = await helper.startService(unit);
  try {
    if (result.result === 'done') resets.ledger.payDebt(target.uuid, debt, pass.parts.clock.now());
    else resets.ledger.oweDebt(target.uuid, debt, result.detail);
  } catch (error) {
    if (!(error instanceof GpuctlError)) throw error;
  }
}

/** The ledger's journal for one run; without a run, one that lives as long as the reset. */
function journalOf({ parts }: Pass, { uuid }: GpuTarget, run: number | null): Omit<ResetJournal, 'mayRetry'> {
  const { resets, clock } = parts;
  if (resets === undefined || run === null) return passingJournal();
  const { ledger } = resets;
  return {
    begin: (intent) => ledger.beginStep(run, intent, clock.now()),
    end: (step, result) => { ledger.endStep(step, result, clock.now()); },
    debts: () => ledger.unsettled().filter(({ target }) => target.uuid === uuid).flatMap(({ debts }) => debts.flatMap(({ debt }) => (debt.kind === 'service' ? [] : [debt]))),
    paid: (debt) => { ledger.payDebt(uuid, debt, clock.now()); },
    owed: (debt, why) => { ledger.oweDebt(uuid, debt, why); },
  };
}

/** A journal that nothing outlives, for whom nothing changes while a reset is tried. */
export function passingJournal(): ResetJournal {
  const open = new Map<string, BoardDebt>();
  let steps = 0;
  return {
    begin: ({ debts }) => {
      for (const debt of debts) if (debt.kind !== 'service' && !open.has(debt.kind)) open.set(debt.kind, debt);
      steps += 1;
      return steps;
    },
    end: () => {},
    debts: () => [...open.values()],
    paid: ({ kind }) => { open.delete(kind); },
    owed: () => {},
    mayRetry: async () => null,
  };
}
