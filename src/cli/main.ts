import { ExitCode } from '../model/errors.ts';
import { sayVersion, tolerateGone } from './say-version.ts';

/** The version alone needs no command line parser. */
async function main(argv: readonly string[]): Promise<void> {
  if (sayVersion(argv)) return;
  process.stdout.on('error', tolerateGone);
  const { parseCommandLine } = await import('./program.ts');
  if (await parseCommandLine(argv)) process.exitCode ??= ExitCode.ok;
  else process.exitCode = argv.includes('--nagios') ? refuseAsPlugin() : ExitCode.usage;
}

/** To a monitor, 2 would mean CRITICAL. What is wrong is on stderr. */
function refuseAsPlugin(): number {
  process.stdout.write('GPUCTL UNKNOWN - the command line is not valid: see gpuctl health-check --help\n');
  return 3;
}

void main(process.argv.slice(2));
