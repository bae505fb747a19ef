import { limitValuesOf } from '../../src/config/limits.ts';
import { typeOf } from '../../src/config/owner.ts';
import type { Config } from '../../src/config/types.ts';
import type { ContainerState, InspectedContainer } from '../../src/model/container.ts';
import type { Gpu } from '../../src/model/device.ts';
import type { Allocation, History } from '../../src/model/history.ts';
import type { HostProcess, NodeHolder, Shim } from '../../src/model/process.ts';
import type { ProcessLook, Snapshot } from '../../src/model/snapshot.ts';

/*
 * A second, deliberately naive reading of the design: "may this process be ended?", "may this GPU be reset?", "may this
 * allocation be released?". It was written from the text alone and shares no code with src/decide: it is slow, repeats
 * itself and knows no reason codes. Where it says no, nothing may ever be done.
 */

export interface Host {
  readonly snapshot: Snapshot;
  readonly history: History;
  readonly config: Config;
  readonly now: number;
}

/** "Another manager's element anywhere in any hierarchy of its cgroup path." */
const OTHERS = ['user.slice', 'machine.slice', 'kubepods', 'libpod', 'lxc', 'slurm', 'nerdctl-', 'cri-'];
const GONE: readonly string[] = ['exited', 'dead', 'not-found'];
const COMPUTE: readonly string[] = ['C', 'C+G', 'M+C', 'M+C+G'];
const HOUR = 3_600_000;

/** One moment at which somebody looked at one process, from a whole snapshot or from a short look. */
interface Sight {
  readonly at: number;
  readonly bootId: string | null;
  readonly process: HostProcess | undefined;
  readonly ownPids: readonly number[];
  readonly shims: readonly Shim[] | null;
  readonly engine: { readonly kind: string; readonly engineId: string | null } | null;
  readonly answer: (containerId: string) => ContainerState | 'not-found' | 'failed';
  readonly onDevices: readonly string[] | null;
}

function sightOfSnapshot({ snapshot }: Host, pid: number): Sight {
  const view = snapshot.processes.state === 'failed' ? null : snapshot.processes.value;
  const engine = snapshot.engine.state === 'failed' ? null : snapshot.engine.value;
  return {
    at: snapshot.takenAt,
    bootId: view?.bootId ?? null,
    process: view?.listed.find((each) => each.pid === pid),
    ownPids: view?.ownPids ?? [],
    shims: view?.shims ?? null,
    engine,
    answer: (id) => {
      const container = engine?.containers.find((each) => each.id === id);
      if (container !== undefined) return container.inspected ? container.state : 'failed';
      return engine?.answers.find((each) => each.containerId === id)?.answer ?? 'failed';
    },
    onDevices: gpusOf(snapshot).filter(({ processes }) => processes.state === 'known' && processes.processes.some((each) => each.pid === pid)).map(({ uuid }) => uuid),
  };
}

function sightOfLook(look: ProcessLook, pid: number): Sight {
  return {
    at: look.takenAt,
    bootId: look.bootId,
    process: look.processes.find((each) => each.pid === pid),
    ownPids: look.ownPids,
    shims: look.shims.state === 'complete' ? look.shims.value : null,
    engine: look.engine.state === 'complete' ? look.engine.value : null,
    answer: (id) => look.answers.find((each) => each.containerId === id)?.answer ?? 'failed',
    onDevices: look.listed.state === 'failed' ? null : look.listed.value.filter((each) => each.pid === pid).map(({ gpuUuid }) => gpuUuid),
  };
}

/** May this process be sent a signal, after these two looks? */
export function mayEnd(host: Host, pid: number, second: ProcessLook): boolean {
  return isEndable(host, pid, second) && !sharesServer(host, pid, second);
}

function isEndable(host: Host, pid: number, second: ProcessLook): boolean {
  const a = sightOfSnapshot(host, pid);
  const b = sightOfLook(second, pid);
  if (!isTrustedList(host)) return false;
  if (b.at - a.at < host.config.orphans.confirmAfterMs) return false;
  if (a.process?.state !== 'present' || b.process?.state !== 'present') return false;
  if (a.process.startTicks !== b.process.startTicks || a.bootId === null || a.bootId !== b.bootId) return false;
  if (a.process.runState === 'D' && b.process.runState === 'D') return false;
  if (a.engine?.engineId !== b.engine?.engineId) return false;
  if (!isListedForCompute(host, pid)) return false;
  if (b.onDevices === null || !b.onDevices.some((uuid) => a.onDevices?.includes(uuid))) return false;
  return isOrphan(a, host) && isOrphan(b, host);
}

