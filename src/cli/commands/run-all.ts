import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { PassReport } from '../../passes/report.ts';
import { renderJson } from '../render/text.ts';
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
  const reports: PassReport[] = [];
  const codes: ExitCode[] = [];
  const each = globals.json === true ? { ...globals, collect: (report: PassReport) => { reports.push(report); } } : globals;
  try {
    for (const pass of PASSES) {
      const code = await pass(loaded, each);
      codes.push(code);
      if (code === ExitCode.locked) break;
    }
  } catch (error) {
    codes.push(error instanceof GpuctlError ? error.exitCode : ExitCode.bug);
    throw error;
  } finally {
    if (globals.json === true) process.stdout.write(renderJson({ schema: 1, job: 'run-all', exit: worst(codes), passes: reports }));
  }
  return worst(codes);
};

function worst(codes: readonly ExitCode[]): ExitCode {
  return WORST_FIRST.find((code) => codes.includes(code)) ?? ExitCode.ok;
}
