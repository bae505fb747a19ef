import type { Config } from '../config/types.ts';
import { type Job, JOBS } from './jobs.ts';
import { renderCalendar } from './calendar.ts';
import { DAEMON_UNIT, MARKER, PROGRAM, SLICE } from './own-files.ts';
import { type Reach, renderSandbox, type UnitKind } from './sandbox.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';

/** What of the configuration the units depend on. */
export type UnitFacts = Pick<Config, 'schedule' | 'notify' | 'events' | 'metrics' | 'state'>;

/** Every unit by its file name: a service and a timer for each job, their slice, and the daemon. Throws as `renderCalendar` does. */
export function renderUnits(facts: UnitFacts): Readonly<Record<string, string>> {
  const paths = renderPaths(facts);
  const reach = reachOf(facts);
  const jobs = JOBS.flatMap((job) => [
    [`gpuctl-${job.name}.service`, renderJob(job, paths, reach)],
    [`gpuctl-${job.name}.timer`, renderTimer(job, facts.schedule[job.name])],
  ]);
  return { ...Object.fromEntries(jobs), [SLICE]: renderSlice(), [DAEMON_UNIT]: renderDaemon(paths, reach) };
}

function reachOf({ notify }: UnitFacts): Reach {
  if (notify.admin.some(({ kind }) => kind !== 'webhook')) return 'programs';
  return notify.admin.length > 0 ? 'network' : 'none';
}

/** After, not Requires: an engine that is down is something that a pass finds and tells. */
const AFTER = 'After=docker.service podman.socket nvidia-persistenced.service';

/** Longer than a pass takes as a whole, so that it ends by itself. */
const PASS_TIMEOUT = `# A pass waits up to 90 s for a sample and ends by itself 10 minutes later; this is for one that hangs.
TimeoutStartSec=13min
# What is in flight is brought to its end and written down: a stop may have a grace of 5 minutes.
TimeoutStopSec=6min
KillMode=mixed`;

const SAMPLE_TIMEOUT = `# A sampler that hangs must be gone before the next pass needs the lock, three minutes after it began.
TimeoutStartSec=150s
TimeoutStopSec=20s`;

function renderJob({ name, mutates, summary }: Job, paths: string, reach: Reach): string {
  return `${MARKER}
[Unit]
Description=gpuctl ${name}: ${summary}
Documentation=man:gpuctl(8)
${AFTER}

[Service]
Type=oneshot
ExecStart=${PROGRAM} ${name} --scheduled --events
# 1: findings that need an admin, which the events tell. 75: another pass holds the lock.
SuccessExitStatus=1 75
Slice=${SLICE}
SyslogIdentifier=gpuctl
${mutates ? PASS_TIMEOUT : SAMPLE_TIMEOUT}

${paths}
${renderSandbox(kindOf(name, mutates), reach)}`;
}

/** Of the jobs, release-stale alone judges every device's health. */
function kindOf(name: Job['name'], mutates: boolean): UnitKind {
  if (name === 'release-stale') return 'judging';
  return mutates ? 'acting' : 'sampling';
}

function renderTimer({ name }: Job, pattern: string): string {
  const calendar = renderCalendar(pattern).map((each) => `OnCalendar=${each}`).join('\n');
  return `${MARKER}
[Unit]
Description=gpuctl ${name} by the schedule (${pattern})
Documentation=man:gpuctl(8)

[Timer]
${calendar}
# The minutes are the point: jobs keep their distance only if nothing moves them.
AccuracySec=1s
RandomizedDelaySec=0
# What was missed while the host was down is not caught up: all jobs would start at once at boot.
Persistent=false

[Install]
WantedBy=timers.target
`;
}

function renderSlice(): string {
  return `${MARKER}
[Unit]
Description=GPU maintenance of this host
Documentation=man:gpuctl(8)

[Slice]
# Maintenance yields to the work that the host is for.
CPUWeight=50
IOWeight=50
# A pass takes a fraction of it, whatever the host holds.
MemoryMax=1G
TasksMax=256
`;
}

function renderDaemon(paths: string, reach: Reach): string {
  return `${MARKER}
# The schedule in one process, for hosts without cron and timers. Enable either this or the timers, never both.
[Unit]
Description=gpuctl: the schedule in one process
Documentation=man:gpuctl(8)
${AFTER}

[Service]
# Ready when the configuration is read and the first run is known. systemd-notify sends the message, not the main process.
Type=notify
NotifyAccess=all
ExecStart=${PROGRAM} daemon --events
ExecReload=/bin/kill -HUP $MAINPID
# A configuration that is refused is not better a moment later.
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=30s
Slice=${SLICE}
SyslogIdentifier=gpuctl
# The daemon passes SIGTERM on and waits: what is in flight is brought to its end. A stop may have a grace of 5 minutes.
TimeoutStopSec=6min
KillMode=mixed

${paths}
${renderSandbox('judging', reach)}
[Install]
WantedBy=multi-user.target
`;
}

const OWN = { state: '/var/lib/gpuctl', logs: '/var/log/gpuctl' } as const;

/** Where a unit may write: the ledger, the events, the lock, the metrics; the rest of the file system is read-only. */
function renderPaths({ events, metrics, state }: UnitFacts): string {
  const others = [state.dir, folderOf(events.file)].filter((path) => path !== OWN.state && path !== OWN.logs);
  return [
    'StateDirectory=gpuctl',
    'LogsDirectory=gpuctl',
    'LogsDirectoryMode=0750',
    'RuntimeDirectory=gpuctl',
    '# The lock lies there: a lock file that is removed and made anew guards nothing.',
    'RuntimeDirectoryPreserve=yes',
    ...others.map((path) => `ReadWritePaths=${unitPath(path)}`),
    '# Only where there is such a folder.',
    `ReadWritePaths=-${unitPath(folderOf(metrics.textfile))}`,
    '',
  ].join('\n');
}

/** Of an absolute path. */
function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

/** systemd expands per cent signs and splits at blanks; such a path is not worth the quoting. */
function unitPath(path: string): string {
  if (/^[\w./@+:-]+$/.test(path)) return path;
  throw new GpuctlError(`${JSON.stringify(path)} cannot be written into a unit`, { code: 'schedule-unwritable', exitCode: ExitCode.usage, hint: 'use a path of letters, digits and . / @ + : _ -' });
}