/** May it still be, judged by one more look right before a signal? Identity, and whose it is. */
export function mayStillEnd(host: Host, target: { readonly pid: number; readonly startTicks: number; readonly bootId: string }, glance: ProcessLook): boolean {
  const sight = sightOfLook(glance, target.pid);
  return sight.process?.state === 'present' && sight.process.startTicks === target.startTicks && sight.bootId === target.bootId && isOrphan(sight, host);
}

function isOrphan({ process, ownPids, shims, engine, answer }: Sight, { history }: Host): boolean {
  if (process?.state !== 'present' || process.cgroups === null || shims === null || engine === null) return false;
  if (process.pid === 1 || process.pid <= 0 || ownPids.includes(process.pid)) return false;
  if (process.runState === 'Z' || process.runState === 'X') return false;
  if (engine.kind !== 'docker' || engine.engineId === null) return false;
  if (history.engineId !== null && engine.engineId !== history.engineId) return false;
  if (process.cgroups.some(isTheirs)) return false;
  const ids = [...new Set(process.cgroups.flatMap(dockerIds))];
  return ids.length > 0 && ids.every((id) => {
    const said = answer(id);
    if (!GONE.includes(said)) return false;
    if (shims.some(({ containerIds }) => containerIds.includes(id))) return false;
    return said !== 'not-found' || history.knownContainerIds.includes(id) || process.pidNamespace === 'host';
  });
}

function isTheirs(path: string): boolean {
  return path.split('/').some((element) => OTHERS.some((other) => element.startsWith(other)));
}

/** 64 hex after /docker/, or in docker-….scope. */
function dockerIds(path: string): readonly string[] {
  const elements = path.split('/');
  return elements.flatMap((element, n) => {
    if (elements[n - 1] === 'docker' && /^[0-9a-f]{64}$/.test(element)) return [element];
    const scope = /^docker-([0-9a-f]{64})\.scope$/.exec(element);
    return scope?.[1] === undefined ? [] : [scope[1]];
  });
}

function isListedForCompute({ snapshot }: Host, pid: number): boolean {
  return gpusOf(snapshot).some(({ processes }) => processes.state === 'known' && processes.processes.some((each) => each.pid === pid && COMPUTE.includes(each.type)));
}

/**
 * "A client of MPS is alerted, not ended, while its server has other clients": others, that is, than those that would be
 * ended with it. Whoever shares a device, directly or through others, may share the server.
 */
function sharesServer(host: Host, pid: number, second: ProcessLook): boolean {
  const gpus = gpusOf(host.snapshot);
  const clientsOn = (gpu: Gpu): readonly number[] => (gpu.processes.state === 'known' ? gpu.processes.processes.filter(({ type }) => type.startsWith('M')).map((each) => each.pid) : []);
  const everybody = new Set(gpus.flatMap(clientsOn));
  if (!everybody.has(pid)) return false;
  if (host.snapshot.driver.state !== 'complete' || gpus.some(({ processes }) => processes.state !== 'known')) return true;
  const together = new Set([pid]);
  for (let grown = -1; grown !== together.size;) {
    grown = together.size;
    for (const gpu of gpus) if (clientsOn(gpu).some((each) => together.has(each))) for (const each of clientsOn(gpu)) together.add(each);
  }
  return [...together].some((each) => each !== pid && !isEndable(host, each, second));
}

/** Is the engine the ledger's, and does it know what it runs? "A container that vanished from the list still has a live shim": it does not. */
function isTrustedList({ snapshot, history }: Host): boolean {
  if (snapshot.engine.state === 'failed') return false;
  const { engineId, kind, containers } = snapshot.engine.value;
  if ((kind === 'docker' && engineId === null) || (history.engineId !== null && engineId !== history.engineId)) return false;
  if (snapshot.processes.state === 'failed') return history.knownContainerIds.length === 0;
  const shimmed = snapshot.processes.value.shims.flatMap(({ containerIds }) => containerIds);
  return !history.knownContainerIds.some((id) => shimmed.includes(id) && !containers.some((each) => each.id === id));
}

/** What happened on the device earlier in this pass. */
export interface Earlier {
  /** An orphan was ended on it. */
  readonly endedOrphan: boolean;
  /** Pids that two looks found to be listed and not to exist. */
  readonly ghosts: readonly number[];
  /** What was unexplained, MiB, at each look since an orphan was ended on it. */
  readonly readings: readonly (number | null)[];
}

