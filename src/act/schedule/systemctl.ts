import { runChild } from '../../callout/child.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';

const TIMEOUT_MS = 60_000;

/** Starts systemctl with these arguments. Throws GpuctlError (exit 4) where it fails; `hint`: what is so then, and what to do. */
export async function applySystemctl(args: readonly string[], hint: string): Promise<void> {
  const { exitCode, stderr, problem } = await runChild({ file: 'systemctl', args, timeoutMs: TIMEOUT_MS });
  if (exitCode === 0) return;
  const why = problem ?? (stderr.trim().split('\n').at(-1) || `exit ${exitCode}`);
  throw new GpuctlError(`systemctl ${args.join(' ')} failed: ${why}`, { code: 'systemctl-failed', exitCode: ExitCode.actFailed, hint });
}
