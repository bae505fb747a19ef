import { ExitCode } from '../model/errors.ts';
import { sayVersion } from './say-version.ts';

/** The version alone needs no command line parser. */
async function main(argv: readonly string[]): Promise<void> {
  if (sayVersion(argv)) return;
  process.stdout.on('error', tellUnwritten);
  process.stderr.on('error', () => undefined);
  const { parseCommandLine } = await import('./program.ts');
  if (await parseCommandLine(argv)) process.exitCode ??= ExitCode.ok;
  else process.exitCode = argv.includes('--nagios') ? refuseAsPlugin() : ExitCode.usage;
  await Promise.all([process.stdout, process.stderr].map(written));
  // All is said and done; left to itself Node would first tidy up memory that is about to go, for a tenth of the whole run.
  process.exit();
}

/** When all that was written to a stream has left this process, or cannot. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => { stream.write('', () => { resolve(); }); });
}

let told = false;

/** Nothing that is only said may end a pass in the middle of what it does. A reader that has gone wants no more; a disk that is full is told, and costs the exit code 0. */
function tellUnwritten(error: Error): void {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE' || told) return;
  told = true;
  process.stderr.write(`gpuctl: standard output cannot be written: ${error.message}\n`);
  process.prependOnceListener('exit', () => { if ((process.exitCode ?? ExitCode.ok) === ExitCode.ok) process.exitCode = ExitCode.findings; });
}

/** To a monitor, 2 would mean CRITICAL. What is wrong is on stderr. */
function refuseAsPlugin(): number {
  process.stdout.write('GPUCTL UNKNOWN - the command line is not valid: see gpuctl health-check --help\n');
  return 3;
}

void main(process.argv.slice(2));
