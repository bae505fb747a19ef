import { decideRelease } from '../decide/release.ts';
import type { ReleaseReason } from '../model/history.ts';
import type { ReasonCode } from '../model/reason.ts';
import { begin, finish, interruption, settle } from './carry-out.ts';
import { nextRound, type Pass, view } from './pass.ts';

/** Round: allocations that nobody uses any more are released. It changes the ledger only. */
export async function releaseRound(pass: Pass): Promise<void> {
  const { clock, ledger, policy } = pass.parts;
  const { snapshot, history } = await view(pass);
  const decisions = decideRelease({ snapshot, history, rulesOf: policy.rulesOf, now: clock.now(), round: nextRound(pass) });
  const holders = new Set(decisions.map((decision) => decision.target.containerId)).size;
  for (const entry of settle(pass, decisions, holders)) {
    const stop = interruption(pass);
    if (stop !== null) { finish(pass, entry, null, stop); continue; }
    const act = begin(pass, entry);
    ledger.release(entry.decision.target, releaseReason(entry.decision.reason), clock.now());
    finish(pass, entry, act, { result: 'done', reason: null, detail: 'released' });
  }
}

function releaseReason(reason: ReasonCode): ReleaseReason {
  return reason === 'gone' || reason === 'no-hold' ? reason : 'hold-expired';
}
