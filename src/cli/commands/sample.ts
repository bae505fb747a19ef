import { sample } from '../../passes/sample.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl sample`: one look, remembered; owners of idle containers are warned. Nobody is asked, for nothing is stopped. */
export const sampleCommand: Command = (loaded, globals) =>
  runPassCommand({ job: 'sample', story: sample, acts: true, records: true, devices: [], asks: false }, loaded, globals);
