import { ExitCode } from '../../model/errors.ts';
import type { Command } from '../run.ts';
import { checkIdleCommand } from './check-idle.ts';
import { cleanupContainersCommand } from './cleanup-containers.ts';
import { enforceRuntimeCommand } from './enforce-runtime.ts';
import { releaseStaleCommand } from './release-stale.ts';

/** The passes in the order of the hour: what is free is known before anybody is stopped, what is stopped before anything is removed. */
const PASSES: readonly Command[] = [releaseStaleCommand, checkIdleCommand, enforceRuntimeCommand, cleanupContainersCommand];

/** Exit codes from the one that ends a run to the harmless one. */
const WORST_FIRST: readonly ExitCode[] = [ExitCode.bug, ExitCode.usage, ExitCode.locked, ExitCode.notObserved, ExitCode.actFailed, ExitCode.findings, ExitCode.ok];

/** `gpuctl run-all`: each pass once, each under the lock; the worst exit code counts. A held lock ends the run. */
export const runAllCommand: Command = async (loaded, globals) => {
  const codes: ExitCode[] = [];
  for (const pass of PASSES) {
    const code = await pass(loaded, globals);
    codes.push(code);
    if (code === ExitCode.locked) break;
  }
  return WORST_FIRST.find((code) => codes.includes(code)) ?? ExitCode.ok;
};
