/** Names of the jobs that a schedule starts, in the order that they must keep within an hour; `sample` has no place in it. */
export type JobName = 'release-stale' | 'check-idle' | 'enforce-runtime' | 'cleanup-containers' | 'sample';

/** One line of a crontab, or one enabled timer and what it starts. Texts are the host's: data. */
export interface ScheduledCommand {
  readonly via: 'cron' | 'timer';
  readonly file: string;
  /** Counted from 1; null: the whole file is meant. */
  readonly line: number | null;
  /** As written: five fields, an @name, or the OnCalendar lines. */
  readonly when: string;
  readonly command: string;
}

/** What lies at a path that is gpuctl's by name. *Other* is there, but is no plain file, or could not be read. */
export type OwnPlace =
  | { readonly state: 'absent' }
  | { readonly state: 'text'; readonly text: string }
  | { readonly state: 'other'; readonly why: string };

/** What cron and systemd would start on this host. */
export interface InstalledSchedule {
  readonly commands: readonly ScheduledCommand[];
  /** By absolute path: every place that was asked about. */
  readonly places: ReadonlyMap<string, OwnPlace>;
  /** Names of units that something wants: `gpuctl-sample.timer`. */
  readonly enabled: ReadonlySet<string>;
  /** Paths that exist and could not be read: what they start is not known. */
  readonly unread: readonly { readonly path: string; readonly why: string }[];
}

/** One file to be written, or with `text` null removed. `before`: what was seen there when it was decided. */
export interface FileChange {
  readonly path: string;
  readonly before: OwnPlace;
  readonly text: string | null;
}
