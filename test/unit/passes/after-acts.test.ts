import { expect, it } from 'vitest';
import type { Assessment } from '../../../src/decide/assess.ts';
import type { ContainerTarget, Decision, Verb } from '../../../src/model/decision.ts';
import { complete } from '../../../src/model/observation.ts';
import { containersAfter } from '../../../src/passes/after-acts.ts';
import { finish } from '../../../src/passes/carry-out.ts';
import type { Pass } from '../../../src/passes/pass.ts';
import type { ActResult } from '../../../src/passes/ports.ts';
import { container } from '../config/helpers.ts';

const ENDED = 5000;
const running = container({ state: 'running', startedAt: 1000 });

/** State and end of the container after one act that was told at ENDED, by a look of that instant. */
function after(result: Partial<ActResult>, { verb = 'stop', tried = true, look = ENDED, seen = running }: { readonly verb?: Verb; readonly tried?: boolean; readonly look?: number; readonly seen?: typeof running } = {}): readonly unknown[] {
  const target: ContainerTarget = { kind: 'container', containerId: running.id, containerName: 'train', startedAt: 1000, owner: null };
  const decision: Decision<ContainerTarget> = { round: 1, verb, target, verdict: 'act', reason: 'idle-limit', evidence: {} };
  const pass = { id: 'pass', outcomes: [], ended: new Map(), parts: { clock: { now: () => ENDED }, sink: { emit: () => {} }, ledger: { endAct: () => {} } } } as unknown as Pass;
  finish(pass, { index: 0, decision }, tried ? 1 : null, { result: 'done', reason: null, detail: '', ...result });
  return containersAfter(pass, { snapshot: { takenAt: look, engine: complete({ containers: [seen] }) } } as unknown as Assessment).map(({ state, pid, finishedAt }) => [state, pid, finishedAt]);
}

const UNCHANGED = [['running', 4711, null]];
const STOPPED = [['exited', null, ENDED]];

it('a container is what the answer to its act says that it is: stopped, gone, or as it was seen', () => {
  expect([after({}), after({ result: 'already-gone', reason: 'already-stopped' })]).toEqual([STOPPED, STOPPED]);
  expect([after({ since: 'removed' }), after({ result: 'already-gone', reason: 'gone' }), after({}, { verb: 'remove' })]).toEqual([[], [], []]);
  for (const result of [{ result: 'failed' }, { result: 'refused', reason: 'restarted' }, { result: 'already-gone', reason: 'active' }, { since: 'started' }] as const) expect(after(result)).toEqual(UNCHANGED);
  expect(after({}, { verb: 'warn' })).toEqual(UNCHANGED);
});

it('what was not tried changes nothing: the look that spoke against it is the latest there is', () => {
  expect(after({ result: 'already-gone', reason: 'gone' }, { tried: false })).toEqual(UNCHANGED);
});

it('a look that is newer than the answer is believed about another run, and not about the one that has ended', () => {
  const again = { ...running, startedAt: 6000 };
  expect(after({}, { look: ENDED + 1, seen: again })).toEqual(UNCHANGED);
  expect(after({}, { look: ENDED + 1 })).toEqual(STOPPED);
  // In a crash loop the run that was stopped is a later one than that of the decision.
  expect(after({}, { seen: { ...running, startedAt: 2000 } })).toEqual(STOPPED);
});
