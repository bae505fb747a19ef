import type { JobName } from '../model/schedule.ts';
import { nextRuns, type Slot } from './slots.ts';

/** A run later than this has been missed: the host slept, or its clock was put forward. */
const LATE_MS = 60_000;
/** A clock that is put back by less must not make a job run twice for one slot. */
const SMALL_STEP_MS = 60 * 60_000;

/** A job that was started, as a process of its own. */
export interface StartedJob {
  /** Resolves when it has ended, however; never rejects. */
  readonly done: Promise<void>;
  /** Asks it to end after the act in flight. */
  end(): void;
}

/** `busy`: a pass still runs. `missed`: the time has passed. Neither is caught up. */
export interface Skipped {
  readonly job: JobName;
  readonly at: number;
  readonly why: 'busy' | 'missed';
  /** The pass that still runs; null: none. */
  readonly running: JobName | null;
}

export interface DaemonParts {
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  /** Sleeps until that time or until `woken` settles; it may wake early. */
  readonly sleepUntil: (at: number, woken: Promise<void>) => Promise<void>;
  readonly start: (job: JobName) => StartedJob;
  readonly skipped: (skip: Skipped) => void;
  /** An IANA name; without it the zone of the host. */
  readonly zone?: string;
}

export interface Daemon {
  /** Runs until `stop`; resolves when the last job has ended. */
  run(): Promise<void>;
  reload(slots: readonly Slot[]): void;
  /** Starts nothing more, and asks what runs to end after the act in flight. */
  stop(): void;
}

/**
 * The schedule in one process. At most one job runs at a time: one whose time comes while a pass runs is skipped, and so is
 * a sample; a pass whose time comes while a sample runs waits for that, which is short. What was missed is skipped, not
 * caught up.
 */
export function createDaemon(first: readonly Slot[], parts: DaemonParts): Daemon {
  const state: State = { slots: first, stopping: false, handledAt: -Infinity, running: null, waiting: null, alarm: Promise.withResolvers() };
  return {
    run: () => run(state, parts),
    reload(slots) {
      state.slots = slots;
      wake(state);
    },
    stop() {
      state.stopping = true;
      state.running?.started.end();
      wake(state);
    },
  };
}

interface State {
  slots: readonly Slot[];
  stopping: boolean;
  /** The latest time whose jobs were started or skipped. */
  handledAt: number;
  running: { readonly slot: Slot; readonly started: StartedJob } | null;
  /** The pass that starts when the sample that runs has ended. */
  waiting: Slot | null;
  alarm: PromiseWithResolvers<void>;
}

function wake(state: State): void {
  state.alarm.resolve();
  state.alarm = Promise.withResolvers();
}

async function run(state: State, parts: DaemonParts): Promise<void> {
  while (!state.stopping) {
    const { slots, alarm } = state;
    const due = dueAfter(fromWhen(state, parts.now()), slots, parts.zone);
    await parts.sleepUntil(due?.at ?? Infinity, alarm.promise);
    if (!state.stopping && due !== null && state.slots === slots && parts.now() >= due.at) handle(state, due, parts);
  }
  while (state.running !== null) await state.running.started.done;
}

/** Slots of one time are looked for once, even if the clock is put back a little after them. */
function fromWhen({ handledAt }: State, now: number): number {
  return handledAt > now && handledAt - now < SMALL_STEP_MS ? handledAt : now;
}

interface Due {
  readonly at: number;
  readonly slots: readonly Slot[];
}

/** Null: no slot ever comes. */
function dueAfter(from: number, slots: readonly Slot[], zone: string | undefined): Due | null {
  const runs = nextRuns(slots, from, zone);
  const at = runs[0]?.at;
  if (at === undefined) return null;
  const jobs = new Set(runs.filter((each) => each.at === at).map(({ job }) => job));
  return { at, slots: slots.filter(({ job }) => jobs.has(job)) };
}

function handle(state: State, { at, slots }: Due, parts: DaemonParts): void {
  state.handledAt = at;
  const late = parts.now() - at > LATE_MS;
  for (const slot of slots) {
    if (late) parts.skipped({ job: slot.job, at, why: 'missed', running: null });
    else startOrSkip(state, { slot, at }, parts);
  }
}

function startOrSkip(state: State, { slot, at }: { readonly slot: Slot; readonly at: number }, parts: DaemonParts): void {
  const { running, waiting } = state;
  if (running === null) start(state, slot, parts);
  else if (slot.mutates && !running.slot.mutates && waiting === null) state.waiting = slot;
  else parts.skipped({ job: slot.job, at, why: 'busy', running: (waiting ?? running.slot).job });
}

function start(state: State, slot: Slot, parts: DaemonParts): void {
  const started = parts.start(slot.job);
  state.running = { slot, started };
  void started.done.then(() => {
    const next = state.waiting;
    state.running = null;
    state.waiting = null;
    if (next !== null && !state.stopping) start(state, next, parts);
  });
}
