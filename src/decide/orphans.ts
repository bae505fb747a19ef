import { GPU_UUID } from '../model/device.ts';
import type { Decision, Evidence, ProcessTarget, Verdict } from '../model/decision.ts';
import { type Gap, seen } from '../model/observation.ts';
import type { PresentProcess, ProcessIdentity } from '../model/process.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { ProcessLook, Snapshot } from '../model/snapshot.ts';
import { type Candidate, candidatesIn, lookOf, ownershipIn, processIn } from './look.ts';
import { decideOwnership, type Ownership, type OwnershipRules } from './ownership.ts';

export interface OrphanFacts {
  readonly first: Snapshot;
  /** Null: there was no second look, so nothing is confirmed. */
  readonly second: ProcessLook | null;
  readonly rules: OwnershipRules;
  /** Least time between the looks. */
  readonly confirmAfterMs: number;
  readonly round: number;
}

/** What to do with a process, and why. */
export interface Answer {
  readonly verdict: Verdict;
  readonly reason: ReasonCode;
  readonly evidence?: Evidence;
}

/** Pids that need a second look: orphans and ghosts of the first. */
export function pidsToConfirm(first: Snapshot, rules: OwnershipRules): readonly number[] {
  const owners = ownershipIn(candidatesIn(first).map(({ pid }) => pid), lookOf(first), rules);
  return [...owners].filter(([, { kind }]) => kind === 'orphan' || kind === 'ghost').map(([pid]) => pid);
}

/** Exactly one decision for every process that a device with a known process list shows. */
export function decideOrphans(facts: OrphanFacts): readonly Decision<ProcessTarget>[] {
  const look = lookOf(facts.first);
  const questions = candidatesIn(facts.first).map((candidate): Question => {
    const process = processIn(look, candidate.pid);
    const identity = process.state === 'present' && look.bootId !== null ? identityOf(process, look.bootId) : null;
    return { candidate, owner: decideOwnership(process, look, facts.rules), identity, facts };
  });
  const answers = withoutMpsClients(questions.map((question) => ({ question, answer: answerFor(question) })), facts.first);
  return answers.map(({ question: { candidate, owner, identity }, answer }) => ({
    round: facts.round,
    verb: 'kill',
    target: { kind: 'process', identity, pid: candidate.pid, name: candidate.rows[0]?.name ?? '', containerId: containerOf(owner), gpuUuids: candidate.gpuUuids },
    verdict: answer.verdict,
    reason: answer.reason,
    evidence: { owner, ...answer.evidence },
  }));
}

interface Question {
  readonly candidate: Candidate;
  readonly owner: Ownership;
  readonly identity: ProcessIdentity | null;
  readonly facts: OrphanFacts;
}

function answerFor(question: Question): Answer {
  const { candidate, owner, facts } = question;
  if (owner.kind === 'ghost') return ghostAnswer(candidate, facts);
  if (owner.kind !== 'orphan') return { verdict: owner.kind === 'unknown' ? 'refuse' : 'leave', reason: owner.reason };
  if (!isCompute(candidate)) return { verdict: 'leave', reason: 'not-compute' };
  return confirmed(question);
}

/**
 * A ghost is one only if both looks find it listed and not there: a process may end while it is being looked at. The
 * second list is of compute processes alone, so it says nothing of one that only draws.
 */
function ghostAnswer(candidate: Candidate, { second }: OrphanFacts): Answer {
  if (second === null || processIn(second, candidate.pid).state !== 'absent') return { verdict: 'leave', reason: 'not-confirmed' };
  const doubt = listDoubt(candidate.pid, candidate.gpuUuids, second);
  if (doubt === null) return { verdict: 'leave', reason: 'ghost' };
  return { verdict: 'leave', reason: doubt.reason === 'process-unlisted' && isCompute(candidate) ? 'process-gone' : 'not-confirmed' };
}

function confirmed({ candidate, owner, identity, facts }: Question): Answer {
  const { second, first } = facts;
  if (second === null || identity === null || second.takenAt - first.takenAt < facts.confirmAfterMs) return { verdict: 'leave', reason: 'not-confirmed' };
  const doubt = doubtAbout({ identity, gpuUuids: candidate.gpuUuids, look: second, rules: learned(facts), mustBeListed: true });
  if (doubt !== null) return doubt;
  if (isStuck(candidate.pid, lookOf(first)) && isStuck(candidate.pid, second)) return { verdict: 'leave', reason: 'stuck' };
  return { verdict: 'act', reason: owner.reason, evidence: { confirmedAfterMs: second.takenAt - first.takenAt } };
}

