import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createActor } from '../../../src/act/actor.ts';
import type { Run } from '../../../src/act/restore.ts';
import { createResetHelper } from '../../../src/act/services.ts';
import type { ChildResult } from '../../../src/callout/child.ts';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { GpuctlEvent } from '../../../src/model/event.ts';
import { complete, seen } from '../../../src/model/observation.ts';
import { misread, read } from '../../../src/model/reading.ts';
import type { Snapshot } from '../../../src/model/snapshot.ts';
import { healthCheck } from '../../../src/passes/health-check.ts';
import type { Pass, PassParts } from '../../../src/passes/pass.ts';
import type { PassReport } from '../../../src/passes/report.ts';
import { runPass } from '../../../src/passes/run-pass.ts';
import { openLedger, type OpenLedger } from '../../../src/record/ledger/open.ts';
import { type EventContext, renderEvent } from '../../../src/record/events.ts';
import { passOptions } from '../../property/ports.ts';
import { snapshotOf } from '../../property/host.ts';
import { policyOf } from '../../property/rules.ts';
import { gpuState, hostOf, NOW, orphan } from '../decide/good-case.ts';

/** A service of the simulated host. */
export interface SimService {
  active: boolean;
  /** It has the node of the GPU open while it runs. */
  readonly holds: boolean;
  starts: number;
  stops: number;
  /** What systemctl answers instead of doing it. */
  refuses?: 'stop' | 'start';
  /** A process of it holds the node although systemd calls it inactive. */
  lingers?: boolean;
  /** Once stopped it cannot be started: an admin masked it. */
  masked?: boolean;
  /** It ends right after every start, at which systemctl exits with 0. */
  dies?: boolean;
  /** What is stopped together with it. */
  takesAlong?: readonly string[];
}

/** One board and the services around it, as nvidia-smi and systemctl change them. */
export interface SimHost {
  readonly board: { asks: boolean; flaps: boolean; persistence: boolean; computeMode: string; powerLimitW: number; ecc: boolean };
  readonly services: Record<string, SimService>;
  /** Every reset that took place, by the clock. */
  readonly resets: number[];
  /** What nvidia-smi refuses to do, by its first argument. */
  readonly broken: Set<string>;
  /** What a reset takes with it beyond the usual. */
  eccLost: boolean;
  /** The driver does not say whether the board asks for a reset. */
  blind: boolean;
  now: number;
  /** What happens while nvidia-smi is at work, by its first argument. */
  during?: (option: string) => void;
  /** Holders are older than the rest of a look by so much, since the engine took long. */
  holdersAgeMs?: number;
}

const LINE: EventContext = { host: 'gpu01', pass: 'pass', job: 'health-check', dryRun: false, version: '0', now: () => 0 };

export const BUS = '00000000:10:00.0';

export function simHost(): SimHost {
  const service = (active: boolean, holds: boolean): SimService => ({ active, holds, starts: 0, stops: 0 });
  return {
    board: { asks: true, flaps: false, persistence: true, computeMode: 'Exclusive_Process', powerLimitW: 250, ecc: true },
    services: { 'dcgm.service': service(true, true), 'exporter.service': service(true, true), 'asleep.service': service(false, true), 'away.service': service(true, false) },
    resets: [], broken: new Set(), eccLost: false, blind: false, now: NOW,
  };
}

const ok = (stdout = ''): ChildResult => ({ exitCode: 0, stdout, stderr: '', problem: null });
const no = (stdout: string, exitCode = 255): ChildResult => ({ exitCode, stdout, stderr: '', problem: null });

/** Both programs, on the simulated host. */
function programsOf(host: SimHost): Run {
  return async ({ file, args }) => (file === 'systemctl' ? systemctl(host, args) : nvidiaSmi(host, args));
}

function systemctl({ services }: SimHost, args: readonly string[]): ChildResult {
  const [verb = ''] = args;
  const service = services[args.at(-1) ?? ''];
  if (verb === 'show') return ok(args.slice(args.indexOf('--') + 1).map((unit) => showing(services, unit)).join('\n'));
  if (service === undefined || service.refuses === verb || (verb === 'start' && service.masked === true)) return no('Job failed.\n', 1);
  if (verb === 'stop') for (const each of [service, ...(service.takesAlong ?? []).flatMap((unit) => services[unit] ?? [])]) { each.stops += each.active ? 1 : 0; each.active = false; }
  if (verb === 'start' && !service.active) { service.starts += 1; service.active = service.dies !== true; }
  return ok();
}

function showing(services: SimHost['services'], unit: string): string {
  const service = services[unit];
  if (service === undefined) return `Id=${unit}\nLoadState=not-found\nActiveState=inactive\n`;
  return `Id=${unit}\nLoadState=${service.masked === true ? 'masked' : 'loaded'}\nActiveState=${service.active ? 'active' : 'inactive'}\nRequiredBy=${(service.takesAlong ?? []).join(' ')}\n`;
}

function nvidiaSmi(host: SimHost, args: readonly string[]): ChildResult {
  const { board } = host;
  const [option = '', value = ''] = args;
  host.during?.(option);
  if (host.broken.has(option)) return no('Unknown Error\n');
  if (args.at(-1) !== BUS || args.at(-2) !== '-i') throw new Error(`nvidia-smi was called for something else: ${args.join(' ')}`);
  if (option === '-pm') board.persistence = value === '1';
  if (option === '-c') board.computeMode = ['Default', 'Exclusive_Thread', 'Prohibited', 'Exclusive_Process'][Number(value)] ?? '?';
  if (option === '-pl') board.powerLimitW = Number(value);
  if (option !== '-r') return ok('All done.\n');
  if (board.persistence || Object.values(host.services).some(({ active, holds }) => active && holds)) return no(`GPU ${BUS} is currently in use by another process.\n`, 19);
  Object.assign(board, { asks: board.flaps, computeMode: 'Default', powerLimitW: 700, ecc: host.eccLost ? false : board.ecc });
  host.resets.push(host.now);
  return ok(`GPU ${BUS} was successfully reset.\nAll done.\n`);
}

