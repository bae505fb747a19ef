import type { EngineClient } from '../callout/engine.ts';
import type { EngineAnswer } from '../model/container.ts';
import type { DriverView, ListedProcess } from '../model/device.ts';
import type { KernelLogView } from '../model/kernel-log.ts';
import type { KernelView } from '../model/lost.ts';
import { complete, failed, seen, type Observed } from '../model/observation.ts';
import type { ProcessView } from '../model/process.ts';
import type { EngineIdentity, ProcessLook, Snapshot } from '../model/snapshot.ts';
import type { Observer } from '../passes/ports.ts';
import { inspectContainers, listContainers, observeAnswers, observeEngine, sameEngine } from './docker/index.ts';
import { containerIdsIn, type ListedProcesses, lookAtProcesses, observeListedProcesses, type ProcLook, readEnviron, type Unanswered, withShims } from './proc/index.ts';

/** What an observer is made of. */
export interface ObserverParts {
  readonly hostname: string;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  readonly observeDriver: () => Promise<Observed<DriverView>>;
  readonly observeListed: () => Promise<Observed<readonly ListedProcess[]>>;
  readonly engine: EngineClient;
  /** Absent: the kernel log is not read. */
  readonly observeKernelLog?: () => Promise<Observed<KernelLogView>>;
  /** What reads /proc; the real one where it is not given. */
  readonly proc?: ProcReader;
  /** False: it is not asked who has a device node open, as nothing will be reset by this observer's snapshots. */
  readonly holdersToo?: boolean;
  /** Labels that rules read. Absent: none in particular. */
  readonly readLabels?: ReadonlySet<string>;
  /** Absent: the kernel is not asked about GPUs. `hung`: whether nvidia-smi did not come back. */
  readonly observeKernel?: (facts: { readonly hung: boolean }) => KernelView;
}

/** What a snapshot and a look need of /proc. */
export interface ProcReader {
  readonly listed: (pids: readonly number[], holdersToo: boolean) => Promise<Observed<ListedProcesses>>;
  readonly withShims: (listed: Observed<ListedProcesses>) => Promise<Observed<ProcessView>>;
  readonly look: (pids: readonly number[]) => Promise<ProcLook>;
  readonly visibleDevices: (pid: number) => Promise<string | null | Unanswered>;
}

export const realProc: ProcReader = {
  listed: (pids, holdersToo) => observeListedProcesses(pids, undefined, holdersToo),
  withShims: (listed) => withShims(listed),
  look: (pids) => lookAtProcesses(pids),
  visibleDevices: (pid) => readEnviron(pid, 'NVIDIA_VISIBLE_DEVICES'),
};

/**
 * Reads the whole host in the one order in which the parts are evidence about each other: the driver, however long it
 * takes; the processes that it lists; the containers, each of which then answers for what was seen before; and the shims
 * last. So everything that a claim rests on is as fresh as the snapshot's own time.
 */
export function createObserver(parts: ObserverParts): Observer {
  return {
    observe: () => observeHost(parts),
    look: (pids, containerIds) => lookAtHost(parts, { pids, containerIds, driverToo: true }),
    glance: (pids, containerIds) => lookAtHost(parts, { pids, containerIds, driverToo: false }),
  };
}

