import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { createActor } from '../act/actor.ts';
import { runChild } from '../callout/child.ts';
import { openEngine } from '../callout/engine.ts';
import { isInfrastructure, isProtected, labelsRead, ownerOf } from '../config/owner.ts';
import type { Config, LoadedConfig } from '../config/types.ts';
import type { Policy } from '../decide/assess.ts';
import { SLOT_LABEL } from '../decide/references.ts';
import { createObserver, type ObserverParts, realProc } from '../observe/host.ts';
import { observeKernelLog } from '../observe/kernel-log/index.ts';
import { observeKernel } from '../observe/kernel/index.ts';
import { readBootId } from '../observe/proc/self.ts';
import { readState } from '../observe/proc/state.ts';
import { readUptimeMs } from '../observe/proc/uptime.ts';
import { readUsers, type Users } from '../observe/users.ts';
import { GpuctlError } from '../model/errors.ts';
import type { Container } from '../model/container.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { HungSmi, InventoryEntry } from '../model/lost.ts';
import type { Verb } from '../model/decision.ts';
import type { Budget } from '../decide/breaker.ts';
import type { PassOptions, PassParts } from '../passes/pass.ts';
import type { Clock, Notifier, Observer } from '../passes/ports.ts';
import { createEventSink, type OpenEventSink } from '../record/event-sink.ts';
import { openLedger, type OpenLedger } from '../record/ledger/open.ts';
import { type Driver, driverOf, gateOf, type GateSetting } from './driver.ts';
import type { Globals } from './globals.ts';
import { ledgerFile } from './ledger-file.ts';
import { lastingParts } from './lasting.ts';
import { limitPolicyOf, limitsByContainer, limitsPartsOf } from './limits.ts';
import { permittedUids } from './permitted-users.ts';
import { resetPartsOf } from './resets.ts';
import { asIs, type Seam } from './replay/tape.ts';
import { notifierOf, userSideOf } from './user-side.ts';
import { version } from './version.ts';

const DEFAULT_ENGINE = 'unix:///var/run/docker.sock';

export const systemClock: Clock = {
  now: () => Date.now(),
  // As performance.now() does, for which Node first loads a module.
  monotonicMs: () => { const [seconds, nanoseconds] = process.hrtime(); return seconds * 1000 + nanoseconds / 1e6; },
  sleep: (ms) => new Promise((resolve) => { setTimeout(resolve, ms); }),
  boot: () => {
    const [bootId, uptimeMs] = [readBootId(), readUptimeMs()];
    return bootId === null || uptimeMs === null ? null : { bootId, uptimeMs };
  },
};

/** The parts of a pass, and what must be closed after it. */
export interface Composed {
  readonly parts: PassParts;
  readonly sink: OpenEventSink;
  /** Null: nobody is to be told of this pass. */
  readonly notifier: Notifier | null;
  /** Every event of the pass so far. */
  readonly emitted: readonly GpuctlEvent[];
  close(): void;
}

export interface Composition {
  readonly loaded: LoadedConfig;
  readonly globals: Globals;
  readonly options: PassOptions;
  readonly stopping: () => string | null;
  /** How the outside world comes in; as it is where it is not given. */
  readonly seam?: Seam;
  readonly clock?: Clock;
}

