import { hostname } from 'node:os';
import { ulid } from 'ulid';
import type { LoadedConfig } from '../config/types.ts';
import { createEventSink, type OpenEventSink } from '../record/event-sink.ts';
import type { Globals } from './globals.ts';
import { version } from './version.ts';

/** The event stream for what happens outside a pass. `job`: the job that it is about; null: none. To be closed by the caller. */
export function openSink({ config }: Pick<LoadedConfig, 'config'>, globals: Globals, job: string | null): OpenEventSink {
  return createEventSink({
    file: config.events.file, stderr: process.stderr,
    context: { host: hostname(), version, now: () => Date.now(), pass: job === null ? null : ulid(), job, dryRun: globals.dryRun === true },
    ...(globals.events === true ? { stdout: process.stdout } : {}),
  });
}
