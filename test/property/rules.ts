import { limitValuesOf } from '../../src/config/limits.ts';
import { isInfrastructure, isProtected, typeOf } from '../../src/config/owner.ts';
import type { Config } from '../../src/config/types.ts';
import { assess, type Assessment, type Policy } from '../../src/decide/assess.ts';
import { containerIdsIn } from '../../src/decide/cgroup.ts';
import { decideDirt, unexplainedMiB } from '../../src/decide/dirt.ts';
import { decideOrphans, pidsToConfirm } from '../../src/decide/orphans.ts';
import { decideRelease } from '../../src/decide/release.ts';
import { decideReset } from '../../src/decide/reset.ts';
import type { AllocationTarget, Decision, GpuTarget, ProcessTarget } from '../../src/model/decision.ts';
import type { ProcessLook, Snapshot } from '../../src/model/snapshot.ts';
import { type HostState, lookAt, snapshotOf } from './host.ts';
import type { World } from './generate.ts';

/** The configuration in the terms of the rules; users of a test are numbers, and owners are not known. */
export function policyOf(config: Config): Policy {
  const { orphans, reset, labels } = config;
  return {
    permit: { uids: new Set(orphans.permit.users.map(Number)), units: orphans.permit.units, names: orphans.permit.names },
    deviceLabels: labels.device,
    infrastructureLabels: labels.infrastructure,
    rulesOf: (container) => ({
      gpuHoldAfterStopMs: limitValuesOf({ owner: null, type: typeOf(container, config), unixGroups: [] }, config).gpuHoldAfterStopMs,
      createdTimeoutMs: config.leftovers.createdTimeoutMs,
      protected: isProtected(container, config),
      infrastructure: isInfrastructure(container, config),
    }),
    confirmAfterMs: orphans.confirmAfterMs,
    toleranceMiB: config.dirty.memoryMiB,
    reset: { policy: reset.policy, cooldownMs: reset.cooldownMs, maxPerDay: reset.maxPerDay },
  };
}

/** The first look at a world, judged. */
export function judged({ host, history, config, now }: World, snapshot: Snapshot = snapshotOf(host, now)): Assessment {
  return assess(snapshot, history, policyOf(config));
}

/** The second look that a pass makes, `afterMs` later, at the host as it is then. */
export function secondLook(first: Assessment, later: HostState, afterMs: number): ProcessLook | null {
  const pids = pidsToConfirm(first.snapshot, first.rules);
  if (pids.length === 0) return null;
  const cgroups = first.look.processes.flatMap((each) => (each.state === 'present' && pids.includes(each.pid) ? (each.cgroups ?? []) : []));
  return lookAt(later, { pids, containerIds: containerIdsIn(cgroups), takenAt: first.snapshot.takenAt + afterMs, glance: false });
}

export function kills(first: Assessment, second: ProcessLook | null, config: Config): readonly Decision<ProcessTarget>[] {
  return decideOrphans({ first: first.snapshot, second, rules: first.rules, confirmAfterMs: config.orphans.confirmAfterMs, round: 1 });
}

export function releases({ snapshot, history }: Assessment, config: Config, now: number): readonly Decision<AllocationTarget>[] {
  return decideRelease({ snapshot, history, rulesOf: policyOf(config).rulesOf, now, round: 1 });
}

/** What happened on a device before its reset is decided. */
export interface Before {
  readonly orphanEnded: boolean;
  readonly ghosts: readonly number[];
}

/** The reset decision of every GPU that was seen. */
export function resets(seen: Assessment, { config, now }: Pick<World, 'config' | 'now'>, before: Before): readonly Decision<GpuTarget>[] {
  const { snapshot, history, ownership, claims, gpus } = seen;
  return gpus.map((gpu) => {
    const reading = unexplainedMiB(gpu, history);
    const ghosts = gpu.processes.state === 'known' ? gpu.processes.processes.map(({ pid }) => pid).filter((pid) => before.ghosts.includes(pid) && ownership.get(pid)?.kind === 'ghost') : [];
    const dirt = decideDirt({ gpu, history, ghosts, afterEnding: before.orphanEnded ? [reading, reading] : null, toleranceMiB: config.dirty.memoryMiB, now });
    return decideReset({ gpu, dirt, history, ownership, orphanEnded: before.orphanEnded, round: 1, engine: snapshot.engine, processes: snapshot.processes, claims: claims.claims, rules: policyOf(config).reset, policy: config.reset.policy, now });
  });
}
