import { Argument, Command, CommanderError, Option } from 'commander';
import type { Globals } from './globals.ts';
import type { Command as Runnable } from './run.ts';
import type { Shell } from './render/completion.ts';
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
    .addOption(new Option('--json', 'print one JSON document instead of a table').conflicts('events'))
    .option('--events', 'print the events as they happen, a line each')
    .option('-q, --quiet', 'print errors alone; what only answers (status, free, explain) does so all the same')
    .option('-v, --verbose', 'show the stack of an error, and in a health check what could not be judged')
    .addOption(new Option('--scheduled', 'started by the schedule: do not act in the first five minutes after boot').hideHelp())
    .option('--no-color', 'no colours (also: NO_COLOR)')
    // Before the command as well; those that take them show them in their own help.
    .addOption(new Option('--dry-run').hideHelp())
    .addOption(new Option('--over-budget').hideHelp())
    .hook('preAction', (_, command) => { refuseUntaken(command); })
    .showHelpAfterError('(see gpuctl --help)')
    .configureOutput({ outputError: (text, write) => { write(text.replace(/^error: /, 'gpuctl: ')); } })
    .exitOverride();
  addPasses(program);
  addViews(program);
  addAnswers(program);
  addQuarantine(program);
  addConfig(program);
  addSchedule(program);
  addDoctor(program);
  addCompletion(program);
  return program;
}

/** A command that knows of no plan must not be run in the belief that it only shows one. */
function refuseUntaken(command: Command): void {
  const untaken = ['--dry-run', '--over-budget'].filter((flag) => !command.options.some(({ long }) => long === flag));
  const given = untaken.find((flag) => command.optsWithGlobals()[flag === '--dry-run' ? 'dryRun' : 'overBudget'] === true);
  if (given !== undefined) command.error(`error: unknown option '${given}' for ${command.name()}`);
}

function acting(command: Command): Command {
  return command
    .option('--dry-run', 'show the plan; do nothing')
    .option('--yes', 'do not ask on a terminal; reset and --baseline accept need it where there is none')
    .addOption(new Option('--over-budget', 'on a terminal: lift the breaker for the plan that is shown'))
    .addOption(replaying());
}

function replaying(): Option {
  return new Option('--replay <file>', 'decide on what gpuctl capture recorded, instead of this host; do nothing');
}

/** Loaded here, with the configuration and all it needs, since `--version` and `--help` need none of it. */
async function run(action: Runnable, command: Command): Promise<void> {
  const runner = await import('./run.ts');
  await runner.run(action, globalsOf(command));
}

/** For a command that any user of the host may run. */
async function runForUser(action: Runnable, command: Command): Promise<void> {
  const runner = await import('./user-run.ts');
  await runner.runForUser(action, globalsOf(command));
}

function globalsOf(command: Command): Globals {
  return command.optsWithGlobals();
}

