import { hostname } from 'node:os';
import { createActor } from '../act/actor.ts';
import { openEngine } from '../callout/engine.ts';
import { limitValuesOf } from '../config/limits.ts';
import { isInfrastructure, isProtected, ownerOf, typeOf } from '../config/owner.ts';
import type { Config, LoadedConfig } from '../config/types.ts';
import type { Policy } from '../decide/assess.ts';
import { createObserver, type ObserverParts } from '../observe/host.ts';
import { observeDriver, observeListed } from '../observe/nvidia-smi/index.ts';
import { readState } from '../observe/proc/state.ts';
import { readUsers, type Users } from '../observe/users.ts';
import { GpuctlError, ExitCode } from '../model/errors.ts';
import type { Container, InspectedContainer } from '../model/container.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { Observed } from '../model/observation.ts';
import type { Verb } from '../model/decision.ts';
import type { Budget } from '../decide/breaker.ts';
import type { PassOptions, PassParts } from '../passes/pass.ts';
import type { Clock, Notifier, Observer } from '../passes/ports.ts';
import { createEventSink, type OpenEventSink } from '../record/event-sink.ts';
import { openLedger } from '../record/ledger/open.ts';
import type { Globals } from './globals.ts';
import { ledgerFile } from './ledger-file.ts';
import { limitPolicyOf, limitsPartsOf } from './limits.ts';
import { notifierOf, userSideOf } from './user-side.ts';
import { version } from './version.ts';

const DEFAULT_ENGINE = 'unix:///var/run/docker.sock';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => { setTimeout(resolve, ms); }),
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
}

/** The only place where the real host, ledger and event stream are put together. The acting side is built only for a pass that acts. */
export function compose({ loaded, globals, options, stopping }: Composition): Composed {
  const { config } = loaded;
  const users = readUsers();
  const now = systemClock.now;
  const nvidiaSmi = config.nvidiaSmi;
  const ledger = openLedger({ file: ledgerFile(config), now, mode: options.records ? 'write' : 'read', keepSamplesMs: config.state.keepSamplesMs });
  const context = { host: hostname(), version, now, pass: options.id, job: options.job, dryRun: options.dryRun };
  const sink = createEventSink({
    file: isTold(options) ? config.events.file : null, stderr: process.stderr,
    context,
    ...(globals.events === true ? { stdout: process.stdout } : {}),
  });
  const driver = driverOf(nvidiaSmi);
  const engine = openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs });
  const observer = createObserver({ hostname: hostname(), now, ...driver, engine });
  const acts = options.acts && !options.dryRun;
  const actor = acts ? createActor({ clock: systemClock, termGraceMs: config.orphans.termGraceMs, stateOf: readState, signal: (pid, signal) => { process.kill(pid, signal); }, stopping: () => stopping() !== null, nvidiaSmi, observeDriver: driver.observeDriver }) : null;
  const notifier = notifierOf({ config, options, context, users, engineHost: engineHost(config), ledger: ledger.notices });
  const emitted: GpuctlEvent[] = [];
  return {
    notifier, emitted,
    parts: { ...(options.records ? { users: userSideOf(config, users) } : {}), host: hostname(), clock: systemClock, observer, ledger, sink: { emit: (event) => { emitted.push(event); sink.emit(event); } }, actor, stopping, limits: { ...limitsPartsOf({ config, ledger: ledger.limits, engine, job: options.job, acts }), notifier }, policy: { ...policyOf(config, users), limits: limitPolicyOf(loaded, users) }, budgets: budgetsOf(config), ownerOf: ownerFor(config, users) },
    sink,
    close: () => { ledger.close(); sink.close(); },
  };
}

/** A view is no pass: it tells the collector nothing. Neither does a report to somebody who may not write its events anyway. */
function isTold({ job, records }: PassOptions): boolean {
  return job !== 'status' && (records || process.geteuid?.() === 0);
}

/**
 * Once nvidia-smi did not answer in time, this run starts no other: it would wait as long, and one that cannot be ended
 * stays for good.
 */
function driverOf(smi: Config['nvidiaSmi']): Pick<ObserverParts, 'observeDriver' | 'observeListed'> {
  let late: Observed<never> | null = null;
  const unlessLate = async <T>(read: () => Promise<Observed<T>>): Promise<Observed<T>> => {
    const seen = late ?? (await read());
    if (seen.state === 'failed' && (seen.code === 'timeout' || seen.code === 'hung')) late = seen;
    return seen;
  };
  return { observeDriver: () => unlessLate(() => observeDriver(smi)), observeListed: () => unlessLate(() => observeListed(smi)) };
}

/** What reads the real host, for a command that is no pass. Throws GpuctlError where the engine's address is not a local socket. */
export function observerOf(config: Config): Observer {
  return createObserver({ hostname: hostname(), now: systemClock.now, ...driverOf(config.nvidiaSmi), engine: openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs }) });
}

export { ledgerFile };

/** `engine.host` in a file wins, then DOCKER_HOST, then the default. */
export function engineHost(config: Config): string {
  return config.engine.host ?? (process.env['DOCKER_HOST'] || DEFAULT_ENGINE);
}

function ownerFor(config: Config, users: Users): PassParts['ownerOf'] {
  return (container: Container) => (container.inspected ? ownerOf(container, config, users.nameOf).owner : null);
}

/** The configuration in the terms of the rules. */
function policyOf(config: Config, users: Users): Policy {
  const { orphans, reset, labels } = config;
  return {
    permit: { uids: new Set(orphans.permit.users.map((name) => uidOf(name, users))), units: orphans.permit.units, names: orphans.permit.names },
    deviceLabels: labels.device,
    rulesOf: (container) => ({
      gpuHoldAfterStopMs: limitsFor(container, config, users).gpuHoldAfterStopMs,
      createdTimeoutMs: config.leftovers.createdTimeoutMs,
      protected: isProtected(container, config),
      infrastructure: isInfrastructure(container, config),
    }),
    confirmAfterMs: orphans.confirmAfterMs,
    toleranceMiB: config.dirty.memoryMiB,
    reset: { policy: reset.policy, cooldownMs: reset.cooldownMs, maxPerDay: reset.maxPerDay },
  };
}

function limitsFor(container: InspectedContainer, config: Config, users: Users): ReturnType<typeof limitValuesOf> {
  const { owner } = ownerOf(container, config, users.nameOf);
  return limitValuesOf({ owner, type: typeOf(container, config), unixGroups: owner === null ? [] : users.groupsOf(owner) }, config);
}

/** A permitted user that this host does not know is a mistake: silently permitting nobody would get his processes reported. */
function uidOf(name: string, users: Users): number {
  const uid = users.uidOf(name);
  if (uid === null) throw new GpuctlError(`orphans.permit.users: there is no user ${JSON.stringify(name)} on this host`, { code: 'config-invalid', exitCode: ExitCode.usage, hint: 'write the uid as a number in quotes for a user of a directory service' });
  return uid;
}

function budgetsOf({ breaker }: Config): Readonly<Partial<Record<Verb, Budget>>> {
  return { kill: breaker.kills, stop: breaker.stops, remove: breaker.removals, release: breaker.releases, reset: breaker.resets };
}
