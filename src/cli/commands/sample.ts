import { sample } from '../../passes/sample.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl sample`: one look, remembered. */
export const sampleCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'sample', story: sample, acts: false, records: true, devices: [], asks: false }, loaded, globals);
