import type { Decision, Verb } from '../model/decision.ts';

/** Most acts of one kind in one pass: the larger of a number and, where given, a share of what there is. */
export interface Budget {
  readonly count: number;
  readonly sharePercent: number | null;
}

export interface BreakerFacts<D extends Decision> {
  readonly decisions: readonly D[];
  readonly budgets: Readonly<Partial<Record<Verb, Budget>>>;
  /** How many there are of what a share is taken of: containers that hold a device for releases, managed containers for stops and removals. */
  readonly totals: Readonly<Partial<Record<Verb, number>>>;
  /** An admin saw this plan and lifted the budget for this once. */
  readonly lifted: boolean;
}

export interface Trip {
  readonly verb: Verb;
  readonly wanted: number;
  readonly allowed: number;
}

/**
 * A pass that wants more than its budget does none of that kind. Kills are counted by the containers whose processes
 * they are, releases by container.
 */
export function decideBudget<D extends Decision>({ decisions, budgets, totals, lifted }: BreakerFacts<D>): { readonly decisions: readonly D[]; readonly trips: readonly Trip[] } {
  const verbs = [...new Set(decisions.map((decision) => decision.verb))];
  const trips = lifted ? [] : verbs.flatMap((verb) => tripOf(verb, decisions, budgets[verb], totals[verb] ?? 0));
  const tripped = new Set(trips.map((trip) => trip.verb));
  const refused = (decision: D): D => ({ ...decision, verdict: 'refuse', reason: 'over-budget', evidence: { ...decision.evidence, wanted: decision.reason } });
  return { decisions: decisions.map((decision) => (decision.verdict === 'act' && tripped.has(decision.verb) ? refused(decision) : decision)), trips };
}

function tripOf(verb: Verb, decisions: readonly Decision[], budget: Budget | undefined, total: number): readonly Trip[] {
  if (budget === undefined) return [];
  const acts = decisions.filter((decision) => decision.verb === verb && decision.verdict === 'act');
  const wanted = new Set(acts.map(unitOf)).size;
  const allowed = Math.max(budget.count, budget.sharePercent === null ? 0 : Math.floor((total * budget.sharePercent) / 100));
  return wanted > allowed ? [{ verb, wanted, allowed }] : [];
}

function unitOf({ target }: Decision): string {
  switch (target.kind) {
    case 'process': return target.containerId ?? `pid ${target.pid}`;
    case 'gpu': return target.uuid;
    case 'allocation':
    case 'container': return target.containerId;
  }
}
