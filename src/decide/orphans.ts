import { GPU_UUID } from '../model/device.ts';
import type { Decision, Evidence, ProcessTarget, Verdict } from '../model/decision.ts';
import { seen } from '../model/observation.ts';
import type { PresentProcess, ProcessIdentity } from '../model/process.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { ProcessLook, Snapshot } from '../model/snapshot.ts';
import { type Candidate, candidatesIn, lookOf, ownershipIn } from './look.ts';
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
  const candidates = candidatesIn(first);
  const owners = ownershipIn(candidates.map(({ pid }) => pid), lookOf(first), rules);
  return candidates.map(({ pid }) => pid).filter((pid) => ['orphan', 'ghost'].includes(owners.get(pid)?.kind ?? ''));
}

/** Exactly one decision for every process that a device with a known process list shows. */
export function decideOrphans(facts: OrphanFacts): readonly Decision<ProcessTarget>[] {
  const look = lookOf(facts.first);
  const candidates = candidatesIn(facts.first);
  const owners = ownershipIn(candidates.map(({ pid }) => pid), look, facts.rules);
  const questions = candidates.map((candidate): Question => {
    const owner = owners.get(candidate.pid) ?? { kind: 'unknown', reason: 'process-unreadable', containerId: null };
    const process = look.processes.find((each) => each.pid === candidate.pid);
    const identity = process?.state === 'present' && look.bootId !== null ? identityOf(process, look.bootId) : null;
    return { candidate, owner, identity, facts };
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
  const again = second?.processes.find((each) => each.pid === candidate.pid);
  if (second === null || again?.state !== 'absent') return { verdict: 'leave', reason: 'not-confirmed' };
  const doubt = listDoubt(candidate.pid, candidate.gpuUuids, second);
  if (doubt === null) return { verdict: 'leave', reason: 'ghost' };
  return { verdict: 'leave', reason: doubt.reason === 'process-unlisted' && isCompute(candidate) ? 'process-gone' : 'not-confirmed' };
}

function confirmed({ candidate, owner, identity, facts }: Question): Answer {
  const { second, first } = facts;
  if (second === null || identity === null || second.takenAt - first.takenAt < facts.confirmAfterMs) return { verdict: 'leave', reason: 'not-confirmed' };
  const doubt = doubtAbout({ identity, gpuUuids: candidate.gpuUuids, look: second, rules: learned(facts), mustBeListed: true });
  if (doubt !== null) return doubt;
  const stuck = runStateOf(candidate.pid, lookOf(first)) === 'D' && runStateOf(candidate.pid, second) === 'D';
  if (stuck) return { verdict: 'leave', reason: 'stuck' };
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
  const process = look.processes.find((each) => each.pid === identity.pid);
  if (process === undefined || process.state === 'unreadable') return { verdict: 'refuse', reason: 'process-unreadable' };
  if (process.state === 'absent') return { verdict: 'leave', reason: 'process-gone' };
  if (process.startTicks !== identity.startTicks || look.bootId !== identity.bootId) return { verdict: 'leave', reason: 'identity-changed' };
  const unlisted = mustBeListed ? listDoubt(identity.pid, gpuUuids, look) : null;
  if (unlisted !== null) return unlisted;
  const owner = decideOwnership(process, look, rules);
  if (owner.kind === 'orphan') return null;
  return { verdict: 'refuse', reason: owner.kind === 'unknown' ? owner.reason : 'looks-differ', evidence: { ownerAgain: owner } };
}

function listDoubt(pid: number, gpuUuids: readonly string[], look: ProcessLook): Answer | null {
  if (look.listed.state === 'failed' || !isListKnown(look, gpuUuids)) return { verdict: 'refuse', reason: 'process-list-unknown' };
  const listed = look.listed.value.some((row) => row.pid === pid && gpuUuids.includes(row.gpuUuid));
  return listed ? null : { verdict: 'leave', reason: 'process-unlisted' };
}

/** Is the compute list of all these devices known? What is missing of others does not matter. */
function isListKnown(look: ProcessLook, gpuUuids: readonly string[]): boolean {
  if (look.listed.state === 'complete') return true;
  return look.listed.state === 'partial' && look.listed.missing.every((gap) => GPU_UUID.test(gap.subject) && !gpuUuids.includes(gap.subject));
}

function identityOf(process: PresentProcess, bootId: string): ProcessIdentity {
  return { pid: process.pid, startTicks: process.startTicks, bootId };
}

function runStateOf(pid: number, look: ProcessLook): string | null {
  const process = look.processes.find((each) => each.pid === pid);
  return process?.state === 'present' ? process.runState : null;
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

/** Other MPS clients on the same devices that live on. */
function mpsPeersOf(candidate: Candidate, all: readonly Answered[]): readonly number[] {
  return all
    .filter(({ answer, question: { candidate: other } }) => other.pid !== candidate.pid && answer.verdict !== 'act' && isMps(other) && other.gpuUuids.some((uuid) => candidate.gpuUuids.includes(uuid)))
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
