import { describe, expect, it } from 'vitest';
import { containerFindings } from '../../../src/decide/limit-findings.ts';
import type { Decision, Outcome } from '../../../src/model/decision.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { REASONS } from '../../../src/model/reason.ts';
import { ID, STARTED } from './limit-facts.ts';

const stop: Decision = {
  round: 1, verb: 'stop', verdict: 'act', reason: 'idle-limit', evidence: {},
  target: { kind: 'container', containerId: ID, containerName: 'job', startedAt: STARTED, owner: 'alice' },
};
const told = (more: Partial<Decision>, outcome?: Partial<Outcome>): readonly string[] =>
  containerFindings({ ...stop, ...more }, outcome === undefined ? undefined : { decision: 0, result: 'done', reason: null, detail: '', ...outcome }).map(asRead);

function asRead({ id, severity, message, remedy }: Finding): string {
  return `${severity} ${id}: ${message} → ${remedy}`;
}

describe('of a decision about a container', () => {
  it.each<[string, Partial<Decision>, string]>([
    ['that is due', {}, 'info container.stop.due: container job: it has been idle for its whole idle limit → the pass of that limit does it'],
    ['that is due as a removal', { verb: 'remove', reason: 'created-leftover' }, 'info container.remove.due: container job: it was created and never started for longer than allowed → the pass of that limit does it'],
    ['that is protected past its limit', { verdict: 'leave', reason: 'protected', evidence: { pastLimit: true } }, 'warning container.protected.past_limit: container job: it is protected, and past its limit (owner: alice) → ask its owner; whoever may run containers may set the label'],
    ['that the engine could not remove', { verb: 'remove', verdict: 'leave', reason: 'dead-container' }, 'warning container.dead: container job: the engine could not remove it; it needs an admin → see the engine’s log, free its folder and remove it by hand'],
    ['that the engine is removing', { verb: 'remove', verdict: 'leave', reason: 'being-removed' }, 'info container.removing: container job: the engine is removing it → if it stays so, restart the engine'],
    ['that no file allows', { verdict: 'refuse', reason: 'limits-not-configured' }, 'info limits.not_configured: container job: gpuctl would stop it, but no file sets limits, so nothing is stopped or removed → set limits (or leftovers) in a file'],
  ])('%s, an admin reads', (_, decision, expected) => {
    expect(told(decision)).toEqual([expected]);
  });

  it.each<[string, Partial<Decision>, Partial<Outcome>?]>([
    ['that is within its limit', { verdict: 'leave', reason: 'within-limit' }],
    ['that is past its limit, and kept by its owner', { verdict: 'leave', reason: 'kept-alive', evidence: { pastLimit: true } }],
    ['that is protected within its limit', { verdict: 'leave', reason: 'protected', evidence: { pastLimit: false } }],
    ['that is over the budget, which the breaker tells', { verdict: 'refuse', reason: 'over-budget' }],
    ['that was carried out', {}, { result: 'done' }],
    ['that came too late', {}, { result: 'already-gone', reason: 'already-stopped', detail: REASONS['already-stopped'] }],
    ['whose target is no container', { target: { kind: 'gpu', uuid: 'GPU-0', pciBusId: '', index: 0 } }],
  ])('%s, he reads nothing', (_, decision, outcome) => {
    expect(told(decision, outcome)).toEqual([]);
  });

  it.each<[string, Partial<Outcome>, string]>([
    ['failed', { result: 'failed', detail: 'the engine answered 500' }, 'warning container.stop.failed: container job: stop: the engine answered 500 → the next pass tries again'],
    ['was refused at the last look, in its own words and those of the reason', { result: 'refused', reason: 'protected', detail: 'its labels changed' }, 'warning container.stop.refused: container job: stop: its labels changed (the container is protected) → the next pass tries again'],
    ['was refused at the last look, in the words of the reason and not twice', { result: 'refused', reason: 'protected', detail: REASONS.protected }, 'warning container.stop.refused: container job: stop: the container is protected → the next pass tries again'],
  ])('that %s, he reads what came of it', (_, outcome, expected) => {
    expect(told({}, outcome)).toEqual([expected]);
  });

  it('he learns which container it is, and whose, where that is known', () => {
    const { target } = stop;
    const past: Decision = { ...stop, verdict: 'leave', reason: 'protected', evidence: { pastLimit: true }, target: { ...target, owner: null } as Decision['target'] };
    expect(containerFindings(stop, undefined)).toMatchObject([{ subject: { container: ID, owner: 'alice' } }]);
    expect(containerFindings(past, undefined).map(({ subject, message }) => ({ subject, message }))).toEqual([{ subject: { container: ID }, message: 'container job: it is protected, and past its limit (owner: unknown)' }]);
  });
});
