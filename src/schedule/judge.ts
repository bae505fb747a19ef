import type { Finding } from '../model/finding.ts';
import type { InstalledSchedule, ScheduledCommand } from '../model/schedule.ts';
import { printable } from '../model/text.ts';
import { JOBS } from './jobs.ts';
import { CRON_FILE, DAEMON_UNIT, isOwn, SLICE, TIMERS, UNIT_FOLDER } from './own-files.ts';

/** What starts the jobs of this host. More than one of them: they get in each other's way. */
export interface Active {
  readonly cron: boolean;
  readonly timers: boolean;
  readonly daemon: boolean;
}

/** What is installed, by what was found; a place that could not be read counts as not active, and is told as unread. */
export function activeOf({ places, enabled }: InstalledSchedule): Active {
  return {
    cron: places.get(CRON_FILE)?.state === 'text',
    timers: TIMERS.some((name) => enabled.has(name)),
    daemon: enabled.has(DAEMON_UNIT),
  };
}

/** Jobs that lines and timers start which gpuctl did not install. */
export function startedByHand({ commands, places }: InstalledSchedule): ReadonlySet<string> {
  return new Set(commands.filter((command) => !isFromOwnFile(command, places)).flatMap(({ command }) => jobsOf(jobIn(command))));
}

function jobsOf(job: string | null): readonly string[] {
  if (job === 'daemon') return JOBS.map(({ name }) => name);
  return job === 'run-all' ? JOBS.filter(({ mutates }) => mutates).map(({ name }) => name) : job === null ? [] : [job];
}

/** Texts that the configuration asks for, by path. */
export type Wanted = ReadonlyMap<string, string>;

/** Everything about the installed schedule that an admin should know. Empty: what is wanted is installed, once, and nothing else is. */
export function judgeInstalled(installed: InstalledSchedule, wanted: Wanted): readonly Finding[] {
  return [
    ...judgeActive(activeOf(installed), startedByHand(installed)),
    ...staleFiles(installed, wanted),
    ...incompleteTimers(installed),
    ...installed.commands.flatMap((command) => judgeCommand(command, installed)),
    ...installed.unread.map(({ path, why }) => finding('schedule.unread', `${printable(path)} could not be read (${printable(why)}): what it starts is not known`, 'run it as root')),
  ];
}

function judgeActive({ cron, timers, daemon }: Active, byHand: ReadonlySet<string>): readonly Finding[] {
  const names = [...(cron ? ['cron'] : []), ...(timers ? ['systemd timers'] : []), ...(daemon ? ['the daemon'] : [])];
  if (names.length === 0) {
    const unstarted = JOBS.map(({ name }) => name).filter((name) => !byHand.has(name));
    const message = unstarted.length === JOBS.length ? 'nothing starts the jobs of this host' : `nothing on this host starts ${unstarted.join(', ')}`;
    return unstarted.length === 0 ? [] : [finding('schedule.not-installed', message, 'gpuctl schedule install --cron, or --systemd')];
  }
  return names.length === 1 ? [] : [finding('schedule.twice', `${names.join(' and ')} are active at once: every job starts more than once`, 'gpuctl schedule uninstall, then install the one that is wanted')];
}

function staleFiles({ places, enabled }: InstalledSchedule, wanted: Wanted): readonly Finding[] {
  return [...wanted].flatMap(([path, text]) => {
    const place = places.get(path);
    if (place === undefined || place.state === 'absent') return [];
    if (place.state === 'other') return [finding('schedule.foreign', `${path} ${printable(place.why)}`, 'look at it; gpuctl does not touch it')];
    if (!isOwn(place)) return [finding('schedule.foreign', `${path} was not written by gpuctl`, 'look at it; gpuctl does not touch it')];
    if (place.text === text) return [];
    return [finding('schedule.stale', `${path} is not what the configuration asks for`, `gpuctl schedule install --${starterOf(path, enabled)}`, path === CRON_FILE || enabled.size > 0 ? 'warning' : 'info')];
  });
}

/** Who is to write it anew. */
function starterOf(path: string, enabled: InstalledSchedule['enabled']): 'cron' | 'systemd' | 'daemon' {
  if (path === CRON_FILE) return 'cron';
  return enabled.has(DAEMON_UNIT) && (path.endsWith(`/${DAEMON_UNIT}`) || path.endsWith(`/${SLICE}`)) ? 'daemon' : 'systemd';
}

function incompleteTimers({ enabled }: InstalledSchedule): readonly Finding[] {
  const missing = TIMERS.filter((name) => !enabled.has(name));
  if (missing.length === 0 || missing.length === TIMERS.length) return [];
  return [finding('schedule.incomplete', `some timers are not enabled: ${missing.join(', ')}`, 'gpuctl schedule install --systemd')];
}

function judgeCommand(command: ScheduledCommand, installed: InstalledSchedule): readonly Finding[] {
  const { places } = installed;
  const { file, line, when, command: text } = command;
  const place = `${printable(file)}${line === null ? '' : `:${line}`}`;
  const shown = `${printable(when, 60)} ${printable(text, 120)}`;
  if (isPredecessor(text)) return [finding('schedule.predecessor', `${place} starts a script that gpuctl replaces: ${shown}`, 'remove it: the two would act on the same containers and devices')];
  const job = jobIn(text);
  if (job === null || isFromOwnFile(command, places)) return [];
  if (Object.values(activeOf(installed)).includes(true)) return [finding('schedule.foreign', `${place} starts gpuctl ${job} besides the schedule: ${shown}`, 'remove it, or uninstall gpuctl\'s own schedule')];
  return [finding('schedule.foreign', `${place} starts gpuctl ${job}, which gpuctl did not install: ${shown}`, 'gpuctl schedule install writes a schedule whose jobs never collide; remove this line then')];
}

function isFromOwnFile({ via, file }: ScheduledCommand, places: InstalledSchedule['places']): boolean {
  return via === 'cron' ? isOwn(places.get(file)) : TIMERS.some((name) => file.endsWith(`/${name}`)) && (isOwn(places.get(file)) || !file.startsWith(`${UNIT_FOLDER}/`));
}

/** Words of the predecessor's programs: what they look after, and what they do with it. */
const SUBJECT = /container|alloc|gpu/i;
const ASPECT = /idle|runtime|stale|lifecycle|leftover|orphan/i;

/** Does a command start a script of the kind that gpuctl replaces? Judged by the names of programs, which are all that is known of them. */
export function isPredecessor(command: string): boolean {
  return wordsOf(command).some((word) => {
    const name = word.slice(word.lastIndexOf('/') + 1);
    return !name.startsWith('gpuctl') && /[-_.]/.test(name) && SUBJECT.test(name) && ASPECT.test(name);
  });
}

/** The job of gpuctl that a command starts; null: none. */
function jobIn(command: string): string | null {
  const words = wordsOf(command);
  const at = words.findIndex((word) => /(?:^|\/)gpuctl$/.test(word));
  if (at === -1) return null;
  const names = [...JOBS.map(({ name }) => name), 'run-all', 'daemon'] as readonly string[];
  const rest = words.slice(at + 1);
  if (rest.includes('health-check') && rest.includes('--repair')) return 'health-check';
  return rest.find((word) => names.includes(word)) ?? null;
}

function wordsOf(command: string): readonly string[] {
  return command.slice(0, 4096).split(/[\s;|&()'"`=<>]+/).filter((word) => word !== '' && !word.startsWith('-') || word === '--repair');
}

function finding(id: string, message: string, remedy: string, severity: Finding['severity'] = 'warning'): Finding {
  return { id, severity, subject: {}, message, remedy };
}
