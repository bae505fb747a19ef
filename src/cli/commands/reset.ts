import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { resetByHand } from '../../passes/reset-by-hand.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl reset`: one guarded reset of one GPU. Without a terminal it needs `--yes`: nobody has seen the plan. */
export function resetCommand(device: string): Command {
  return (loaded, globals) => {
    if (globals.yes !== true && globals.dryRun !== true && globals.replay === undefined && process.stdin.isTTY !== true) {
      throw new GpuctlError('reset needs a terminal, or --yes', { code: 'usage', exitCode: ExitCode.usage, hint: `see first: gpuctl reset ${JSON.stringify(device)} --dry-run` });
    }
    return runPassCommand({ job: 'reset', story: resetByHand, acts: true, records: true, devices: [device], asks: true }, loaded, globals);
  };
}
