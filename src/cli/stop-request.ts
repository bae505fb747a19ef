import { PASS_DEADLINE_MS } from '../schedule/jobs.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Whether the run was asked to end, and by what. */
export interface StopRequest {
  /** Null: it was not. */
  why(): string | null;
  /** To be called when all is written: dies of the signal that was caught, as a shell or systemd expects. */
  settle(): void;
}

/**
 * From now on a signal lets the act in flight end and be written before the process goes; so does the pass's own deadline.
 */
export function watchForStop(): StopRequest {
  let why: string | null = null;
  let caught: NodeJS.Signals | null = null;
  const timer = setTimeout(() => { why ??= `the pass took longer than ${PASS_DEADLINE_MS / 60_000} minutes`; }, PASS_DEADLINE_MS).unref();
  const handler = (signal: NodeJS.Signals): void => { caught ??= signal; why ??= `the pass was asked to end by ${signal}`; };
  for (const signal of SIGNALS) process.on(signal, handler);
  return {
    why: () => why,
    settle: () => {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.removeListener(signal, handler);
      if (caught !== null) process.kill(process.pid, caught);
    },
  };
}