async function observeHost({ hostname, now, observeDriver, observeKernelLog, observeKernel, engine, proc = realProc, holdersToo = true, readLabels }: ObserverParts): Promise<Snapshot> {
  const reading = observeDriver();
  // The first step to the engine is taken while nvidia-smi runs; it tells nothing that is evidence, and a failure comes up again.
  void engine.version();
  // The kernel log as well: it is short against nvidia-smi.
  const [driver, kernelLog] = await Promise.all([reading, observeKernelLog?.()]);
  const kernel = observeKernel?.({ hung: driver.state === 'failed' && driver.code === 'hung' });
  const log = { ...(kernelLog === undefined ? {} : { kernelLog }), ...(kernel === undefined ? {} : { kernel }) };
  const holdersAt = now();
  const asked = listContainers(engine);
  await untilSent();
  const listed = await proc.listed(listedPidsIn(driver), holdersToo);
  const list = await asked;
  if (list.state === 'failed') {
    const processes = await proc.withShims(listed);
    return { host: hostname, takenAt: now(), holdersAt, driver, processes, engine: list, ...log };
  }
  const shims = Promise.withResolvers<Observed<ProcessView>>();
  const view = await inspectContainers(engine, {
    list: list.value, namedIds: namedIdsIn(listed), readVisibleDevices: proc.visibleDevices, readLabels,
    meanwhile: async () => { await untilSent(); shims.resolve(proc.withShims(listed)); },
  });
  const processes = await shims.promise;
  return { host: hostname, takenAt: now(), holdersAt, driver, processes, engine: view, ...log };
}

/**
 * Lets what was asked of the engine leave, so that it works on its answer while /proc is read, which lets nothing else
 * happen: a connection is made in this turn of the event loop and the question written in the next.
 */
async function untilSent(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => { setImmediate(resolve); });
}

interface LookRequest {
  readonly pids: readonly number[];
  readonly containerIds: readonly string[];
  readonly driverToo: boolean;
}

async function lookAtHost({ now, observeListed, engine, proc: reader = realProc }: ObserverParts, { pids, containerIds, driverToo }: LookRequest): Promise<ProcessLook> {
  const [listed, before] = await Promise.all([driverToo ? observeListed() : failed('error', 'the driver was not asked'), identify(engine)]);
  const proc = await reader.look(pids);
  const answers = before.state === 'failed' ? null : await observeAnswers(engine, [...containerIds, ...shimContainers(proc, containerIds)]);
  const after = answers === null ? before : await identify(engine);
  const identity = confirm(before, after);
  return { takenAt: now(), ...proc, listed, engine: identity, answers: identity.state === 'failed' || answers === null ? containerIds.map(noAnswer) : answers };
}

/** The containers of those who call themselves shims of these ones: whether the engine has them says what that is worth. */
function shimContainers({ shims }: ProcLook, containerIds: readonly string[]): readonly string[] {
  const asked = new Set(containerIds);
  const within = (seen(shims) ?? []).flatMap((shim) => (shim.containerIds.some((id) => asked.has(id)) ? (shim.inContainers ?? []) : []));
  return [...new Set(within)].filter((id) => !asked.has(id)).slice(0, MAX_SHIM_CONTAINERS);
}

/** Whoever makes more of them keeps his orphan a pass longer, and costs the engine no more. */
const MAX_SHIM_CONTAINERS = 64;

async function identify(engine: EngineClient): Promise<Observed<EngineIdentity>> {
  const reply = await observeEngine(engine);
  return reply.ok ? complete({ kind: reply.value.kind, engineId: reply.value.engineId }) : failed(reply.code, reply.why);
}

/** Answers count only if one engine answered from the first question to the last. */
function confirm(before: Observed<EngineIdentity>, after: Observed<EngineIdentity>): Observed<EngineIdentity> {
  const [first, last] = [seen(before), seen(after)];
  if (first === null || last === null || sameEngine(first, last)) return after;
  return failed('untrusted', 'another engine took over the socket in the middle');
}

function noAnswer(containerId: string): EngineAnswer {
  return { containerId, answer: 'failed', name: null };
}

function listedPidsIn(driver: Observed<DriverView>): readonly number[] {
  const gpus = seen(driver)?.gpus ?? [];
  return gpus.flatMap((gpu) => (gpu.processes.state === 'known' ? gpu.processes.processes.map((each) => each.pid) : []));
}

function namedIdsIn(processes: Observed<ListedProcesses>): readonly string[] {
  const listed = seen(processes)?.view.listed ?? [];
  return listed.flatMap((each) => (each.state === 'present' && each.cgroups !== null ? containerIdsIn(each.cgroups) : []));
}