function addPasses(program: Command): void {
  acting(program.command('health-check'))
    .description('every device: findings, orphans, dirt, who holds it')
    .option('--device <id...>', 'only these devices: index, UUID or bus id')
    .option('--repair', 'end orphans and reset devices where allowed')
    .option('--nagios', 'print one plugin line with performance data; exit 0, 1, 2 or 3')
    .addOption(new Option('--baseline [action]', 'show what readings are compared with; accept: from now on, with what they are now').choices(['show', 'accept']).conflicts(['repair', 'nagios', 'replay']))
    .action(async (options: { device?: string[]; repair?: boolean; nagios?: boolean; baseline?: true | 'show' | 'accept' }, command: Command) => {
      if (options.baseline !== undefined) {
        const { acceptBaselineCommand, showBaselineCommand } = await import('./commands/health-baseline.ts');
        return run((options.baseline === 'accept' ? acceptBaselineCommand : showBaselineCommand)(options.device ?? []), command);
      }
      if (options.nagios === true) {
        const { nagiosCheck } = await import('./commands/health-check-nagios.ts');
        return nagiosCheck(options.device ?? [], globalsOf(command));
      }
      const { healthCheckCommand } = await import('./commands/health-check.ts');
      return run(healthCheckCommand(options), command);
    });
  acting(program.command('release-stale'))
    .description('release stale allocations, end orphans, verify and repair the devices that nobody claims')
    .action(async (_: unknown, command: Command) => {
      const { releaseStaleCommand } = await import('./commands/release-stale.ts');
      await run(releaseStaleCommand, command);
    });
  acting(program.command('check-idle'))
    .description('idle limit: warn, warn for the last time, stop')
    .action(async (_: unknown, command: Command) => {
      const { checkIdleCommand } = await import('./commands/check-idle.ts');
      await run(checkIdleCommand, command);
    });
  acting(program.command('enforce-runtime'))
    .description('runtime limit: warn, warn for the last time, stop')
    .action(async (_: unknown, command: Command) => {
      const { enforceRuntimeCommand } = await import('./commands/enforce-runtime.ts');
      await run(enforceRuntimeCommand, command);
    });
  acting(program.command('cleanup-containers'))
    .description('remove containers that were never started or have been stopped for long')
    .action(async (_: unknown, command: Command) => {
      const { cleanupContainersCommand } = await import('./commands/cleanup-containers.ts');
      await run(cleanupContainersCommand, command);
    });
  program.command('sample')
    .description('record what devices and containers do, and warn owners of idle ones; stops nothing')
    .option('--dry-run', 'show the plan; do nothing')
    .addOption(replaying())
    .action(async (_: unknown, command: Command) => {
      const { sampleCommand } = await import('./commands/sample.ts');
      await run(sampleCommand, command);
    });
  acting(program.command('reset'))
    .description('one guarded reset of one GPU, after every check that a pass makes')
    .argument('<device>', 'index, UUID or bus id')
    .action(async (device: string, _: unknown, command: Command) => {
      const { resetCommand } = await import('./commands/reset.ts');
      await run(resetCommand(device), command);
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
      await runForUser(statusCommand, command);
    });
  program.command('free')
    .description('devices that nobody claims and that are healthy, one UUID a line')
    .option('--count <n>', 'exactly so many, or none and exit 1')
    .option('--mig <profile>', 'MIG devices of this profile, such as 1g.10gb')
    .action(async (options: { count?: string; mig?: string }, command: Command) => {
      const { freeCommand } = await import('./commands/free.ts');
      await runForUser(freeCommand(options), command);
    });
  program.command('allocations')
    .description('who holds what, as the ledger knows it')
    .option('--all', 'released ones as well')
    .action(async (options: { all?: boolean }, command: Command) => {
      const { allocationsCommand } = await import('./commands/allocations.ts');
      await run(allocationsCommand(options), command);
    });
}

function addAnswers(program: Command): void {
  program.command('why')
    .description('your own containers: what will happen, when, by which rule, and how to put it off; needs no right')
    .option('--user <name>', 'as root: the containers of this user')
    .action(async (options: { user?: string }, command: Command) => {
      const { whyCommand } = await import('./commands/why.ts');
      await runForUser(whyCommand(options), command);
    });
  program.command('keep')
    .description('put off the idle stop of your container, by keep_alive_max at the most; needs no right')
    .argument('<container>', 'its name, or the start of its id')
    .option('--for <time>', 'how long, such as 4h', '24h')
    .action(async (container: string, options: { for?: string }, command: Command) => {
      const { keepCommand } = await import('./commands/keep.ts');
      await runForUser(keepCommand(container, options), command);
    });
  program.command('explain')
    .description('every decision about one device, container or process, step by step; nothing is done')
    .argument('<what>', 'a GPU (index, UUID, bus id), a container (name, id) or a pid')
    .action(async (what: string, _: unknown, command: Command) => {
      const { explainCommand } = await import('./commands/explain.ts');
      await run(explainCommand(what), command);
    });
  program.command('capture')
    .description('record all that one look at this host gives, as a bundle that any pass can be replayed on; nothing is done')
    .argument('<file>', 'a new file, such as gpu01.tar.gz')
    .option('--no-scrub', 'keep names of owners and containers, environments, command lines and label values')
    .action(async (file: string, options: { scrub?: boolean }, command: Command) => {
      const { captureCommand } = await import('./commands/capture.ts');
      await run(captureCommand(file, options), command);
    });
  program.command('history')
    .description('what gpuctl did and why, newest last')
    .option('--since <time>', 'how far back, such as 24h', '7d')
    .option('--device <id>', 'only this device: UUID, or bus id of a reset one')
    .option('--container <name>', 'only this container: name, or start of its id')
    .option('--user <name>', 'only this owner')
    .action(async (options: { since?: string; device?: string; container?: string; user?: string }, command: Command) => {
      const { historyCommand } = await import('./commands/history.ts');
      await run(historyCommand(options), command);
    });
}

