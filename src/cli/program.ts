import { Command, CommanderError, Option } from 'commander';
import type { Globals } from './globals.ts';
import type { Command as Runnable } from './run.ts';
import { version } from './version.ts';

/** Runs what the arguments ask for. False: they are not a command line of gpuctl, and that has been said. */
export async function parseCommandLine(argv: readonly string[]): Promise<boolean> {
  try {
    await createProgram().parseAsync(argv, { from: 'user' });
    return true;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0;
    throw error;
  }
}

/** The whole command line. What a command needs is loaded when it runs. */
export function createProgram(): Command {
  const program = new Command('gpuctl');
  program
    .description('Keeps a shared GPU host clean: releases stale allocations, ends orphaned compute processes, resets a GPU only when nothing refers to it')
    .version(version, '-V, --version')
    .option('--config <file>', 'read this file alone, instead of /etc/gpuctl')
    .option('--json', 'print one JSON document instead of a table')
    .option('--events', 'print the events as they happen, a line each')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-v, --verbose', 'show the stack of an error')
    .option('--no-color', 'no colours (also: NO_COLOR)')
    .showHelpAfterError('(see gpuctl --help)')
    .configureOutput({ outputError: (text, write) => { write(text.replace(/^error: /, 'gpuctl: ')); } })
    .exitOverride();
  addPasses(program);
  addViews(program);
  addConfig(program);
  return program;
}

function acting(command: Command): Command {
  return command
    .option('--dry-run', 'show the plan; do nothing')
    .option('--yes', 'on a terminal: do not ask')
    .addOption(new Option('--over-budget', 'on a terminal: lift the breaker for the plan that is shown'));
}

/** Loaded here, with the configuration and all it needs, since `--version` and `--help` need none of it. */
async function run(action: Runnable, command: Command): Promise<void> {
  const runner = await import('./run.ts');
  await runner.run(action, globalsOf(command));
}

function globalsOf(command: Command): Globals {
  return command.optsWithGlobals();
}

function addPasses(program: Command): void {
  acting(program.command('health-check'))
    .description('every device: findings, orphans, dirt, who holds it')
    .option('--device <id...>', 'only these devices: index, UUID or bus id')
    .option('--repair', 'end orphans and reset devices where allowed')
    .action(async (options: { device?: string[]; repair?: boolean }, command: Command) => {
      const { healthCheckCommand } = await import('./commands/health-check.ts');
      await run(healthCheckCommand(options), command);
    });
  acting(program.command('release-stale'))
    .description('release stale allocations, end orphans, verify and repair the devices that nobody claims')
    .action(async (_: unknown, command: Command) => {
      const { releaseStaleCommand } = await import('./commands/release-stale.ts');
      await run(releaseStaleCommand, command);
    });
  program.command('sample')
    .description('record what every device does; changes the ledger only')
    .action(async (_: unknown, command: Command) => {
      const { sampleCommand } = await import('./commands/sample.ts');
      await run(sampleCommand, command);
    });
  acting(program.command('run-all'))
    .description('all passes in their order, once')
    .action(async (_: unknown, command: Command) => {
      const { runAllCommand } = await import('./commands/run-all.ts');
      await run(runAllCommand, command);
    });
}

function addViews(program: Command): void {
  program.command('status')
    .description('who holds which device, and what happens next')
    .action(async (_: unknown, command: Command) => {
      const { statusCommand } = await import('./commands/status.ts');
      await run(statusCommand, command);
    });
  program.command('free')
    .description('devices that nobody claims and that are healthy, one UUID a line')
    .option('--count <n>', 'exactly so many, or none and exit 1')
    .option('--mig <profile>', 'MIG devices of this profile, such as 1g.10gb')
    .action(async (options: { count?: string; mig?: string }, command: Command) => {
      const { freeCommand } = await import('./commands/free.ts');
      await run(freeCommand(options), command);
    });
  program.command('allocations')
    .description('who holds what, as the ledger knows it')
    .option('--all', 'released ones as well')
    .action(async (options: { all?: boolean }, command: Command) => {
      const { allocationsCommand } = await import('./commands/allocations.ts');
      await run(allocationsCommand(options), command);
    });
}

function addConfig(program: Command): void {
  const config = program.command('config').description('check, show or begin the configuration');
  config.command('check')
    .description('all mistakes, each with file, line and key')
    .action(async (_: unknown, command: Command) => {
      const { configCheckCommand } = await import('./commands/config.ts');
      await run(configCheckCommand, command);
    });
  config.command('show')
    .description('the effective configuration and where each value comes from')
    .option('--container <name>', 'the limits of this container')
    .option('--user <name>', 'the limits of this owner')
    .action(async (options: { container?: string; user?: string }, command: Command) => {
      const { configShowCommand } = await import('./commands/config.ts');
      await run(configShowCommand(options), command);
    });
  config.command('init')
    .description('print a commented file with every default')
    .action(async () => {
      const { printDefaultConfig } = await import('./commands/config.ts');
      printDefaultConfig();
    });
}