/** What an observer sees of it. */
function snapshotIn(host: SimHost): Snapshot {
  const { board, services } = host;
  const holder = (pid: number, command: string, unit: string) => orphan({ pid, command, uid: 0, title: command, rows: [], cgroups: [`/system.slice/${unit}`] });
  const holders = Object.entries(services).flatMap(([unit, { active, holds, lingers }], n) => ((active && holds) || lingers === true ? [holder(500 + n, 'daemon', unit)] : []));
  const snapshot = snapshotOf(hostOf({ gpus: [gpuState(0, { recovery: host.blind ? misread('Unknown Error') : read(board.asks ? 'reset' : 'none') })], processes: [...holders, ...(board.persistence ? [holder(400, 'nvidia-persiste', 'nvidia-persistenced.service')] : [])] }), host.now);
  const driver = seen(snapshot.driver);
  if (driver === null) throw new Error('the simulated driver failed');
  const gpus = driver.gpus.map((gpu) => ({ ...gpu, persistence: read(board.persistence), computeMode: read(board.computeMode), powerLimitW: read(board.powerLimitW), eccCurrent: read(board.ecc), eccPending: read(board.ecc) }));
  return { ...snapshot, ...(host.holdersAgeMs === undefined ? {} : { holdersAt: host.now - host.holdersAgeMs }), driver: complete({ ...driver, gpus }) };
}

/** A process that was killed: nothing of it runs any more. */
export class Killed extends Error {}

/** Lets the n-th point, counted from 0, be the last one; each call of a port is two: before it happened, and after. */
export interface Mortality {
  readonly wrap: <T extends object>(port: T) => T;
  readonly points: () => number;
}

export function mortality(killAt: number | null): Mortality {
  let passed = 0;
  let dead = false;
  const point = (): void => {
    if (dead || passed === killAt) { dead = true; throw new Killed(`at point ${passed}`); }
    passed += 1;
  };
  const around = (call: () => unknown): unknown => {
    point();
    const result = call();
    if (result instanceof Promise) return result.then((value: unknown) => { point(); return value; });
    point();
    return result;
  };
  return {
    points: () => passed,
    wrap: (port) => new Proxy(port, {
      apply: (target, self, args: unknown[]) => around(() => Reflect.apply(target as (...all: unknown[]) => unknown, self, args)),
      get(target, name, receiver) {
        const value: unknown = Reflect.get(target, name, receiver);
        return typeof value === 'function' ? (...args: unknown[]): unknown => around(() => Reflect.apply(value, target, args)) : value;
      },
    }),
  };
}

export interface Bench {
  readonly host: SimHost;
  readonly ledger: OpenLedger;
  readonly events: GpuctlEvent[];
  readonly pauseServices: readonly string[];
  passes: number;
  close(): void;
}

export function resetBench(host: SimHost = simHost(), pauseServices: readonly string[] = Object.keys(host.services)): Bench {
  // A ledger is flushed at every write, which costs nothing in memory.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'gpuctl-resets-'));
  const ledger = openLedger({ file: join(folder, 'ledger.db'), now: () => host.now, mode: 'write' });
  return { host, ledger, events: [], pauseServices, passes: 0, close: () => { ledger.close(); rmSync(folder, { recursive: true }); } };
}

/** One pass of a process that may die, on the host and the ledger as they are. */
export function passOn(bench: Bench, { mortal = mortality(null), story = healthCheck, acts = true }: { mortal?: Mortality; story?: (pass: Pass) => Promise<void>; acts?: boolean } = {}): Promise<PassReport> {
  bench.passes += 1;
  return runPass(partsOf(bench, mortal, acts), passOptions({ id: `pass-${bench.passes}`, job: 'health-check', acts, records: acts }), story);
}

function partsOf(bench: Bench, { wrap }: Mortality, acts: boolean): PassParts {
  const { host, ledger, events, pauseServices } = bench;
  const policy = policyOf(defaultConfig());
  const program = { path: 'nvidia-smi', timeoutMs: 1000 };
  const run = wrap(programsOf(host));
  const clock = { now: () => host.now, monotonicMs: () => host.now, sleep: async (ms: number) => { host.now += ms; } };
  const observer = wrap({
    observe: async () => { host.now += 50; return snapshotIn(host); },
    look: async () => { throw new Error('nobody is to be looked at twice'); },
    glance: async () => { throw new Error('nobody is to be looked at twice'); },
  });
  return {
    host: 'gpu01', clock, observer, ledger: wrap(ledger), stopping: () => null, ownerOf: () => null, budgets: {},
    sink: wrap({ emit: (event: GpuctlEvent) => { events.push(event); }, holds: (text: string) => events.some((event) => renderEvent(event, LINE).includes(text)) }),
    policy: { ...policy, reset: { ...policy.reset, pauseServices } },
    actor: acts ? createActor({ clock, termGraceMs: 1000, stateOf: () => null, signal: () => { throw new Error('nobody is to be ended'); }, stopping: () => false, nvidiaSmi: program, run, observeDriver: async () => (await observer.observe()).driver }) : null,
    resets: { ledger: wrap(ledger.resets), helper: acts ? createResetHelper({ nvidiaSmi: program, run }) : null },
  };
}
