import type { Claim, UnresolvedClaim } from '../model/claim.ts';
import { type Container, type EngineView, isLive } from '../model/container.ts';
import type { Gpu, GpuProcess } from '../model/device.ts';
import type { Allocation } from '../model/history.ts';
import type { Ownership } from './ownership.ts';
import { everyDevice, type NamedDevice, resolveReference } from './device-reference.ts';
import { type Reference, referencesOf } from './references.ts';

export interface ClaimFacts {
  readonly gpus: readonly Gpu[];
  readonly engine: EngineView;
  /** Whose process each listed pid is. */
  readonly ownership: ReadonlyMap<number, Ownership>;
  readonly allocations: readonly Allocation[];
  readonly deviceLabels: readonly string[];
}

export interface Claims {
  readonly claims: readonly Claim[];
  readonly unresolved: readonly UnresolvedClaim[];
}

/** Every reference of every container, in whatever state, to every device: the set that a reset must find empty. */
export function decideClaims(facts: ClaimFacts): Claims {
  const released = new Set(facts.allocations.filter(({ releasedAt }) => releasedAt !== null).map(runOf));
  const configured = facts.engine.containers.map((container) => configuredClaims(container, facts, released));
  return {
    claims: [...configured.flatMap((each) => each.claims), ...distinct(liveClaims(facts), Number.POSITIVE_INFINITY)],
    unresolved: configured.flatMap((each) => each.unresolved),
  };
}

/** A device can be named in hundreds of ways, by every start of its UUID; a few show what is meant. */
const MAX_WAYS = 4;
/** Of one container: nobody needs more of them to see what is wrong, and a label may hold hundreds. */
const MAX_UNRESOLVED = 16;

function configuredClaims(container: Container, facts: ClaimFacts, releasedRuns: ReadonlySet<string>): Claims {
  if (!container.inspected) {
    const reference = { source: 'uninspected', text: container.why } as const;
    return { claims: everyDevice(facts.gpus).map((device) => claimOf(container, reference, device, false)), unresolved: [] };
  }
  // A release counts for the run of the container that it was made for, and never while the container is alive.
  const released = !isLive(container.state) && releasedRuns.has(runOf({ containerId: container.id, startedAt: container.startedAt }));
  const resolved = referencesOf(container, facts.deviceLabels).map((reference) => ({ reference, devices: devicesOf(reference, facts.gpus) }));
  return {
    claims: distinct(resolved.flatMap(({ reference, devices }) => devices.map((device) => claimOf(container, reference, device, released))), MAX_WAYS),
    unresolved: resolved
      .filter(({ devices }) => devices.length === 0)
      .slice(0, MAX_UNRESOLVED)
      .map(({ reference }) => ({ containerId: container.id, containerName: container.name, source: reference.source, reference: shown(reference) })),
  };
}

function devicesOf(reference: Reference, gpus: readonly Gpu[]): readonly NamedDevice[] {
  const named = reference.source === 'device-node' ? byNode(reference.text, gpus) : resolveReference(reference.text, gpus);
  return named.length === 0 && reference.unresolved === 'every-device' ? everyDevice(gpus) : named;
}

/** /dev/nvidia<minor>; a GPU whose minor number is unknown may be the one. */
function byNode(path: string, gpus: readonly Gpu[]): readonly NamedDevice[] {
  const minor = /^\/dev\/nvidia(\d+)$/.exec(path)?.[1];
  if (minor === undefined) return [];
  return everyDevice(gpus.filter((gpu) => gpu.minorNumber === null || gpu.minorNumber === Number(minor)));
}

function runOf({ containerId, startedAt }: Pick<Allocation, 'containerId' | 'startedAt'>): string {
  return `${containerId} ${startedAt}`;
}

/** All that a claim says of its container. */
type Claimant = Pick<Container, 'id' | 'name' | 'state'> & { readonly startedAt?: number | null };

function claimOf(container: Claimant, reference: Pick<Reference, 'source' | 'text'>, device: NamedDevice, released: boolean): Claim {
  return {
    containerId: container.id,
    containerName: container.name,
    containerState: container.state,
    startedAt: container.startedAt ?? null,
    source: reference.source,
    reference: shown(reference),
    gpuUuid: device.gpuUuid,
    migUuid: device.migUuid,
    released,
  };
}

/** A reference may be as long as whoever wrote it likes. */
function shown({ text }: Pick<Reference, 'text'>): string {
  return text.slice(0, 256);
}

/** A container with a process on a device holds it, however it got there. */
function liveClaims(facts: ClaimFacts): readonly Claim[] {
  const containers = new Map(facts.engine.containers.map((each) => [each.id, each]));
  return facts.gpus.flatMap((gpu) =>
    gpu.processes.state === 'known' ? gpu.processes.processes.flatMap((process) => liveClaim(gpu, process, { ownership: facts.ownership, containers })) : [],
  );
}

interface LiveFacts extends Pick<ClaimFacts, 'ownership'> {
  readonly containers: ReadonlyMap<string, Container>;
}

function liveClaim(gpu: Gpu, process: GpuProcess, { ownership, containers }: LiveFacts): readonly Claim[] {
  const owner = ownership.get(process.pid);
  if (owner?.kind !== 'container') return [];
  const startedSince: Claimant = { id: owner.containerId, name: owner.name ?? owner.containerId.slice(0, 12), state: 'running' };
  const device = { gpuUuid: gpu.uuid, migUuid: migOf(gpu, process) };
  return [claimOf(containers.get(owner.containerId) ?? startedSince, { source: 'live-process', text: `pid ${process.pid}` }, device, false)];
}

function migOf(gpu: Gpu, process: GpuProcess): string | null {
  if (process.gpuInstanceId === null) return null;
  const mine = gpu.migDevices.filter((mig) => mig.gpuInstanceId === process.gpuInstanceId && (process.computeInstanceId === null || mig.computeInstanceId === process.computeInstanceId));
  return mine.length === 1 ? (mine[0]?.uuid ?? null) : null;
}

/** Each claim once, and of one container, source and device no more than `ways`. */
function distinct(claims: readonly Claim[], ways: number): readonly Claim[] {
  const byKey = new Map(claims.map((claim) => [[claim.containerId, claim.source, claim.reference, claim.gpuUuid, claim.migUuid].join('\0'), claim]));
  const counts = new Map<string, number>();
  return [...byKey.values()].filter(({ containerId, source, gpuUuid, migUuid }) => {
    const key = [containerId, source, gpuUuid, migUuid].join('\0');
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return (counts.get(key) ?? 0) <= ways;
  });
}
