import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unexplainedMiB } from '../../src/decide/dirt.ts';
import { blockersIn } from '../../src/decide/reset.ts';
import { seen } from '../../src/model/observation.ts';
import type { Blocker } from '../../src/model/decision.ts';
import { CLAIM_KINDS, claimOn, type ClaimKind } from './generate-claims.ts';
import { HOUR, runs, type World, world } from './generate.ts';
import { type HostState, idOf, plainContainer, snapshotOf } from './host.ts';
import { claimsGpu, mayReset } from './oracle.ts';
import { judged, resets } from './rules.ts';

/** Blockers that may be there where the naive reading sees none, and why that is right. */
const MORE_CAREFUL: Readonly<Partial<Record<Blocker['kind'], string>>> = {
  'device-unknown': 'a board that reports faults may not answer a reset as it should',
  'mig-enabled': 'a pending MIG mode comes true with the reset',
  'mig-unknown': 'so may one that could not be read',
  'live-process': 'what is said to be gpuctl itself and to be absent is a contradiction',
  'container-claim': 'a reference that cannot be understood, or a number where one is not known, may mean any device',
};

/** Claims that name something, but no device of this host for certain. */
const NO_CLAIM: readonly ClaimKind[] = ['request-none', 'request-other-vendor', 'request-hostile', 'cdi-other-vendor', 'env-void', 'env-none', 'env-empty', 'env-unread', 'node-other', 'label-hostile', 'label-elsewhere', 'name-only'];

function ghostsOf({ processes }: HostState): readonly number[] {
  return processes.filter(({ presence }) => presence === 'absent').map(({ pid }) => pid);
}

function resetUuids(each: World, orphanEnded = true): readonly string[] {
  return resets(judged(each), each, { orphanEnded, ghosts: ghostsOf(each.host) }).flatMap(({ verdict, target }) => (verdict === 'act' ? [target.uuid] : []));
}

