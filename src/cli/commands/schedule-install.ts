import { applyFileChange } from '../../act/schedule/files.ts';
import { applySystemctl } from '../../act/schedule/systemctl.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { FileChange, InstalledSchedule } from '../../model/schedule.ts';
import { renderChange } from '../../schedule/diff.ts';
import { CRON_FILE, DAEMON_UNIT, TIMERS, UNIT_FOLDER } from '../../schedule/own-files.ts';
import { planInstall, planUninstall, type Starter } from '../../schedule/plan.ts';
import { existsSync } from 'node:fs';
import { ask } from '../ask.ts';
import { refuseCollisions } from '../collisions.ts';
import type { Globals } from '../globals.ts';
import { renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';
import { HOST_ROOT, lookAtHost } from './schedule.ts';

/** What is to be done, all of it decided. */
interface Plan {
  readonly changes: readonly FileChange[];
  /** Calls of systemctl before and after the files change. */
  readonly before: readonly (readonly string[])[];
  readonly after: readonly (readonly string[])[];
}

/** `gpuctl schedule install --cron|--systemd|--daemon`: shows what changes, asks on a terminal, writes it whole or not at all. */
export function scheduleInstallCommand(options: Readonly<Partial<Record<Starter, boolean>>>): Command {
  return async (loaded, globals) => {
    const [starter, ...others] = (['cron', 'systemd', 'daemon'] as const).filter((each) => options[each] === true);
    if (starter === undefined || others.length > 0) throw usage('one of --cron, --systemd and --daemon is needed', 'cron for a host with a cron daemon, systemd for timers, daemon for neither');
    refuseOtherConfig(globals);
    refuseCollisions(loaded, globals);
    if (starter !== 'cron' && globals.dryRun !== true) refuseWithoutSystemd();
    return carryOut(() => installation(lookAtHost(), loaded.config, starter), globals);
  };
}

function installation(installed: InstalledSchedule, config: Parameters<typeof planInstall>[1], starter: Starter): Plan {
  const changes = planInstall(installed, config, starter);
  if (starter === 'cron') return { changes, before: [], after: [] };
  const units = starter === 'daemon' ? [DAEMON_UNIT] : TIMERS;
  const missing = units.some((name) => !installed.enabled.has(name));
  const changed = changes.some(({ path }) => units.some((name) => path.endsWith(`/${name}`)));
  return {
    changes, before: [],
    after: [
      ...(changes.length > 0 ? [['daemon-reload']] : []),
      ...(missing ? [['enable', '--now', ...units]] : []),
      // A unit that runs keeps what it was started with.
      ...(changed && !missing ? [['restart', ...units]] : []),
    ],
  };
}

/** `gpuctl schedule uninstall`: removes every file that gpuctl wrote, and leaves what it did not. */
export const scheduleUninstallCommand: Command = (_, globals) => carryOut(() => removal(lookAtHost()), globals);

function removal(installed: InstalledSchedule): Plan {
  const { changes, left } = planUninstall(installed);
  for (const path of left) process.stderr.write(`gpuctl: warning: ${path} was not written by gpuctl; it is left alone\n`);
  const units = changes.some(({ path }) => path.startsWith(`${UNIT_FOLDER}/`));
  const active = [...TIMERS, DAEMON_UNIT].filter((name) => installed.enabled.has(name));
  return { changes, before: active.length > 0 ? [['disable', '--now', ...active]] : [], after: units ? [['daemon-reload']] : [] };
}

/** Decided anew after the question: what was shown may not be true any more. */
async function carryOut(decide: () => Plan, globals: Globals): Promise<ExitCode> {
  if (process.geteuid?.() !== 0 && globals.dryRun !== true) throw usage('only root may change what cron and systemd start', '--dry-run shows what would change');
  const plan = decide();
  show(plan, globals);
  if (isEmpty(plan) || globals.dryRun === true) return ExitCode.ok;
  const asks = process.stdin.isTTY === true && globals.yes !== true;
  if (asks && !(await ask('Carry this out?'))) {
    process.stderr.write('gpuctl: nothing was done\n');
    return ExitCode.ok;
  }
  await apply(asks ? decide() : plan);
  return ExitCode.ok;
}

async function apply({ changes, before, after }: Plan): Promise<void> {
  const systemd = hasSystemd();
  if (systemd) for (const args of before) await applySystemctl(args, 'no file was changed; systemctl status tells more');
  for (const change of changes) applyFileChange(change, HOST_ROOT);
  // Another run finds the files as they shall be, and does not know of these.
  if (systemd) for (const [at, args] of after.entries()) await applySystemctl(args, `the files are changed; left to do by hand: ${after.slice(at).map((each) => `systemctl ${each.join(' ')}`).join(' && ')}`);
}

function isEmpty({ changes, before, after }: Plan): boolean {
  return changes.length + before.length + after.length === 0;
}

function show(plan: Plan, globals: Globals): void {
  const { changes, before, after } = plan;
  if (globals.json === true) process.stdout.write(renderJson({ schema: 1, dry_run: globals.dryRun === true, changes: changes.map(({ path, before: place, text }) => ({ path, change: text === null ? 'remove' : place.state === 'absent' ? 'create' : 'replace' })), systemctl: [...before, ...after] }));
  else if (globals.quiet !== true) {
    const calls = [...before, ...after].map((args) => `systemctl ${args.join(' ')}\n`);
    process.stdout.write(isEmpty(plan) ? 'Nothing to do.\n' : [...changes.map(renderChange), ...calls].join(''));
  }
}

/** Only where systemd is the init that runs (sd_booted(3)). */
function hasSystemd(): boolean {
  return existsSync('/run/systemd/system');
}

function refuseWithoutSystemd(): void {
  if (!hasSystemd()) throw usage('systemd does not run on this host', `gpuctl schedule install --cron writes ${CRON_FILE}`);
}

/** The jobs read /etc/gpuctl: a schedule of another file would be started with the wrong configuration. */
function refuseOtherConfig({ config }: Globals): void {
  if (config !== undefined) throw usage('--config cannot be installed: the jobs read /etc/gpuctl', 'put the schedule into /etc/gpuctl/config.yaml');
}

function usage(message: string, hint: string): GpuctlError {
  return new GpuctlError(message, { code: 'usage', exitCode: ExitCode.usage, hint });
}