/** A ledger that knows no engine yet takes the one of the first look: both looks are at one engine. */
function learned({ rules, first }: OrphanFacts): OwnershipRules {
  return { ...rules, engineId: rules.engineId ?? seen(first.engine)?.engineId ?? null };
}

export interface IdentityQuestion {
  readonly identity: ProcessIdentity;
  readonly gpuUuids: readonly string[];
  readonly look: ProcessLook;
  readonly rules: OwnershipRules;
  /** False: a glance before a signal, which does not ask the driver again. */
  readonly mustBeListed: boolean;
}

/**
 * The question asked of the second look and again before each signal: is this still the same process, still listed,
 * still an orphan? Null: yes. Otherwise why not.
 */
export function doubtAbout({ identity, gpuUuids, look, rules, mustBeListed }: IdentityQuestion): Answer | null {
  const process = processIn(look, identity.pid);
  if (process.state === 'unreadable') return { verdict: 'refuse', reason: 'process-unreadable' };
  if (process.state === 'absent') return { verdict: 'leave', reason: 'process-gone' };
  if (process.startTicks !== identity.startTicks || look.bootId !== identity.bootId) return { verdict: 'leave', reason: 'identity-changed' };
  const unlisted = mustBeListed ? listDoubt(identity.pid, gpuUuids, look) : null;
  if (unlisted !== null) return unlisted;
  const owner = decideOwnership(process, look, rules);
  if (owner.kind === 'orphan') return null;
  return { verdict: 'refuse', reason: owner.kind === 'unknown' ? owner.reason : 'looks-differ', evidence: { ownerAgain: owner } };
}

/** The compute list of all these devices must be known; what is missing of others does not matter. */
function listDoubt(pid: number, gpuUuids: readonly string[], { listed }: ProcessLook): Answer | null {
  const isElsewhere = ({ subject }: Gap): boolean => GPU_UUID.test(subject) && !gpuUuids.includes(subject);
  if (listed.state === 'failed' || (listed.state === 'partial' && !listed.missing.every(isElsewhere))) return { verdict: 'refuse', reason: 'process-list-unknown' };
  const isListed = listed.value.some((row) => row.pid === pid && gpuUuids.includes(row.gpuUuid));
  return isListed ? null : { verdict: 'leave', reason: 'process-unlisted' };
}

function identityOf(process: PresentProcess, bootId: string): ProcessIdentity {
  return { pid: process.pid, startTicks: process.startTicks, bootId };
}

function isStuck(pid: number, look: ProcessLook): boolean {
  const process = processIn(look, pid);
  return process.state === 'present' && process.runState === 'D';
}

interface Answered {
  readonly question: Question;
  readonly answer: Answer;
}

/**
 * The answers, with every client of MPS spared whose server has other clients that are not ended as well: they would go
 * down together. Sparing one may spare the next, so this goes on until nothing changes.
 */
function withoutMpsClients(all: readonly Answered[], first: Snapshot): readonly Answered[] {
  const blind = unseenDevices(first);
  const next = all.map((each): Answered => {
    if (each.answer.verdict !== 'act' || !isMps(each.question.candidate)) return each;
    const mpsPeers = mpsPeersOf(each.question.candidate, all);
    if (mpsPeers.length === 0 && blind.length === 0) return each;
    return { ...each, answer: { verdict: 'refuse', reason: 'mps-client', evidence: { mpsPeers, unseenDevices: blind } } };
  });
  return next.every((each, at) => each === all[at]) ? all : withoutMpsClients(next, first);
}

/** Other MPS clients that live on, on the same devices as one that is to be ended. */
function mpsPeersOf(candidate: Candidate, all: readonly Answered[]): readonly number[] {
  return all
    .filter(({ answer, question: { candidate: other } }) => answer.verdict !== 'act' && isMps(other) && other.gpuUuids.some((uuid) => candidate.gpuUuids.includes(uuid)))
    .map(({ question }) => question.candidate.pid);
}

/** Devices on which a server may have clients that were not seen. */
function unseenDevices({ driver }: Snapshot): readonly string[] {
  const missing = driver.state === 'partial' ? driver.missing.map(({ subject }) => subject) : [];
  return [...missing, ...(seen(driver)?.gpus ?? []).filter(({ processes }) => processes.state === 'unknown').map(({ uuid }) => uuid)];
}

function isCompute({ rows }: Candidate): boolean {
  return rows.some(({ type }) => type.includes('C'));
}

function isMps({ rows }: Candidate): boolean {
  return rows.some(({ type }) => type.startsWith('M'));
}

function containerOf(owner: Ownership): string | null {
  return 'containerId' in owner ? owner.containerId : null;
}