describe('a GPU is reset', () => {
  it('exactly where it is wanted and nothing that the design names forbids it', () => {
    fc.assert(fc.property(world, fc.boolean(), (each, orphanEnded) => {
      const first = judged(each);
      const snapshot = snapshotOf(each.host, each.now);
      for (const decision of resets(first, each, { orphanEnded, ghosts: ghostsOf(each.host) })) {
        const { target, verdict, reason } = decision;
        const gpu = first.gpus.find(({ uuid }) => uuid === target.uuid);
        const reading = gpu === undefined ? null : unexplainedMiB(gpu, each.history);
        const may = mayReset({ ...each, snapshot }, target.uuid, { endedOrphan: orphanEnded, ghosts: ghostsOf(each.host), readings: [reading, reading] });
        if (verdict === 'act') expect({ uuid: target.uuid, reason, may }).toEqual({ uuid: target.uuid, reason, may: true });
        else if (may) for (const { kind } of blockersIn(decision).filter(({ hard }) => hard)) expect(Object.keys(MORE_CAREFUL)).toContain(kind);
      }
    }), runs(2500));
  });

  it('alone, named by the bus id that it was seen at', () => {
    fc.assert(fc.property(world, (each) => {
      for (const { target } of resets(judged(each), each, { orphanEnded: true, ghosts: [] })) {
        expect(each.host.gpus.filter(({ uuid, pciBusId }) => uuid === target.uuid && pciBusId === target.pciBusId)).toHaveLength(1);
      }
    }), runs(200));
  });

  it.each(CLAIM_KINDS.filter((kind) => !NO_CLAIM.includes(kind)))('never under a container that refers to it by %s, in whatever state', (kind) => {
    fc.assert(fc.property(world, fc.nat(15), fc.constantFrom('created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead', 'unknown'), (each, at, state) => {
      const gpu = each.host.gpus[at % Math.max(1, each.host.gpus.length)];
      fc.pre(gpu !== undefined);
      // The claim is written with the numbers that are known.
      fc.pre(kind !== 'node' || gpu.minorNumber !== null);
      fc.pre(kind !== 'request-two' || gpu.index === null || gpu.index < 2);
      const claimant = claimOn(plainContainer(idOf(75), { state: state as 'running', startedAt: 1, ...(state === 'running' ? { pid: 4 } : {}) }), kind, gpu, 0);
      const host = { ...each.host, containers: [...each.host.containers, claimant] };
      expect(resetUuids({ ...each, host })).not.toContain(gpu.uuid);
    }), runs(80));
  });

  it.each(NO_CLAIM)('all the same under a container that only seems to refer to it, by %s', (kind) => {
    fc.assert(fc.property(world, fc.nat(15), (each, at) => {
      const gpu = each.host.gpus[at % Math.max(1, each.host.gpus.length)];
      fc.pre(gpu !== undefined);
      const host = { ...each.host, containers: [...each.host.containers, claimOn(plainContainer(idOf(75), { startedAt: 1 }), kind, gpu, 0)] };
      const known = { ...each, history: { ...each.history, knownContainerIds: [...each.history.knownContainerIds, idOf(75)] } };
      expect(resetUuids({ ...known, host })).toEqual(resetUuids(known));
    }), runs(60));
  });

  it.each([
    ['somebody computes on it', (host: HostState): HostState => onEvery(host, 'C')],
    ['somebody draws on it', (host: HostState): HostState => onEvery(host, 'G')],
    ['somebody has its node open', (host: HostState): HostState => holding(host, {})],
    ['somebody who calls himself nvidia-persistenced has its node open', (host: HostState): HostState => holding(host, { command: 'nvidia-persiste', uid: 1000 })],
    ['a root process of a container who calls himself nvidia-persistenced has it open', (host: HostState): HostState => holding(host, { command: 'nvidia-persiste', uid: 0, cgroups: [`/docker/${idOf(80)}`] })],
    ['a user’s own nvidia-persistenced.service has it open', (host: HostState): HostState => holding(host, { uid: 1000, cgroups: ['/user.slice/user-1000.slice/user@1000.service/app.slice/nvidia-persistenced.service'] })],
    ['a process above gpuctl has its node open', (host: HostState): HostState => ({ ...holding(host, {}), ownPids: [1, 7777] })],
    ['its MIG mode is on', (host: HostState): HostState => ({ ...host, gpus: host.gpus.map((gpu) => ({ ...gpu, mig: 'yes' })) })],
    ['its MIG mode comes on with the reset', (host: HostState): HostState => ({ ...host, gpus: host.gpus.map((gpu) => ({ ...gpu, migPending: 'yes' })) })],
    ['a display is active on it', (host: HostState): HostState => ({ ...host, gpus: host.gpus.map((gpu) => ({ ...gpu, display: 'yes' })) })],
  ] as const)('never where %s', (_, change) => {
    fc.assert(fc.property(world, (each) => { expect(resetUuids({ ...each, host: change(each.host) })).toEqual([]); }), runs(150));
  });

  it('never in its cool-down, after too many resets in a day, in quarantine, or where the policy forbids it', () => {
    fc.assert(fc.property(world, fc.constantFrom(1000, 5 * HOUR, -HOUR), (each, ago) => {
      const everywhere = each.host.gpus.map(({ uuid }) => uuid);
      const { history, config } = each;
      const resetsAt = (...ages: readonly number[]): World => ({ ...each, history: { ...history, resets: everywhere.flatMap((gpuUuid) => ages.map((age) => ({ gpuUuid, at: each.now - age, succeeded: false }))) } });
      expect(resetUuids(resetsAt(ago))).toEqual([]);
      expect(resetUuids(resetsAt(7 * HOUR, 14 * HOUR, 21 * HOUR))).toEqual([]);
      expect(resetUuids({ ...each, history: { ...history, quarantined: everywhere } })).toEqual([]);
      expect(resetUuids({ ...each, config: { ...config, reset: { ...config.reset, policy: 'never' } } })).toEqual([]);
      expect(resetUuids({ ...each, config: { ...config, reset: { ...config.reset, policy: 'after-orphans' } } }, false)).toEqual([]);
    }), runs(300));
  });

  it('only with all that stands in its way listed: taking one blocker away leaves the others', () => {
    fc.assert(fc.property(world, (each) => {
      const lifted = { ...each, history: { ...each.history, resets: [], quarantined: [] } };
      const before = resets(judged(each), each, { orphanEnded: true, ghosts: [] });
      const after = resets(judged(lifted), lifted, { orphanEnded: true, ghosts: [] });
      before.forEach((decision, n) => {
        const kinds = blockersIn(decision).map(({ kind }) => kind).filter((kind) => kind !== 'cool-down' && kind !== 'quarantine');
        const still = after[n];
        if (still !== undefined) expect(blockersIn(still).map(({ kind }) => kind)).toEqual(kinds);
        for (const { what, wayOut } of blockersIn(decision)) expect({ what: what !== '', wayOut: wayOut !== '' }).toEqual({ what: true, wayOut: true });
      });
    }), runs(300));
  });

  it('whoever claims it by the naive reading claims it by the rule', () => {
    fc.assert(fc.property(world, (each) => {
      const { snapshot, claims, gpus } = judged(each);
      const containers = seen(snapshot.engine)?.containers ?? [];
      for (const gpu of gpus) {
        const claimants = new Set(claims.claims.filter(({ gpuUuid }) => gpuUuid === gpu.uuid).map(({ containerId }) => containerId));
        for (const container of containers) if (!container.inspected || claimsGpu(container, gpu, { ...each, snapshot })) expect(claimants).toContain(container.id);
      }
    }), runs(1000));
  });
});

function onEvery(host: HostState, type: 'C' | 'G'): HostState {
  const everywhere = { pid: 7777, startTicks: 1, runState: 'S', uid: 1000, command: 'x', title: 'x', cgroups: ['/'], pidNamespace: 'host' as const, presence: 'present' as const, rows: host.gpus.map((_, gpu) => ({ gpu, type, usedMiB: 1 })), holds: [] };
  return { ...host, processes: [...host.processes, everywhere] };
}

function holding(host: HostState, more: Partial<HostState['processes'][number]>): HostState {
  const minors = host.gpus.map(({ minorNumber }, n) => minorNumber ?? n);
  const holder = { pid: 7777, startTicks: 1, runState: 'S', uid: 1000, command: 'x', title: 'x', cgroups: ['/'], pidNamespace: 'host' as const, presence: 'present' as const, rows: [], holds: minors, ...more };
  return { ...host, processes: [...host.processes, holder] };
}
