export type Level = 'debug' | 'info' | 'warn' | 'error';

interface EventKind {
  readonly level: Level;
  /** True: an admin should act. */
  readonly alert: boolean;
  readonly meaning: string;
}

/**
 * Every event that gpuctl writes: the source of the types, of the JSON Schema and of docs/events.md. `level` and `alert`
 * are what the event carries unless the one who emits it raises them.
 */
export const EVENTS = {
  'pass.started': { level: 'info', alert: false, meaning: 'A pass began; `gpuctl.job` says which.' },
  'pass.ended': { level: 'info', alert: false, meaning: 'A pass ended; `gpuctl.counts`, `gpuctl.duration_ms` and `gpuctl.exit` say how.' },
  'pass.refused': { level: 'warn', alert: false, meaning: 'A pass did not run, or was ended at its deadline; `event.reason` is locked (another one holds the lock), just-booted, still-busy, missed, not-started or overdue.' },
  'pass.recovered': { level: 'warn', alert: true, meaning: 'An earlier pass did not come to its end (`gpuctl.cut_off`), `gpuctl.acts` lists what was in flight; or what a reset of an earlier pass took was put back (`gpuctl.resets`).' },
  'observe.failed': { level: 'error', alert: true, meaning: 'A source could not be read at all; nothing was done that needs it. `event.reason` is not-installed, not-permitted, no-driver, version-mismatch, no-devices, device-fault, refused, timeout, hung, malformed, untrusted or error.' },
  'observe.partial': { level: 'warn', alert: true, meaning: 'A source told only part; `gpuctl.missing` lists what it lacks.' },
  'gpu.allocation.observed': { level: 'info', alert: false, meaning: 'A container was seen to hold a device for the first time.' },
  'gpu.allocation.released': { level: 'info', alert: false, meaning: 'An allocation was released; `event.reason` is gone, hold-expired or no-hold.' },
  'gpu.allocation.conflict': { level: 'warn', alert: false, meaning: 'A container was seen for the first time to hold a device that other live ones claim as well; `gpuctl.containers` lists all of them. While that lasts it is the condition of this name, which is the alert.' },
  'gpu.health_check': { level: 'info', alert: false, meaning: 'One a device, of each `health-check` and `release-stale`; `gpu.verdict` is clean, orphans, dirty, faulty (an alert) or unknown.' },
  'gpu.condition.raised': { level: 'warn', alert: true, meaning: 'A lasting finding began; `event.reason` is its id, `gpuctl.change` the number of the change, once in each ledger.' },
  'gpu.condition.changed': { level: 'warn', alert: false, meaning: 'A lasting finding became worse (an alert) or less bad; `gpuctl.before` and `gpuctl.severity` say how bad.' },
  'gpu.condition.cleared': { level: 'info', alert: false, meaning: 'A lasting finding ended: a pass that would have seen it did not; `gpuctl.first_seen_at` says how long it lasted.' },
  'gpu.baseline.accepted': { level: 'warn', alert: false, meaning: 'An admin took the readings of a device as they are, after a change of hardware; with `gpuctl.forgotten` true: a missing GPU is no longer missed.' },
  'gpu.orphan.found': { level: 'warn', alert: false, meaning: 'A compute process has outlived its container.' },
  'gpu.orphan.ended': { level: 'info', alert: false, meaning: 'An orphan was ended, or had ended by itself.' },
  'gpu.orphan.survived': { level: 'error', alert: true, meaning: 'An orphan is still there after SIGKILL, or the last check refused to end it.' },
  'gpu.stray.reported': { level: 'warn', alert: false, meaning: 'A compute process belongs to no container of this engine, or to nobody permitted; it was left alone.' },
  'gpu.reset.wanted': { level: 'info', alert: false, meaning: 'A device should be reset; `event.reason` says why.' },
  'gpu.reset.withheld': { level: 'warn', alert: true, meaning: 'A wanted reset did not happen; `gpuctl.blockers` lists every reason with its way out, `event.reason` is mig or shared where one of these is among them.' },
  'gpu.reset.done': { level: 'info', alert: false, meaning: 'A device was reset and came back as it was.' },
  'gpu.reset.failed': { level: 'error', alert: true, meaning: 'A reset was tried and failed, or the device did not come back as it was.' },
  'gpu.quarantined': { level: 'error', alert: true, meaning: 'A device was reset too often; it is not reset again until an admin clears it.' },
  'gpu.quarantine.cleared': { level: 'warn', alert: false, meaning: 'An admin took a device out of quarantine; `gpuctl.given_up` lists what was not put back after its reset and is given up.' },
  'container.idle.warned': { level: 'info', alert: false, meaning: 'First warning: the container has been idle for most of its limit.' },
  'container.idle.final': { level: 'warn', alert: false, meaning: 'Final warning before the idle stop.' },
  'container.idle.stopped': { level: 'warn', alert: false, meaning: 'The container was stopped for idleness.' },
  'container.runtime.warned': { level: 'info', alert: false, meaning: 'First warning: most of the runtime limit has passed.' },
  'container.runtime.final': { level: 'warn', alert: false, meaning: 'Final warning before the runtime stop.' },
  'container.runtime.stopped': { level: 'warn', alert: false, meaning: 'The container was stopped at its runtime limit.' },
  'container.removed': { level: 'info', alert: false, meaning: 'A leftover container was removed.' },
  'container.kept': { level: 'info', alert: false, meaning: 'A container past a limit was kept; `event.reason` says why.' },
  'keep.granted': { level: 'info', alert: false, meaning: 'An owner, or root, keeps a container from the idle stop; `gpuctl.until` says for how long.' },
  'keep.refused': { level: 'warn', alert: false, meaning: 'A request to keep a container was not granted; `gpuctl.uid` says whose it was.' },
  'breaker.tripped': { level: 'error', alert: true, meaning: 'A pass wanted more acts of one kind than its budget; it did none of that kind.' },
  'notify.failed': { level: 'warn', alert: false, meaning: 'A notice, the metrics or what users read could not be delivered; `event.reason` is tty, container-file, webhook, mail, exec, metrics or export.' },
  'ledger.rebuilt': { level: 'error', alert: true, meaning: 'The ledger was corrupt; it was set aside and begun anew.' },
  'engine.accepted': { level: 'warn', alert: false, meaning: 'An admin said that the host has another engine from now on, or that containers which the engine has forgotten are to be left alone; `gpuctl.engine`, `gpuctl.was` and `gpuctl.containers` tell which.' },
  'config.rejected': { level: 'error', alert: true, meaning: 'The configuration is not valid; nothing was done.' },
  'schedule.collision': { level: 'error', alert: true, meaning: 'Two jobs of the schedule collide.' },
} as const satisfies Record<string, EventKind>;

export type EventAction = keyof typeof EVENTS;

/** One event before it becomes a line. Everything that is null or missing is left out of the line. */
export interface GpuctlEvent {
  readonly action: EventAction;
  readonly message: string;
  readonly level?: Level;
  readonly alert?: boolean;
  readonly outcome?: 'success' | 'failure' | 'unknown';
  readonly reason?: string;
  readonly container?: { readonly id: string; readonly name: string | null };
  readonly process?: { readonly pid: number; readonly name?: string };
  readonly user?: string;
  readonly gpu?: { readonly uuid: string; readonly index?: number | null; readonly busId?: string; readonly mig?: string | null; readonly verdict?: DeviceVerdict };
  /** Goes under `gpuctl.` by key, in snake_case. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export type DeviceVerdict = 'clean' | 'orphans' | 'dirty' | 'faulty' | 'unknown';
