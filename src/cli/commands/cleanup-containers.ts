import { cleanupContainers } from '../../passes/cleanup-containers.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl cleanup-containers`, the job of :50. */
export const cleanupContainersCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'cleanup-containers', story: cleanupContainers, acts: true, records: true, devices: [], asks: true }, loaded, globals);
