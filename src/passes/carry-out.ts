import { decideBudget } from '../decide/breaker.ts';
import type { Decision, Outcome, Target } from '../model/decision.ts';
import { rememberEnd } from './after-acts.ts';
import { decisionEvents } from './narrate.ts';
import type { Pass } from './pass.ts';
import type { ActResult } from './ports.ts';

/** A decision with its place among the pass's decisions. */
export interface Numbered<T extends Target> {
  readonly index: number;
  readonly decision: Decision<T>;
}

/** Will decisions to act be carried out in this pass? Neither in a dry run nor in a report. */
export function willAct({ options }: Pass): boolean {
  return options.acts && !options.dryRun;
}

/**
 * Puts decisions through the breaker and into the pass's record; tells those that are not acted on. Returns those that
 * are to be carried out now: none in a dry run or a report.
 */
export function settle<T extends Target>(pass: Pass, decided: readonly Decision<T>[], total: number): readonly Numbered<T>[] {
  const { parts, options } = pass;
  const verb = decided[0]?.verb;
  const { decisions, trips } = decideBudget({ decisions: decided, budgets: parts.budgets, totals: verb === undefined ? {} : { [verb]: total }, lifted: options.overBudget });
  for (const trip of trips) {
    pass.trips.push(trip);
    parts.sink.emit({ action: 'breaker.tripped', message: `${trip.wanted} acts of the kind ${trip.verb} were wanted, ${trip.allowed} are allowed: none was done`, reason: 'over-budget', facts: { ...trip } });
  }
  const numbered = decisions.map((decision) => ({ index: pass.decisions.push(decision) - 1, decision }));
  const acts = willAct(pass) ? numbered.filter(({ decision }) => decision.verdict === 'act') : [];
  for (const entry of numbered) if (!acts.includes(entry)) tell(pass, entry.decision, null);
  return acts;
}

/** Writes the intent before an act is tried. Throws LedgerError: then nothing may be done. */
export function begin({ parts, id }: Pass, { decision }: Numbered<Target>): number {
  return parts.ledger.beginAct(id, decision.verb, decision.target, parts.clock.now());
}

/** The name of an act among the events, on whichever host. */
export function actName(passId: string, act: number): string {
  return `${passId}-${act}`;
}

/**
 * Tells how an act ended and writes it into the ledger and the record. The event comes first: a pass that is killed in
 * between leaves an act in flight, and the next one finds by its name that it was told. `act` null: it was refused before it began.
 */
export function finish(pass: Pass, { index, decision }: Numbered<Target>, act: number | null, result: ActResult): void {
  const outcome: Outcome = { decision: index, result: result.result, reason: result.reason, detail: result.detail };
  pass.outcomes.push(outcome);
  // Where nothing was tried, the look that said so is the latest there is.
  if (act !== null) rememberEnd(pass, decision, result);
  tell(pass, decision, outcome, act === null ? null : actName(pass.id, act));
  // Where the last check had nothing to add, why it was decided is why it was done.
  if (act !== null) pass.parts.ledger.endAct(act, { ...outcome, reason: result.reason ?? decision.reason }, pass.parts.clock.now());
}

/** The last event of an act bears its name: where that is in the file, the others are. */
function tell({ parts }: Pass, decision: Decision, outcome: Outcome | null, act: string | null = null): void {
  const events = decisionEvents(decision, outcome);
  events.forEach((event, at) => { parts.sink.emit(act === null || at < events.length - 1 ? event : { ...event, facts: { ...event.facts, act } }); });
}

/** The answer for an act that was not begun since the pass was asked to end; null: go on. */
export function interruption({ parts }: Pass): ActResult | null {
  const why = parts.stopping();
  return why === null ? null : { result: 'refused', reason: 'interrupted', detail: why };
}
