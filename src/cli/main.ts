import { ExitCode } from '../model/errors.ts';
import { version } from './version.ts';

/** A reader that goes away (`| head`) is no error. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => { if (error.code !== 'EPIPE') throw error; });

/** The version alone needs no command line parser. */
async function main(argv: readonly string[]): Promise<void> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    process.stdout.write(`${version}\n`);
    return;
  }
  const { parseCommandLine } = await import('./program.ts');
  process.exitCode = (await parseCommandLine(argv)) ? (process.exitCode ?? ExitCode.ok) : ExitCode.usage;
}

void main(process.argv.slice(2));
