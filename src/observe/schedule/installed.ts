import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { InstalledSchedule, OwnPlace, ScheduledCommand } from '../../model/schedule.ts';
import { type CrontabKind, parseCrontab } from './crontab.ts';
import { readPlace } from './place.ts';
import { parseTimer } from './timers.ts';

/** Names that Debian's cron reads; any other, such as one with a dot, it passes over. */
const CRON_NAME = /^[A-Za-z0-9_-]+$/;
/** Debian's and Red Hat's. */
const SPOOLS = ['/var/spool/cron/crontabs', '/var/spool/cron'];
/** Where systemd looks for units, the first that has one counts. */
const UNIT_FOLDERS = ['/etc/systemd/system', '/run/systemd/system', '/usr/local/lib/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'];

export interface InstalledQuestion {
  /** The root of the host's files; `/` but in a test. */
  readonly root: string;
  /** Absolute paths that are gpuctl's by name. */
  readonly ownPaths: readonly string[];
}

/** Reads what cron and systemd would start on the host. Never throws for what a host can do: what cannot be read is named. */
export function observeInstalled({ root, ownPaths }: InstalledQuestion): InstalledSchedule {
  const unread: { path: string; why: string }[] = [];
  const text = (path: string): string | null => {
    const place = readPlace(join(root, path), { follow: true });
    if (place.state === 'other') unread.push({ path, why: place.why });
    return place.state === 'text' ? place.text : null;
  };
  const names = (path: string): readonly string[] => {
    const listed = listFolder(join(root, path));
    if (typeof listed === 'string') unread.push({ path, why: listed });
    return typeof listed === 'string' ? [] : listed;
  };
  const enabled = enabledUnits(names);
  return {
    commands: [...crontabs(names, text), ...timers(enabled, text)],
    places: new Map(ownPaths.map((path): [string, OwnPlace] => [path, readPlace(join(root, path))])),
    enabled: new Set(enabled),
    unread,
  };
}

type Names = (folder: string) => readonly string[];
type Text = (path: string) => string | null;

/** Names in a folder; no folder is no names. A text: why they are not known. */
function listFolder(path: string): readonly string[] | string {
  try {
    return readdirSync(path).toSorted();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : null;
    if (code === null) throw error;
    return code === 'ENOENT' || code === 'ENOTDIR' ? [] : `cannot be read (${code})`;
  }
}

function crontabs(names: Names, text: Text): readonly ScheduledCommand[] {
  const system = ['/etc/crontab', ...names('/etc/cron.d').filter((name) => CRON_NAME.test(name)).map((name) => `/etc/cron.d/${name}`)];
  const users = SPOOLS.flatMap((spool) => names(spool).filter((name) => name !== 'crontabs' && !name.startsWith('.') && !name.startsWith('tmp.')).map((name) => `${spool}/${name}`));
  const jobs = (path: string, kind: CrontabKind): readonly ScheduledCommand[] => parseCrontab(text(path) ?? '', path, kind);
  return [...system.flatMap((path) => jobs(path, 'system')), ...users.flatMap((path) => jobs(path, 'user'))];
}

/** Timers and services that some unit wants. */
function enabledUnits(names: Names): readonly string[] {
  const wants = UNIT_FOLDERS.flatMap((folder) => names(folder).filter((name) => /\.(?:wants|requires)$/.test(name)).map((name) => `${folder}/${name}`));
  return [...new Set(wants.flatMap(names))].filter((name) => /\.(?:timer|service)$/.test(name));
}

function timers(enabled: readonly string[], text: Text): readonly ScheduledCommand[] {
  const folderOf = (unit: string): string | undefined => UNIT_FOLDERS.find((folder) => text(`${folder}/${unit}`) !== null);
  const read = (unit: string): string | null => {
    const folder = folderOf(unit);
    return folder === undefined ? null : text(`${folder}/${unit}`);
  };
  return enabled.filter((name) => name.endsWith('.timer')).flatMap((name) => parseTimer(name, folderOf(name) ?? '/', read));
}
