import { writeSync } from 'node:fs';
import { ExitCode } from '../model/errors.ts';
import { version } from './version.ts';

/** Prints the version, where the arguments ask for nothing else: without Node's streams, which take longer to set up. False: they do not. */
export function sayVersion(argv: readonly string[]): boolean {
  if (argv.length !== 1 || (argv[0] !== '--version' && argv[0] !== '-V')) return false;
  try {
    writeSync(1, `${version}\n`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A reader that goes away (`| head`) is no error.
    if (code === 'EPIPE') return true;
    process.stderr.write(`gpuctl: standard output cannot be written: ${message}\n`);
    process.exitCode = ExitCode.findings;
  }
  return true;
}
