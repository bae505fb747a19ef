import { releaseStale } from '../../passes/release-stale.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl release-stale`, the job of :05. */
export const releaseStaleCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'release-stale', story: releaseStale, acts: true, records: true, devices: [], asks: true }, loaded, globals);
