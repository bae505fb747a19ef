import type { OwnPlace } from '../model/schedule.ts';
import { JOBS } from './jobs.ts';

/** The program that cron lines and units start. */
export const PROGRAM = '/usr/bin/gpuctl';
/** No dot in its name: cron passes over files with one. */
export const CRON_FILE = '/etc/cron.d/gpuctl';
export const UNIT_FOLDER = '/etc/systemd/system';
/** Where the package has its units, as the defaults ask for them; one in UNIT_FOLDER counts before it. */
export const PACKAGED_FOLDER = '/usr/lib/systemd/system';
export const SLICE = 'gpuctl.slice';
export const DAEMON_UNIT = 'gpuctl-daemon.service';

/** Names of the timers, in the order of the hour. */
export const TIMERS: readonly string[] = JOBS.map(({ name }) => `gpuctl-${name}.timer`);

/** Every path that gpuctl may write or remove. */
export const OWN_PATHS: readonly string[] = [
  CRON_FILE,
  ...[SLICE, DAEMON_UNIT, ...JOBS.map(({ name }) => `gpuctl-${name}.service`), ...TIMERS].map((name) => `${UNIT_FOLDER}/${name}`),
];

/** Where gpuctl looks and never writes: the package's units. */
export const PACKAGED_PATHS: readonly string[] = OWN_PATHS.filter((path) => path !== CRON_FILE).map(packagedPath);

/** Of a path in UNIT_FOLDER. */
export function packagedPath(path: string): string {
  return path.replace(UNIT_FOLDER, PACKAGED_FOLDER);
}

/** The first line of every file that gpuctl writes here; the number changes when the form of the files does. */
export const MARKER = '# Managed by gpuctl (format 1): "gpuctl schedule install" writes this file anew, "uninstall" removes it.';
/** Of this format or any other. */
const ANY_MARKER = /^# Managed by gpuctl \(format \d{1,4}\):/;

/** Is it a file that gpuctl wrote? Only such a file is ever replaced or removed. */
export function isOwn(place: OwnPlace | undefined): boolean {
  return place?.state === 'text' && ANY_MARKER.test(place.text);
}
