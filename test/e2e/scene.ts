import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Outcome } from '../../src/model/decision.ts';
import type { DeviceReport, PassReport } from '../../src/passes/report.ts';
import { eventSchema } from '../../src/record/event-schema.ts';
import { openLedger } from '../../src/record/ledger/open.ts';
import { startEngine, type ContainerOptions, type Engine } from '../hostsim/dockerd.ts';
import type { GpuctlLine, GpuctlOptions, GpuctlResult } from '../hostsim/gpuctl-call.ts';
import { startHost, type Host, type HostOptions } from '../hostsim/host.ts';
import { makeOrphan, type Orphan } from '../hostsim/orphans.ts';

/** One run of a pass, and what it did to the outside world. */
export interface PassRun extends GpuctlResult {
  readonly report: PassReport;
  /** Kinds of the calls to nvidia-smi, in order. */
  readonly calls: readonly GpuctlLine[];
}

/** A simulated host on a real engine, and what a test says about both. */
export interface Scene {
  readonly host: Host;
  readonly engine: Engine;
  readonly uuid: (index: number) => string;
  /** A container that ran and has been ended. */
  stopped(options: ContainerOptions): Promise<string>;
  /** A container that runs, its first process listed on this GPU. */
  computing(index: number, options: ContainerOptions): Promise<string>;
  /** A process of a container that has been removed, listed on this GPU. `leavesMiB`: in use after its end, until a reset. */
  orphan(index: number, options?: Parameters<typeof makeOrphan>[1] & { readonly leavesMiB?: number; readonly mig?: number }): Promise<Orphan>;
  /** Runs a pass with `--json`; fails where a container is not afterwards as it was before. */
  pass(args: readonly string[], options?: GpuctlOptions): Promise<PassRun>;
  /** The same for a pass in the middle of which the test itself changes containers. */
  passWhileContainersChange(args: readonly string[], options?: GpuctlOptions): Promise<PassRun>;
  dispose(): Promise<void>;
}

/** One engine for all tests of a file. */
export function useEngine(): () => Engine {
  let engine: Engine | null = null;
  beforeAll(async () => { engine = await startEngine(); });
  afterAll(() => engine?.dispose());
  return () => {
    if (engine === null) throw new Error('the engine is started before the tests, not before the file');
    return engine;
  };
}

export function openScene(engine: Engine, options: HostOptions = {}): Scene {
  const host = startHost({ engineHost: engine.host, ...options });
  const uuid = (index: number): string => host.gpu(index).uuid;
  const orphans: Orphan[] = [];
  const run = async (args: readonly string[], given: GpuctlOptions = {}): Promise<PassRun> => {
    const before = host.calls().length;
    const result = await host.gpuctl([...args, '--json'], given);
    for (const event of result.events) expectPublishedForm(event);
    return { ...result, report: result.json as PassReport, calls: host.calls().slice(before) };
  };
  return {
    host, engine, uuid,
    async stopped(given) {
      const id = await engine.run(given);
      await engine.kill(id).then(() => engine.wait(id));
      return id;
    },
    async computing(index, given) {
      const id = await engine.run(given);
      host.listOn(index, await engine.initPid(id));
      return id;
    },
    async orphan(index, { leavesMiB = 0, mig, ...given } = {}) {
      const orphan = await makeOrphan(engine, given);
      orphans.push(orphan);
      host.listOn(index, orphan, { usedMiB: 10_000, leavesMiB, ...(mig !== undefined && { mig }) });
      return orphan;
    },
    pass: (args, given) => withContainersUntouched(engine, () => run(args, given)),
    passWhileContainersChange: run,
    async dispose() {
      await host.dispose();
      await Promise.all(orphans.map((orphan) => orphan.end()));
      for (const { Id } of await listAll(engine)) await engine.rm(Id);
    },
  };
}

/** Fails where a container was stopped, started or removed meanwhile. */
export async function withContainersUntouched<T>(engine: Engine, body: () => Promise<T>): Promise<T> {
  const before = await states(engine);
  const result = await body();
  expect(await states(engine), 'no container may be touched').toEqual(before);
  return result;
}

async function listAll(engine: Engine): Promise<readonly { readonly Id: string }[]> {
  return await engine.api('GET', '/containers/json?all=true') as { Id: string }[];
}

async function states(engine: Engine): Promise<readonly unknown[]> {
  const list = await listAll(engine);
  const all = await Promise.all(list.map(({ Id }) => engine.inspect(Id)));
  return all.map(({ Id, State: { Status, Pid, StartedAt, FinishedAt } }) => ({ Id, Status, Pid, StartedAt, FinishedAt })).toSorted((a, b) => a.Id.localeCompare(b.Id));
}

const isPublished = new Ajv2020({ strict: false }).compile(eventSchema());

function expectPublishedForm(event: GpuctlLine): void {
  expect(isPublished(event) ? [] : [event, isPublished.errors]).toEqual([]);
}

/** Every call by which nvidia-smi would have changed a device. */
export function changesIn(calls: readonly GpuctlLine[]): readonly unknown[] {
  return calls.filter(({ kind }) => kind === 'reset' || kind === 'persistence').map(({ args }) => args);
}

/** Events of one action. */
export function eventsOf({ events }: Pick<GpuctlResult, 'events'>, action: string): readonly GpuctlLine[] {
  return events.filter((event) => event['event.action'] === action);
}

export function deviceOf({ report }: PassRun, uuid: string): DeviceReport {
  const device = report.devices.find((each) => each.uuid === uuid);
  if (device === undefined) throw new Error(`${uuid} is not in the report`);
  return device;
}

/** What was decided about a process, and what became of it; null: nothing was. */
export function fateOf({ report }: PassRun, pid: number): { readonly verdict: string; readonly reason: string; readonly outcome: Outcome | null } | null {
  const at = report.decisions.findIndex(({ target }) => target.kind === 'process' && target.pid === pid);
  const decision = report.decisions[at];
  if (decision === undefined) return null;
  return { verdict: decision.verdict, reason: decision.reason, outcome: report.outcomes.find((each) => each.decision === at) ?? null };
}

/** The allocations of `gpuctl allocations --all`, as release reasons by container id; null: still held. */
export async function releasesIn(host: Host): Promise<Readonly<Record<string, string | null>>> {
  const { json } = await host.gpuctl(['allocations', '--all', '--json']);
  const rows = json as { readonly container: { readonly id: string }; readonly release_reason: string | null }[];
  return Object.fromEntries(rows.map(({ container, release_reason }) => [container.id, release_reason]));
}

/** A ledger whose first pass was then, as on a host where gpuctl has run for long. */
export function hadFirstPassAt(host: Host, at: number): void {
  const ledger = openLedger({ file: join(host.stateDir, 'ledger.db'), now: Date.now, mode: 'write' });
  ledger.recordObservation(null, [], new Map(), at);
  ledger.close();
}
