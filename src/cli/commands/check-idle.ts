import { checkIdle } from '../../passes/check-idle.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl check-idle`, the job of :20. */
export const checkIdleCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'check-idle', story: checkIdle, acts: true, records: true, devices: [], asks: true }, loaded, globals);
