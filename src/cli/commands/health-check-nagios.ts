import { loadConfig } from '../../config/load.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { healthCheck } from '../../passes/health-check.ts';
import type { Globals } from '../globals.ts';
import { reportPass } from '../pass-command.ts';
import { rejectConfig } from '../reject-config.ts';
import { type PluginResult, renderNagios, renderUnknown } from '../render/nagios.ts';

/** What `--nagios` cannot go with: each wants the output, or the exit code, for itself. */
const AGAINST = ['json', 'events', 'repair', 'baseline', 'overBudget', 'replay'] as const;

/**
 * `gpuctl health-check --nagios`: one plugin line on stdout and exit 0, 1, 2 or 3, whatever happens. It changes nothing. An
 * error of any kind is UNKNOWN: to a monitor, gpuctl's own codes 1 and 2 would say something else.
 */
export async function nagiosCheck(devices: readonly string[], globals: Globals): Promise<void> {
  const { line, exit } = await check(devices, globals).catch((error: unknown) => failure(error, globals));
  process.stdout.write(`${line}\n`);
  process.exitCode = exit;
}

async function check(devices: readonly string[], globals: Globals): Promise<PluginResult> {
  const startedMs = performance.now();
  const against = AGAINST.filter((name) => { const value = (globals as Readonly<Record<string, unknown>>)[name]; return value !== undefined && value !== false; });
  if (against.length > 0) throw new GpuctlError(`--nagios cannot go with ${against.map((name) => (name === 'overBudget' ? '--over-budget' : `--${name}`)).join(', ')}`, { code: 'usage', exitCode: ExitCode.usage });
  const loaded = await loadConfig(globals.config === undefined ? {} : { file: globals.config }).catch((error: unknown) => rejectConfig(error, globals));
  const report = await reportPass({ job: 'health-check', story: healthCheck, acts: false, records: false, devices, asks: false }, loaded, globals);
  return renderNagios(report, performance.now() - startedMs);
}

function failure(error: unknown, { verbose }: Globals): PluginResult {
  const known = error instanceof GpuctlError;
  if (verbose === true || !known) process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
  return renderUnknown(known ? error.message : `this is a bug: ${String(error)}`);
}
