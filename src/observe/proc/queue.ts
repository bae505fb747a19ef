import { type Attempt, type Done, failure } from './read.ts';

/** An answer takes microseconds; a process with very much memory holds its lock for a good part of a second while it forks. */
const DEADLINE_MS = 2000;
/** For all reads of a queue that were held up, together. */
const BUDGET_MS = 10_000;
/** A read that is answered within this was not held up. */
const TICK_MS = 100;

/** Reads that the kernel may hold up, for ever where a driver hangs: on the thread pool, each with a deadline. */
export interface Queue {
  /** The answer to one read of `path`. Never rejects; *unanswered* is not the same as empty. */
  ask<T>(path: string, read: (done: Done<T>) => void): Promise<Attempt<T>>;
}

export interface QueueOptions {
  /**
   * How many are asked at a time. One without an answer keeps its thread, of which there are four, and its place here: when
   * all places are taken, nothing more is asked.
   */
  readonly most: number;
  readonly deadlineMs?: number;
  readonly budgetMs?: number;
}

interface State {
  readonly most: number;
  readonly deadlineMs: number;
  leftMs: number;
  inFlight: number;
  /** What was asked and has no answer yet, though its deadline is over. */
  readonly lost: Set<string>;
  readonly waiting: (() => void)[];
}

/** One of a kind of read for the whole life of the process, so that what hangs is not asked again by its next look. */
export function createQueue({ most, deadlineMs = DEADLINE_MS, budgetMs = BUDGET_MS }: QueueOptions): Queue {
  const state: State = { most, deadlineMs, leftMs: budgetMs, inFlight: 0, lost: new Set(), waiting: [] };
  return {
    async ask(path, read) {
      while (state.inFlight >= most && refusal(state) === null) await new Promise<void>((wake) => { state.waiting.push(wake); });
      const why = state.lost.has(path) ? 'an earlier read of it is still unanswered' : refusal(state);
      return why === null ? answerTo(path, read, state) : unanswered(why);
    },
  };
}

/** Null: one more may be asked. */
function refusal({ most, lost, leftMs }: State): string | null {
  if (lost.size >= most) return `not asked: the kernel left ${lost.size} such reads unanswered`;
  return leftMs <= 0 ? 'not asked: the kernel was too slow with such reads' : null;
}

function unanswered(why: string): Attempt<never> {
  return { ok: false, gone: false, unanswered: true, why };
}

function answerTo<T>(path: string, read: (done: Done<T>) => void, state: State): Promise<Attempt<T>> {
  const { promise, resolve } = Promise.withResolvers<Attempt<T>>();
  const forMs = Math.min(state.deadlineMs, state.leftMs);
  let [waitedMs, late] = [0, false];
  state.inFlight += 1;
  const settle = (answer: Attempt<T>): void => {
    clearInterval(timer);
    resolve(answer);
    for (const wake of state.waiting.splice(0, refusal(state) === null ? 1 : state.waiting.length)) wake();
  };
  // Ticks and not a clock: while gpuctl itself is busy no answer is heard either, and all that time is one tick.
  const timer = setInterval(() => {
    waitedMs += TICK_MS;
    state.leftMs -= TICK_MS;
    if (waitedMs < forMs) return;
    late = true;
    state.lost.add(path);
    stuck += 1;
    leaveAnyway();
    settle(unanswered(`no answer within ${forMs} ms`));
  }, TICK_MS);
  read((error, value) => {
    state.inFlight -= 1;
    if (late) stuck -= 1;
    state.lost.delete(path);
    settle(error === null ? { ok: true, value: value as T } : failure(error));
  });
  return promise;
}

let leaving = false;
/** Reads without an answer, of all queues. */
let stuck = 0;

/**
 * From now on the process ends even where a thread of its pool does not come back: Node would wait for that one when it
 * exits. Another program that takes its place ends all its threads, and exits with the same code. A thread that not even
 * SIGKILL ends still holds the process back, but by then the lock is free and all is written.
 */
function leaveAnyway(): void {
  if (leaving) return;
  leaving = true;
  process.once('exit', (code) => {
    if (stuck === 0) return;
    try {
      process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${Number(process.exitCode ?? code)})`], {});
    } catch {
      // The program was exchanged under us.
    }
    process.kill(process.pid, 'SIGKILL');
  });
}