/** The only place where a pass gets the real host, ledger and event stream. The acting side is built only for a pass that acts. */
export function compose({ loaded, globals, options, stopping, seam = asIs, clock = systemClock }: Composition): Composed {
  const { config } = loaded;
  const users = readUsers();
  const { now } = clock;
  const nvidiaSmi = config.nvidiaSmi;
  const ledger = seam.part('ledger', () => openLedger({ file: ledgerFile(config), now, mode: options.records ? 'write' : 'read', keepSamplesMs: config.state.keepSamplesMs }));
  const host = seam.part('host', () => ({ name: hostname() })).name;
  const context = { host, version, now, pass: options.id, job: options.job, dryRun: options.dryRun };
  const sink = createEventSink({
    file: isTold(options) ? config.events.file : null, stderr: process.stderr,
    context,
    ...(globals.events === true && !isView(options) ? { stdout: process.stdout } : {}),
  });
  const gate = seam.part('gate', () => gateOf({ smi: nvidiaSmi, now, ...latchOf({ ledger, config, options }) }));
  const driver = driverOf({ smi: { ...nvidiaSmi, ...seam.part('nvidia-smi', () => ({ run: runChild })) }, gate, inventory: () => ledger.history().inventory ?? [] });
  const engine = seam.part('engine', () => openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs }));
  const proc = seam.part('proc', () => ({ ...realProc, observeKernel, now: systemClock.now }));
  const reading = kernelLogOf(options.job, ledger);
  // A tape has it whatever the job that it is replayed for.
  const kernelLog = reading.observeKernelLog === undefined ? {} : seam.part('kernel-log', () => reading);
  const observer = createObserver({ hostname: host, now: proc.now, ...driver, engine, proc, observeKernel: proc.observeKernel, holdersToo: !NEVER_RESET.has(options.job), readLabels: new Set([...labelsRead(config), SLOT_LABEL]), ...kernelLog });
  const acts = options.acts && !options.dryRun;
  const actor = acts ? createActor({ clock: systemClock, termGraceMs: config.orphans.termGraceMs, stateOf: readState, signal: (pid, signal) => { process.kill(pid, signal); }, stopping: () => stopping() !== null, nvidiaSmi, run: driver.call, observeDriver: driver.observeDriver }) : null;
  const notifier = notifierOf({ config, options, context, users, engineHost: engineHost(config), ledger: ledger.notices });
  const emitted: GpuctlEvent[] = [];
  const limits = limitsPartsOf({ config, ledger: ledger.limits, engine, job: options.job, acts, processUse: driver.observeProcessUse });
  return {
    notifier, emitted,
    parts: { ...(options.records ? { users: userSideOf(config, users), kernelLog: ledger.kernelLog } : {}), host, clock, observer, ledger, resets: resetPartsOf(config, ledger, acts ? driver.call : null), sink: { emit: (event) => { emitted.push(event); notifier?.rememberAlert(event); sink.emit(event); }, failed: sink.failed, holds: sink.holds }, ...lastingParts({ config, ledger, options, remind: (event) => { emitted.push(event); } }), actor, stopping, limits: { ...limits, ...seam.part('limits', () => ({ activity: limits.activity, nextRun: limits.nextRun })), notifier }, policy: seam.part('policy', () => ({ ...policyOf(loaded, users), limits: limitPolicyOf(loaded, users) })), ...seam.part('rules', () => ({ budgets: budgetsOf(config), ownerOf: ownerFor(config, users) })) },
    sink,
    close: () => { ledger.close(); sink.close(); },
  };
}

/** Passes without a decision on a reset; every other one asks who has a device node open. */
const NEVER_RESET: ReadonlySet<PassOptions['job']> = new Set(['sample', 'check-idle', 'enforce-runtime', 'cleanup-containers']);

/** The kernel's own log, and the journal's program where it may not be opened. Only these two judge every device's health. */
function kernelLogOf(job: PassOptions['job'], ledger: OpenLedger): Pick<ObserverParts, 'observeKernelLog'> {
  if (job !== 'health-check' && job !== 'release-stale') return {};
  return { observeKernelLog: () => observeKernelLog({ path: '/dev/kmsg', journalctl: 'journalctl', since: () => ledger.kernelLog.cursor(), now: systemClock.now }) };
}

/** It is no pass: nobody is told of it, not even with `--events`, whose lines would stand among its own. */
function isView({ job }: PassOptions): boolean {
  return job === 'status';
}

/** A report to somebody who may not write its events anyway does not tell the collector either. */
function isTold(options: PassOptions): boolean {
  return !isView(options) && (options.records || process.geteuid?.() === 0);
}

