import type { ContainerTarget, Decision, Outcome } from '../model/decision.ts';
import type { Finding } from '../model/finding.ts';
import { REASONS } from '../model/reason.ts';

/** What an admin is told of one decision about a container. */
export function containerFindings(decision: Decision, outcome: Outcome | undefined): readonly Finding[] {
  const { target, reason, evidence } = decision;
  if (target.kind !== 'container') return [];
  if (outcome !== undefined) return outcomeFindings(decision.verb, target, outcome);
  if (reason === 'protected' && evidence['pastLimit'] === true) {
    return [found(target, 'container.protected.past_limit', 'warning', `it is protected, and past its limit (owner: ${target.owner ?? 'unknown'})`, 'ask its owner; whoever may run containers may set the label')];
  }
  if (reason === 'dead-container') return [found(target, 'container.dead', 'warning', REASONS[reason], 'see the engine’s log, free its folder and remove it by hand')];
  if (reason === 'being-removed') return [found(target, 'container.removing', 'info', REASONS[reason], 'if it stays so, restart the engine')];
  if (reason === 'limits-not-configured') return [found(target, 'limits.not_configured', 'info', `gpuctl would ${decision.verb} it, but ${REASONS[reason]}`, 'set limits (or leftovers) in a file')];
  return decision.verdict === 'act' ? [found(target, `container.${decision.verb}.due`, 'info', REASONS[reason], 'the pass of that limit does it')] : [];
}

function outcomeFindings(verb: Decision['verb'], target: ContainerTarget, { result, reason, detail }: Outcome): readonly Finding[] {
  if (result !== 'failed' && result !== 'refused') return [];
  const why = reason === null || detail === REASONS[reason] ? '' : ` (${REASONS[reason]})`;
  return [found(target, `container.${verb}.${result}`, 'warning', `${verb}: ${detail}${why}`, 'the next pass tries again')];
}

function found(target: ContainerTarget, id: string, severity: Finding['severity'], what: string, remedy: string): Finding {
  return { id, severity, subject: { container: target.containerId, ...(target.owner === null ? {} : { owner: target.owner }) }, message: `container ${target.containerName}: ${what}`, remedy };
}