/** May this GPU be reset now? */
export function mayReset(host: Host, uuid: string, earlier: Earlier): boolean {
  const { endedOrphan } = earlier;
  const { snapshot, history, config, now } = host;
  const gpu = gpusOf(snapshot).find((each) => each.uuid === uuid);
  if (gpu === undefined || gpu.processes.state !== 'known' || snapshot.processes.state !== 'complete') return false;
  if (now - snapshot.takenAt > 2000 || now < snapshot.takenAt) return false;
  if (snapshot.engine.state !== 'complete' || !isTrustedList(host)) return false;
  if (config.reset.policy === 'never' || (config.reset.policy === 'after-orphans' && !endedOrphan)) return false;
  if (!isWanted(gpu, host, earlier)) return false;
  if (gpu.migCurrent.kind === 'error' || (gpu.migCurrent.kind === 'value' && gpu.migCurrent.value)) return false;
  if (gpu.displayActive.kind === 'error' || (gpu.displayActive.kind === 'value' && gpu.displayActive.value)) return false;
  if (snapshot.engine.value.containers.some((each) => !each.inspected || (claimsGpu(each, gpu, host) && !isReleased(each, history)))) return false;
  const { listed, holders } = snapshot.processes.value;
  if (gpu.processes.processes.some(({ pid }) => listed.find((each) => each.pid === pid)?.state !== 'absent')) return false;
  if (holders === null) return false;
  if (holders.some((each) => (gpu.minorNumber === null || each.minorNumber === gpu.minorNumber) && !isPersistenceDaemon(each))) return false;
  if (history.quarantined.includes(uuid)) return false;
  const resets = history.resets.filter((each) => each.gpuUuid === uuid);
  if (resets.some(({ at }) => now - at < config.reset.cooldownMs)) return false;
  return resets.filter(({ at }) => now - at < 24 * HOUR).length < config.reset.maxPerDay;
}

/** "Dirty after orphans were ended, or health asks for it", in whatever words. */
function isWanted(gpu: Gpu, { history, config, now }: Host, { endedOrphan, ghosts, readings }: Earlier): boolean {
  if (gpu.recovery.kind === 'value' && (gpu.recovery.value === 'reset' || gpu.recovery.value === 'drain-and-reset')) return true;
  if (gpu.faults.includes('GPU requires reset')) return true;
  if (gpu.repairPending.kind === 'value' && gpu.repairPending.value) return true;
  if (gpu.processes.state !== 'known') return false;
  if (gpu.processes.processes.some(({ pid }) => ghosts.includes(pid))) return true;
  const limit = config.dirty.memoryMiB;
  const unexplained = unexplainedBy(gpu, history);
  if (unexplained === null || unexplained <= limit) return false;
  if (endedOrphan && readings.length >= 2 && readings.every((each) => each !== null && each > limit)) return true;
  if (history.resetWants.some((want) => want.gpuUuid === gpu.uuid && want.reason === 'dirty-memory')) return true;
  const samples = history.memory.filter((each) => each.gpuUuid === gpu.uuid);
  const lasting = samples.filter(({ at }) => samples.every((other) => other.at < at || (other.unexplainedMiB > limit && other.at <= now)));
  return lasting.length + 1 >= 3 && lasting.some(({ at }) => now - at >= 10 * 60_000);
}

/** "Used − baseline − Σ processes"; null: not known. */
function unexplainedBy(gpu: Gpu, { baselines }: History): number | null {
  if (gpu.processes.state !== 'known' || gpu.usedMiB.kind !== 'value') return null;
  let rest = gpu.usedMiB.value - (baselines.find(({ gpuUuid }) => gpuUuid === gpu.uuid)?.usedMiB ?? 0);
  for (const { usedMiB } of gpu.processes.processes) {
    if (usedMiB === null) return null;
    rest -= usedMiB;
  }
  return rest;
}

/** By its unit or as root, and outside containers and sessions: a name or a unit there proves nothing. */
function isPersistenceDaemon({ command, uid, cgroups }: NodeHolder): boolean {
  if (cgroups === null) return false;
  const paths = cgroups;
  if (paths.some(isTheirs) || paths.some((path) => /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/.test(path))) return false;
  return (uid === 0 && command.startsWith('nvidia-persiste')) || paths.some((path) => path.split('/').includes('nvidia-persistenced.service'));
}

/** "Allocation released: no claim of that container id counts until it starts again." A running one has started again. */
function isReleased({ id, startedAt, state }: InspectedContainer, { allocations }: History): boolean {
  if (['running', 'paused', 'restarting', 'unknown'].includes(state)) return false;
  return allocations.some((each) => each.containerId === id && each.startedAt === startedAt && each.releasedAt !== null);
}

