import { ExitCode } from '../model/errors.ts';
import type { Globals } from './globals.ts';

/** What a command that succeeded has to say beside its output: on stderr, unless nobody wants to hear it. */
export function say({ quiet }: Globals, text: string): ExitCode {
  if (quiet !== true) process.stderr.write(`gpuctl: ${text}\n`);
  return ExitCode.ok;
}
