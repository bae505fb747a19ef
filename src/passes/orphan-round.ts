import type { Assessment } from '../decide/assess.ts';
import { containerIdsIn } from '../decide/cgroup.ts';
import { decideOrphans, doubtAbout, pidsToConfirm } from '../decide/orphans.ts';
import type { ProcessTarget } from '../model/decision.ts';
import { REASONS } from '../model/reason.ts';
import type { ProcessLook } from '../model/snapshot.ts';
import { begin, finish, interruption, type Numbered, settle } from './carry-out.ts';
import { isSelected, nextRound, type Pass, view } from './pass.ts';
import type { ActResult, EndingChecks } from './ports.ts';

/** What the round leaves to the next one. */
export interface Ended {
  /** Devices on which an orphan was ended. */
  readonly gpuUuids: ReadonlySet<string>;
  /** Pids that two looks found to be listed without existing. */
  readonly ghosts: ReadonlySet<number>;
}

/** Round: compute processes that outlived their container are ended, after two looks. */
export async function orphanRound(pass: Pass): Promise<Ended> {
  const first = await view(pass);
  const second = await secondLook(pass, first);
  const decisions = decideOrphans({ first: first.snapshot, second, rules: first.rules, confirmAfterMs: pass.parts.policy.confirmAfterMs, round: nextRound(pass) });
  const selected = decisions.filter((decision) => decision.target.gpuUuids.some((uuid) => isSelected(pass, uuid)));
  const acts = settle(pass, selected, 0);
  const results = acts.length === 0 ? [] : await endAll(pass, acts, first);
  return {
    gpuUuids: new Set(acts.flatMap(({ decision }, at) => (results[at]?.result === 'done' || results[at]?.result === 'already-gone' ? decision.target.gpuUuids : []))),
    ghosts: new Set(decisions.filter((decision) => decision.reason === 'ghost').map((decision) => decision.target.pid)),
  };
}

/** Null: the first look found nobody to confirm. */
async function secondLook(pass: Pass, first: Assessment): Promise<ProcessLook | null> {
  const { clock, observer, policy } = pass.parts;
  const pids = pidsToConfirm(first.snapshot, first.rules);
  if (pids.length === 0) return null;
  await clock.sleep(policy.confirmAfterMs);
  return observer.look(pids, containersOf(pids, first.look));
}

/** Every container id that the cgroups of these processes name. */
function containersOf(pids: readonly number[], look: ProcessLook): readonly string[] {
  const mine = look.processes.filter((process) => pids.includes(process.pid));
  return [...new Set(mine.flatMap((process) => (process.state === 'present' ? containerIdsIn(process.cgroups ?? []) : [])))];
}

async function endAll(pass: Pass, acts: readonly Numbered<ProcessTarget>[], first: Assessment): Promise<readonly ActResult[]> {
  const stop = interruption(pass) ?? noActor(pass);
  const begun = stop === null ? acts.map((entry) => begin(pass, entry)) : [];
  const results = stop === null && pass.parts.actor !== null
    ? await pass.parts.actor.endProcesses(acts.map(({ decision }) => decision.target), checksFor(pass, first))
    : acts.map(() => stop ?? { result: 'refused' as const, reason: 'interrupted' as const, detail: '' });
  acts.forEach((entry, at) => finish(pass, entry, begun[at] ?? null, results[at] ?? { result: 'failed', reason: null, detail: 'no result' }));
  return results;
}

function noActor({ parts }: Pass): ActResult | null {
  return parts.actor === null ? { result: 'refused', reason: 'ledger-unwritable', detail: 'this pass has no acting side' } : null;
}

/** Identity and ownership are observed anew right before each signal. */
function checksFor({ parts }: Pass, first: Assessment): EndingChecks {
  return {
    mayEnd: async (target) => {
      if (target.identity === null) return { result: 'refused', reason: 'process-unreadable', detail: REASONS['process-unreadable'] };
      const look = await parts.observer.glance([target.pid], containersOf([target.pid], first.look));
      const doubt = doubtAbout({ identity: target.identity, gpuUuids: target.gpuUuids, look, rules: first.rules, mustBeListed: false });
      if (doubt === null) return null;
      return { result: doubt.verdict === 'leave' ? 'already-gone' : 'refused', reason: doubt.reason, detail: REASONS[doubt.reason] };
    },
    stillListed: async () => {
      const { listed } = await parts.observer.look([], []);
      return listed.state === 'complete' ? new Set(listed.value.map((row) => row.pid)) : null;
    },
  };
}
