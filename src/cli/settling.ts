import type { LoadedConfig } from '../config/types.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import { readUptimeMs } from '../observe/proc/uptime.ts';
import { SETTLING_MS } from '../schedule/jobs.ts';
import { openSink } from './event-sink.ts';
import type { Globals } from './globals.ts';

/**
 * For a scheduled pass that would act: null where it may, exit 0 where the host has only just booted, as said on stderr and
 * as an event. By hand it always may. Throws GpuctlError (exit 3) where the uptime is not known.
 */
export function refuseSettling(job: string, loaded: LoadedConfig, globals: Globals): ExitCode | null {
  if (globals.scheduled !== true || globals.dryRun === true) return null;
  const uptimeMs = readUptimeMs();
  if (uptimeMs === null) throw new GpuctlError('/proc/uptime cannot be read, so it is not known whether the host has only just booted', { code: 'not-observed', exitCode: ExitCode.notObserved });
  if (uptimeMs >= SETTLING_MS) return null;
  const message = `${job} did not run: the host has been up for ${Math.floor(uptimeMs / 1000)} s, and scheduled passes wait until it is ${SETTLING_MS / 60_000} min`;
  const sink = openSink(loaded, globals, job);
  sink.emit({ action: 'pass.refused', message, reason: 'just-booted', level: 'info' });
  sink.close();
  if (globals.quiet !== true) process.stderr.write(`gpuctl: ${message}\n`);
  return ExitCode.ok;
}
