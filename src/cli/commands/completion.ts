import type { Command } from 'commander';
import { commandTree } from '../command-tree.ts';
import { renderCompletion, type Shell } from '../render/completion.ts';

/** `gpuctl completion SHELL`: the script on stdout. It reads no configuration. */
export function printCompletion(shell: Shell, program: Command): void {
  process.stdout.write(renderCompletion(shell, commandTree(program)));
}
