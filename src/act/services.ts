import { runChild } from '../callout/child.ts';
import type { ResetHelper, ServiceState, StepResult } from '../passes/ports.ts';
import { observeDependents } from './dependents.ts';
import { restoreSetting, resultOf, type Run, type SmiParts } from './restore.ts';

/** systemd gives a service 90 s to stop where its unit does not say; a reset does not wait that long for anybody. */
const CHANGE_MS = 60_000;
const ASK_MS = 10_000;

export interface ServiceParts {
  readonly run?: Run;
  /** Deadline of a stop and of a start, milliseconds. */
  readonly changeMs?: number;
}

/** What a reset does besides nvidia-smi's reset itself. It is never built for a dry run or a report. */
export function createResetHelper(parts: SmiParts & ServiceParts): ResetHelper {
  return {
    serviceState: (unit) => observeService(parts, unit),
    stopService: (unit) => systemctl(parts, 'stop', unit),
    startService: (unit) => startService(parts, unit),
    dependents: (unit) => observeDependents(parts.run ?? runChild, unit),
    restore: (target, debt) => restoreSetting(parts, target, debt),
  };
}

async function systemctl({ run = runChild, changeMs = CHANGE_MS }: ServiceParts, verb: 'start' | 'stop', unit: string): Promise<StepResult> {
  return resultOf(await run({ file: 'systemctl', args: [verb, '--', unit], timeoutMs: changeMs }));
}

/** That systemctl exits with 0 says only that nothing failed: an unmet condition does not, nor does a program that ends right after it began. */
async function startService(parts: ServiceParts, unit: string): Promise<StepResult> {
  const started = await systemctl(parts, 'start', unit);
  const state = started.result === 'done' ? await observeService(parts, unit) : null;
  const runs = state === null || state === 'active' || state === 'not-startable';
  return runs ? started : { result: 'failed', detail: `it was started, but systemd calls it ${state}` };
}

async function observeService({ run = runChild }: ServiceParts, unit: string): Promise<ServiceState> {
  const { exitCode, stdout, problem } = await run({ file: 'systemctl', args: ['show', '--property=LoadState', '--property=ActiveState', '--property=CanStart', '--', unit], timeoutMs: ASK_MS });
  if (problem !== null || exitCode !== 0) return 'unknown';
  const value = (name: string): string | undefined => stdout.split('\n').find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  if (value('LoadState') === 'not-found') return 'absent';
  const state = STATES[value('ActiveState') ?? ''] ?? 'unknown';
  // One that was masked while it runs stays stopped once it is.
  const mayStart = value('LoadState') === 'loaded' && value('CanStart') !== 'no';
  return state === 'active' && !mayStart ? 'not-startable' : state;
}

/** systemd's unit states: org.freedesktop.systemd1(5), 2026-11. */
const STATES: Readonly<Record<string, ServiceState>> = {
  active: 'active', reloading: 'active', refreshing: 'active', inactive: 'inactive', failed: 'inactive', activating: 'unsettled', deactivating: 'unsettled', maintenance: 'unsettled',
};