function addQuarantine(program: Command): void {
  const quarantine = program.command('quarantine').description('boards that were reset too often');
  quarantine.command('list')
    .description('each with its resets, and what was not put back after them')
    .action(async (_: unknown, command: Command) => {
      const { quarantineListCommand } = await import('./commands/quarantine.ts');
      await run(quarantineListCommand, command);
    });
  quarantine.command('clear')
    .description('as root: the board was checked and may be reset again')
    .argument('<device>', 'index, UUID or bus id')
    .action(async (device: string, _: unknown, command: Command) => {
      const { quarantineClearCommand } = await import('./commands/quarantine.ts');
      await run(quarantineClearCommand(device), command);
    });
}

function addConfig(program: Command): void {
  const config = program.command('config').description('check, show or begin the configuration');
  config.command('check')
    .description('all mistakes, each with file, line and key')
    .action(async (_: unknown, command: Command) => {
      const { configCheck } = await import('./commands/config.ts');
      await configCheck(globalsOf(command));
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

function addDoctor(program: Command): void {
  program.command('doctor')
    .description('can it work here: each check with its remedy; changes nothing')
    .option('--accept-engine', 'the ledger belongs to the engine that answers now, from now on')
    .option('--yes', 'with --accept-engine: do not ask')
    .action(async (options: { acceptEngine?: boolean }, command: Command) => {
      if (options.acceptEngine === true) {
        const { acceptEngineCommand } = await import('./commands/accept-engine.ts');
        return run(acceptEngineCommand, command);
      }
      const { doctorCommand } = await import('./commands/doctor.ts');
      return run(doctorCommand, command);
    });
}

function addCompletion(program: Command): void {
  program.command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>', 'whose script').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: Shell) => {
      const { printCompletion } = await import('./commands/completion.ts');
      printCompletion(shell, program);
    });
}

function addSchedule(program: Command): void {
  const schedule = program.command('schedule').description('when the jobs run, and what starts them');
  addScheduleViews(schedule);
  schedule.command('install')
    .description('write the schedule for cron, timers or the daemon, after showing what changes')
    .option('--cron', 'as /etc/cron.d/gpuctl')
    .option('--systemd', 'as units and timers in /etc/systemd/system')
    .option('--daemon', 'as one service in /etc/systemd/system, for a host whose cron and timers are not wanted')
    .option('--dry-run', 'show what would change; do nothing')
    .option('--yes', 'on a terminal: do not ask')
    .action(async (options: { cron?: boolean; systemd?: boolean; daemon?: boolean }, command: Command) => {
      const { scheduleInstallCommand } = await import('./commands/schedule-install.ts');
      await run(scheduleInstallCommand(options), command);
    });
  schedule.command('uninstall')
    .description('remove what install wrote, and nothing else')
    .option('--dry-run', 'show what would change; do nothing')
    .option('--yes', 'on a terminal: do not ask')
    .action(async (_: unknown, command: Command) => {
      const { scheduleUninstallCommand } = await import('./commands/schedule-install.ts');
      await run(scheduleUninstallCommand, command);
    });
  program.command('daemon')
    .description('the same schedule inside one process, for hosts without cron')
    .action(async (_: unknown, command: Command) => {
      const { daemonCommand } = await import('./commands/daemon.ts');
      await run(daemonCommand, command);
    });
}

function addScheduleViews(schedule: Command): void {
  schedule.command('show')
    .description('the jobs, when they run, and what starts them')
    .action(async (_: unknown, command: Command) => {
      const { scheduleShowCommand } = await import('./commands/schedule.ts');
      await run(scheduleShowCommand, command);
    });
  schedule.command('check')
    .description('prove that no two passes collide, and look at what is really installed')
    .action(async (_: unknown, command: Command) => {
      const { scheduleCheckCommand } = await import('./commands/schedule.ts');
      await run(scheduleCheckCommand, command);
    });
  schedule.command('next')
    .description('the next runs, soonest first')
    .option('--count <n>', 'how many; 10 where it is not given')
    .action(async (options: { count?: string }, command: Command) => {
      const { scheduleNextCommand } = await import('./commands/schedule.ts');
      await run(scheduleNextCommand(options), command);
    });
}
