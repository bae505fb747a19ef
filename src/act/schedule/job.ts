import { spawn } from 'node:child_process';

export interface JobCall {
  readonly file: string;
  readonly args: readonly string[];
  /** After this it is asked to end, as a stop does. */
  readonly deadlineMs: number;
  /** From then until it is killed. */
  readonly graceMs: number;
}

/** How a job ended. */
export interface JobEnd {
  /** Null: it did not exit by itself, or could not be started. */
  readonly exitCode: number | null;
  /** What ended it at its deadline; null: nothing had to. */
  readonly ended: 'SIGTERM' | 'SIGKILL' | null;
  /** Why it could not be started; null: it was. */
  readonly problem: string | null;
}

/** A job that runs. */
export interface RunningJob {
  readonly done: Promise<JobEnd>;
  /** SIGTERM: it ends after the act in flight. */
  end(): void;
}

/** Runs a job as a process of its own, its output where this process has its own. Never throws; `done` never rejects. */
export function startJob(call: JobCall): RunningJob {
  try {
    return start(call);
  } catch (error) {
    // Some faults, a lack of memory among them, spawn throws; of others it tells later.
    const problem = error instanceof Error ? error.message : String(error);
    return { done: Promise.resolve({ exitCode: null, ended: null, problem }), end: () => undefined };
  }
}

function start({ file, args, deadlineMs, graceMs }: JobCall): RunningJob {
  const { promise: done, resolve } = Promise.withResolvers<JobEnd>();
  let ended: JobEnd['ended'] = null;
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const signal = (name: 'SIGTERM' | 'SIGKILL'): void => {
    ended = name;
    child.kill(name);
  };
  const timers = [setTimeout(signal, deadlineMs, 'SIGTERM'), setTimeout(signal, deadlineMs + graceMs, 'SIGKILL')];
  const settle = (end: Omit<JobEnd, 'ended'>): void => {
    for (const timer of timers) clearTimeout(timer);
    resolve({ ...end, ended });
  };
  child.once('error', (error) => { settle({ exitCode: null, problem: error.message }); });
  child.once('exit', (exitCode) => { settle({ exitCode, problem: null }); });
  return { done, end: () => { child.kill('SIGTERM'); } };
}
