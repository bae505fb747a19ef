import { enforceRuntime } from '../../passes/enforce-runtime.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl enforce-runtime`, the job of :35. */
export const enforceRuntimeCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'enforce-runtime', story: enforceRuntime, acts: true, records: true, devices: [], asks: true }, loaded, globals);
