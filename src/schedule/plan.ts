import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { FileChange, InstalledSchedule } from '../model/schedule.ts';
import { renderCronFile } from './cron-file.ts';
import { activeOf } from './judge.ts';
import { CRON_FILE, DAEMON_UNIT, isOwn, OWN_PATHS, packagedPath, SLICE, UNIT_FOLDER } from './own-files.ts';
import { renderUnits, type UnitFacts } from './units.ts';

/** Who starts the jobs: cron, systemd's timers, or the daemon. */
export type Starter = 'cron' | 'systemd' | 'daemon';

/** The texts that the configuration asks for, by path. */
export function wantedFiles(facts: UnitFacts, starter: Starter): ReadonlyMap<string, string> {
  if (starter === 'cron') return new Map([[CRON_FILE, renderCronFile(facts.schedule)]]);
  const units = Object.entries(renderUnits(facts)).filter(([name]) => starter === 'systemd' || name === DAEMON_UNIT || name === SLICE);
  return new Map(units.map(([name, text]) => [`${UNIT_FOLDER}/${name}`, text]));
}

/** The texts that the configuration asks for where something is installed: a unit of the package counts where it is enabled and nothing lies before it. */
export function wantedOn(installed: InstalledSchedule, facts: UnitFacts): ReadonlyMap<string, string> {
  const all = [...wantedFiles(facts, 'cron'), ...wantedFiles(facts, 'systemd')];
  return new Map(all.flatMap(([path, text]): [string, string][] => {
    if (placeOf(installed, path).state !== 'absent') return [[path, text]];
    const packaged = packagedPath(path);
    return isEnabled(packaged, installed) && placeOf(installed, packaged).state === 'text' ? [[packaged, text]] : [];
  }));
}

/** A service is started by its timer. */
function isEnabled(path: string, { enabled }: InstalledSchedule): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return enabled.has(name) || enabled.has(name.replace(/\.service$/, '.timer'));
}

/** What an installation changes; empty: nothing. Throws GpuctlError (exit 2) where another starter is active, or a file is not gpuctl's. */
export function planInstall(installed: InstalledSchedule, facts: UnitFacts, starter: Starter): readonly FileChange[] {
  refuseSecond(installed, starter);
  return [...wantedFiles(facts, starter)].flatMap(([path, text]) => {
    const before = placeOf(installed, path);
    if (before.state === 'other') throw foreign(`${path} ${before.why}`);
    if (before.state === 'text' && !isOwn(before)) throw foreign(`${path} was not written by gpuctl`);
    return before.state === 'text' && before.text === text ? [] : [{ path, before, text }];
  });
}

/** Two starters would start every job twice. */
function refuseSecond(installed: InstalledSchedule, starter: Starter): void {
  const active = activeOf(installed);
  const others = [
    ...(active.cron && starter !== 'cron' ? [`cron (${CRON_FILE})`] : []),
    ...(active.timers && starter !== 'systemd' ? ['systemd timers'] : []),
    ...(active.daemon && starter !== 'daemon' ? ['the daemon'] : []),
  ];
  if (others.length === 0) return;
  throw new GpuctlError(`the jobs are started by ${others.join(' and ')} already`, { code: 'schedule-active', exitCode: ExitCode.usage, hint: 'gpuctl schedule uninstall first; two at once would start every job twice' });
}

function foreign(message: string): GpuctlError {
  return new GpuctlError(`${message}: it is left alone`, { code: 'not-ours', exitCode: ExitCode.usage, hint: 'look at it, and move it away if it is not needed' });
}

/** Every file that gpuctl wrote goes; what has its name and was not written by it stays. */
export function planUninstall(installed: InstalledSchedule): { readonly changes: readonly FileChange[]; readonly left: readonly string[] } {
  const there = OWN_PATHS.filter((path) => placeOf(installed, path).state !== 'absent');
  const own = there.filter((path) => isOwn(placeOf(installed, path)));
  return {
    changes: own.map((path) => ({ path, before: placeOf(installed, path), text: null })),
    left: there.filter((path) => !own.includes(path)),
  };
}

function placeOf({ places }: InstalledSchedule, path: string): FileChange['before'] {
  return places.get(path) ?? { state: 'other', why: 'was not looked at' };
}
