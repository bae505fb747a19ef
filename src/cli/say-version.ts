import { writeSync } from 'node:fs';
import { version } from './version.ts';

/** A reader that goes away (`| head`) is no error. */
function tolerateGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
}

/** Prints the version, where the arguments ask for nothing else: without Node's streams, which take longer to set up. False: they do not. */
export function sayVersion(argv: readonly string[]): boolean {
  if (argv.length !== 1 || (argv[0] !== '--version' && argv[0] !== '-V')) return false;
  try {
    writeSync(1, `${version}\n`);
  } catch (error) {
    tolerateGone(error);
  }
  return true;
}