/** What reads the real host, for a command that is no pass. Throws GpuctlError where the engine's address is not a local socket. */
export function observerOf(config: Config): Observer {
  return createObserver({ hostname: hostname(), now: systemClock.now, ...driverOnly(config), observeKernel, engine: openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs }) });
}

/** A command that is no pass heeds the latch and never touches it; without a ledger that it can read there is none. */
function driverOnly(config: Config): Driver {
  const { hung, inventory } = remembered(config);
  return driverOf({ smi: config.nvidiaSmi, gate: gateOf({ smi: config.nvidiaSmi, now: systemClock.now, hung: () => hung, set: null, lift: null }), inventory: () => inventory });
}

function remembered(config: Config): { readonly hung: HungSmi | null; readonly inventory: readonly InventoryEntry[] } {
  try {
    const ledger = openLedger({ file: ledgerFile(config), now: systemClock.now, mode: 'read' });
    const { inventory = [] } = ledger.history();
    const hung = ledger.hungSmi();
    ledger.close();
    return { hung, inventory };
  } catch (error) {
    if (error instanceof GpuctlError) return { hung: null, inventory: [] };
    throw error;
  }
}

/** A pass that records holds the lock: it alone probes and lifts. A report of root's only sets, in a ledger that there is; a dry run and a user's report do neither. */
function latchOf({ ledger, config, options }: { readonly ledger: OpenLedger; readonly config: Config; readonly options: PassOptions }): Pick<GateSetting, 'hung' | 'set' | 'lift'> {
  const hung = (): HungSmi | null => ledger.hungSmi();
  if (options.records) return { hung, set: ledger.recordHung, lift: ledger.clearHung };
  const mayTell = !options.dryRun && process.geteuid?.() === 0 && ledger.unreadable === null && existsSync(ledgerFile(config));
  return { hung, set: mayTell ? (found) => { tellHung(config, found); } : null, lift: null };
}

function tellHung(config: Config, hung: HungSmi): void {
  const ledger = openLedger({ file: ledgerFile(config), now: systemClock.now, mode: 'write' });
  ledger.recordHung(hung);
  ledger.close();
}

/** `engine.host` in a file wins, then DOCKER_HOST, then the default. */
export function engineHost(config: Config): string {
  return config.engine.host ?? (process.env['DOCKER_HOST'] || DEFAULT_ENGINE);
}

function ownerFor(config: Config, users: Users): PassParts['ownerOf'] {
  return (container: Container) => (container.inspected ? ownerOf(container, config, users.nameOf).owner : null);
}

/** The configuration in the terms of the rules. */
function policyOf(loaded: LoadedConfig, users: Users): Policy {
  const { config } = loaded;
  const { orphans, reset, labels } = config;
  const limitsFor = limitsByContainer(config, users);
  return {
    permit: { uids: permittedUids(loaded, users), units: orphans.permit.units, names: orphans.permit.names },
    deviceLabels: labels.device,
    infrastructureLabels: labels.infrastructure,
    rulesOf: (container) => ({
      gpuHoldAfterStopMs: limitsFor(container).limits.gpuHoldAfterStopMs.value,
      createdTimeoutMs: config.leftovers.createdTimeoutMs,
      protected: isProtected(container, config),
      infrastructure: isInfrastructure(container, config),
    }),
    confirmAfterMs: orphans.confirmAfterMs,
    toleranceMiB: config.dirty.memoryMiB,
    health: { disabled: new Set(config.health.disable), thresholds: config.health.thresholds },
    reset: { policy: reset.policy, cooldownMs: reset.cooldownMs, maxPerDay: reset.maxPerDay, pauseServices: reset.pauseServices },
  };
}

function budgetsOf({ breaker }: Config): Readonly<Partial<Record<Verb, Budget>>> {
  return { kill: breaker.kills, stop: breaker.stops, remove: breaker.removals, release: breaker.releases, reset: breaker.resets };
}
