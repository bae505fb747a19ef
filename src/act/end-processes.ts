import type { ProcessTarget } from '../model/decision.ts';
import type { ProcessIdentity } from '../model/process.ts';
import type { ActResult, Clock, EndingChecks } from '../passes/ports.ts';

/** Time that a process gets to vanish after SIGKILL. */
const KILL_WAIT_MS = 5000;
const POLL_MS = 100;

/** What /proc says of a pid this instant: start time in ticks, state as one letter. Null: there is no such process. */
export type ProcessState = { readonly startTicks: number; readonly runState: string } | 'unreadable' | null;

export interface EndingParts {
  readonly clock: Clock;
  readonly termGraceMs: number;
  /** Read synchronously, so that nothing comes between the reading and the signal. */
  readonly stateOf: (pid: number) => ProcessState;
  /** Throws ESRCH where there is no such process. */
  readonly signal: (pid: number, signal: 'SIGTERM' | 'SIGKILL') => void;
  /** True: the pass was asked to end; no further signal is sent. */
  readonly stopping: () => boolean;
}

interface Ending {
  readonly target: ProcessTarget;
  result: ActResult | null;
  signalled: boolean;
}

/**
 * Ends processes: SIGTERM to all, one grace for all, SIGKILL to those that are left, 5 s, and a last look. Before each
 * signal the caller's check must pass and the start time must be the one decided on. A zombie that the driver no longer
 * lists has ended; one that it lists has survived.
 */
export async function endProcesses(parts: EndingParts, targets: readonly ProcessTarget[], checks: EndingChecks): Promise<readonly ActResult[]> {
  const endings = targets.map((target): Ending => ({ target, result: null, signalled: false }));
  await signalAll({ parts, endings, checks, signal: 'SIGTERM' });
  await waitUntilGone(parts, endings, parts.termGraceMs);
  const left = endings.filter((ending) => ending.result === null && !isGone(parts, ending));
  await signalAll({ parts, endings: left, checks, signal: 'SIGKILL' });
  await waitUntilGone(parts, left, KILL_WAIT_MS);
  return judge(parts, endings, checks);
}

interface Volley {
  readonly parts: EndingParts;
  readonly endings: readonly Ending[];
  readonly checks: EndingChecks;
  readonly signal: 'SIGTERM' | 'SIGKILL';
}

async function signalAll({ parts, endings, checks, signal }: Volley): Promise<void> {
  for (const ending of endings) {
    if (parts.stopping()) ending.result = refused('interrupted', `the pass was asked to end before ${signal}`);
    else ending.result = (await checks.mayEnd(ending.target)) ?? send(parts, ending, signal);
  }
}

/** Null: sent. The start time is compared in the same turn of the event loop as the signal. */
function send(parts: EndingParts, ending: Ending, signal: 'SIGTERM' | 'SIGKILL'): ActResult | null {
  const { identity, pid } = ending.target;
  const state = parts.stateOf(pid);
  if (identity === null || state === 'unreadable') return refused('process-unreadable', 'its start time cannot be compared');
  if (state === null || state.startTicks !== identity.startTicks) return gone(ending);
  try {
    parts.signal(pid, signal);
    ending.signalled = true;
    return null;
  } catch (error) {
    return isNoSuchProcess(error) ? gone(ending) : { result: 'failed', reason: null, detail: `${signal}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function waitUntilGone(parts: EndingParts, endings: readonly Ending[], limitMs: number): Promise<void> {
  const deadline = parts.clock.monotonicMs() + limitMs;
  const waiting = (): boolean => endings.some((ending) => ending.result === null && !isGone(parts, ending));
  while (waiting() && parts.clock.monotonicMs() < deadline) await parts.clock.sleep(POLL_MS);
}

/** Gone, re-used, or dead and only waiting for its parent. */
function isGone({ stateOf }: EndingParts, { target }: Ending): boolean {
  const state = stateOf(target.pid);
  if (state === 'unreadable') return false;
  return state === null || !isSame(state, target.identity) || state.runState === 'Z' || state.runState === 'X';
}

async function judge(parts: EndingParts, endings: readonly Ending[], checks: EndingChecks): Promise<readonly ActResult[]> {
  const dead = endings.filter((ending) => ending.result === null && isZombie(parts, ending));
  const listed = dead.length === 0 ? new Set<number>() : await checks.stillListed();
  return endings.map((ending) => ending.result ?? finalResult(parts, ending, listed));
}

function finalResult(parts: EndingParts, ending: Ending, listed: ReadonlySet<number> | null): ActResult {
  if (!isGone(parts, ending)) return { result: 'failed', reason: 'stuck', detail: 'it is still there 5 s after SIGKILL' };
  if (!isZombie(parts, ending)) return { result: 'done', reason: null, detail: 'it has ended' };
  if (listed === null) return { result: 'failed', reason: 'process-list-unknown', detail: 'it is a zombie, and the driver does not say whether it still holds the device' };
  return listed.has(ending.target.pid) ? { result: 'failed', reason: 'zombie', detail: 'it is a zombie, and the driver still lists it' } : { result: 'done', reason: null, detail: 'it has ended; its parent has not collected it yet' };
}

function isZombie({ stateOf }: EndingParts, { target }: Ending): boolean {
  const state = stateOf(target.pid);
  return state !== null && state !== 'unreadable' && isSame(state, target.identity) && (state.runState === 'Z' || state.runState === 'X');
}

function isSame(state: { readonly startTicks: number }, identity: ProcessIdentity | null): boolean {
  return identity !== null && state.startTicks === identity.startTicks;
}

function gone({ signalled }: Ending): ActResult {
  return signalled ? { result: 'done', reason: null, detail: 'it has ended' } : { result: 'already-gone', reason: 'process-gone', detail: 'it had ended by itself' };
}

function refused(reason: NonNullable<ActResult['reason']>, detail: string): ActResult {
  return { result: 'refused', reason, detail };
}

function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ESRCH';
}