/** Does this container refer to this GPU by anything that the design names? A lower bound: the rule may see more. */
export function claimsGpu(container: InspectedContainer, gpu: Gpu, host: Host): boolean {
  const { config } = host;
  const { deviceRequests, deviceNodes, env, runtime, labels, effectiveVisibleDevices } = container;
  const requested = deviceRequests.some(({ driver, count, deviceIds }) => {
    if (driver === 'cdi') return deviceIds.some((name) => /^(?:[a-z0-9-]+\.)?nvidia\.com\/[a-z]+=/.test(name) && names(gpu, name.slice(name.indexOf('=') + 1)));
    if (driver !== '' && driver !== 'nvidia') return false;
    return deviceIds.length > 0 ? deviceIds.some((each) => names(gpu, each)) : count === -1 || (gpu.index !== null && gpu.index < count);
  });
  const node = deviceNodes.some((path) => path === '/dev' || (gpu.minorNumber !== null && path === `/dev/nvidia${gpu.minorNumber}`));
  const visible = env.filter((each) => each.startsWith('NVIDIA_VISIBLE_DEVICES=')).map((each) => each.slice('NVIDIA_VISIBLE_DEVICES='.length));
  const effective = runtime === 'nvidia' || deviceRequests.length > 0 ? (effectiveVisibleDevices ?? []) : [];
  const environment = (runtime === 'nvidia' ? visible : []).concat(effective).some((list) => list.split(',').some((each) => names(gpu, each.trim())));
  const labelled = config.labels.device.some((label) => Object.hasOwn(labels, label) && (labels[label] ?? '').split(',').some((each) => nameOfUuid(gpu, each.trim())));
  return requested || node || environment || labelled || hasLiveProcess(container, gpu, host);
}

function hasLiveProcess({ id, state }: InspectedContainer, { processes }: Gpu, host: Host): boolean {
  const { snapshot } = host;
  if (!['running', 'paused', 'restarting', 'unknown'].includes(state)) return false;
  if (processes.state !== 'known' || snapshot.processes.state === 'failed') return false;
  const { listed, ownPids } = snapshot.processes.value;
  return processes.processes.some(({ pid }) => {
    if (ownPids.includes(pid)) return false;
    const process = listed.find((each) => each.pid === pid);
    // Below a container's own group may stand that of another one, which was given it as its parent: the innermost one that was ever here is meant.
    const innermost = (process?.state === 'present' ? (process.cgroups ?? []) : []).map((path) => dockerIds(path).findLast((each) => wasHere(each, host))).filter((each) => each !== undefined);
    return innermost.length > 0 && innermost.every((each) => each === id);
  });
}

function wasHere(id: string, { snapshot: { engine }, history }: Host): boolean {
  if (engine.state === 'failed' || history.knownContainerIds.includes(id) || engine.value.containers.some((each) => each.id === id)) return true;
  return engine.value.answers.some((each) => each.containerId === id && each.answer !== 'not-found');
}

function names(gpu: Gpu, reference: string): boolean {
  return reference === 'all' || nameOfUuid(gpu, reference) || (gpu.index !== null && (reference === `${gpu.index}` || reference.startsWith(`${gpu.index}:`)));
}

function nameOfUuid({ uuid, migDevices }: Gpu, reference: string): boolean {
  return reference === uuid || migDevices.some((mig) => mig.uuid !== null && mig.uuid === reference);
}

/** May this allocation be called released? */
export function mayRelease(host: Host, { containerId, startedAt, releasedAt }: Allocation): boolean {
  const { snapshot, history, config, now } = host;
  // An engine is partial where one container could not be inspected: the list itself is whole.
  if (releasedAt !== null || snapshot.engine.state === 'failed' || !isTrustedList(host)) return false;
  const said = snapshot.engine.value.answers.find((each) => each.containerId === containerId)?.answer ?? 'not-found';
  const container = snapshot.engine.value.containers.find((each) => each.id === containerId);
  if (container === undefined) return said === 'not-found';
  if (!container.inspected || container.startedAt !== startedAt) return false;
  const { gpuHoldAfterStopMs: hold } = limitValuesOf({ owner: null, type: typeOf(container, config), unixGroups: [] }, config);
  const { createdTimeoutMs } = config.leftovers;
  if (container.state === 'created') {
    if (hold === null || createdTimeoutMs === null || container.createdAt === null || container.createdAt > now) return false;
    return waited(container.createdAt, now, history) > Math.max(hold, createdTimeoutMs);
  }
  if (!['exited', 'dead', 'removing'].includes(container.state)) return false;
  if (hold === null) return false;
  if (hold === 0) return true;
  // It ended before it was made: some clock was wrong.
  if (container.finishedAt !== null && container.createdAt !== null && container.finishedAt < container.createdAt) return false;
  return container.finishedAt !== null && container.finishedAt <= now && waited(container.finishedAt, now, history) > hold;
}

/** "No clock starts before gpuctl's first pass on the host." */
function waited(since: number, now: number, { firstPassAt }: History): number {
  return firstPassAt === null ? 0 : now - Math.max(since, firstPassAt);
}

function gpusOf({ driver }: Snapshot): readonly Gpu[] {
  return driver.state === 'failed' ? [] : driver.value.gpus;
}
