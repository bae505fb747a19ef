import fc, { type Arbitrary } from 'fast-check';
import type { Container, InspectedContainer } from '../../src/model/container.ts';
import { GONE_KNOWN, HOUR } from './generate.ts';
import { claimOn } from './generate-claims.ts';
import { type HostState, idOf, idsIn, OTHER_ENGINE, plainContainer, type ProcessState } from './host.ts';

/** What can happen to a host while somebody looks at it. `at` picks which one of several it happens to. */
const KINDS = [
  'nothing', 'pid-reused', 'pid-reused-by-container', 'ends', 'unlisted', 'zombie', 'stuck', 'hidden', 'moves-to-session', 'moves-to-container',
  'container-starts', 'container-stops', 'container-removed', 'container-returns', 'container-uninspected', 'container-claims', 'shim-appears',
  'engine-swapped', 'engine-fails', 'engine-forgets', 'podman', 'list-fails', 'list-partial', 'shims-partial', 'proc-fails', 'proc-partial', 'reboot',
  'newcomer', 'holder', 'mig-on', 'display-on', 'list-unknown', 'gpu-lost', 'bus-id-moves', 'memory-freed', 'quiet',
] as const;
export type MutationKind = (typeof KINDS)[number];

export interface Mutation {
  readonly kind: MutationKind;
  readonly at: number;
}

/** Something that makes a difference, or nothing. */
export function mutation(nothing = 1): Arbitrary<Mutation> {
  return fc.oneof(
    { weight: nothing, arbitrary: fc.constant<Mutation>({ kind: 'nothing', at: 0 }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom(...KINDS), at: fc.nat(15) }) },
  );
}

export function mutate(host: HostState, { kind, at }: Mutation): HostState {
  const one = (change: (process: ProcessState) => ProcessState): HostState => ({ ...host, processes: changed(host.processes, at, change) });
  const container = (change: (each: InspectedContainer) => Container): HostState => ({ ...host, containers: changed(host.containers, at, (each) => (each.inspected ? change(each) : each)) });
  const gpu = (change: Partial<HostState['gpus'][number]>): HostState => ({ ...host, gpus: changed(host.gpus, at, (each) => ({ ...each, ...change })) });
  const trouble = (change: Partial<HostState['trouble']>): HostState => ({ ...host, trouble: { ...host.trouble, ...change } });
  const started = { state: 'running' as const, startedAt: (n: number | null): number => (n ?? 0) + HOUR };
  switch (kind) {
    case 'nothing': return host;
    case 'pid-reused': return one((each) => ({ ...each, startTicks: each.startTicks + 1000, presence: 'present' }));
    case 'pid-reused-by-container': return running(one((each) => ({ ...each, startTicks: each.startTicks + 1000, cgroups: [`/docker/${idOf(70)}`], presence: 'present' })), idOf(70));
    case 'ends': return { ...host, processes: host.processes.filter((_, n) => n !== at % Math.max(1, host.processes.length)) };
    case 'unlisted': return one((each) => ({ ...each, rows: [] }));
    case 'zombie': return one((each) => ({ ...each, runState: 'Z' }));
    case 'stuck': return one((each) => ({ ...each, runState: 'D' }));
    case 'hidden': return one((each) => ({ ...each, presence: 'unreadable' }));
    case 'moves-to-session': return one((each) => ({ ...each, cgroups: ['/user.slice/user-1000.slice/session-9.scope'] }));
    case 'moves-to-container': return running(one((each) => ({ ...each, cgroups: [`/docker/${idOf(70)}`] })), idOf(70));
    case 'container-starts': return container((each) => ({ ...each, state: started.state, startedAt: started.startedAt(each.startedAt), finishedAt: null }));
    case 'container-stops': return container((each) => ({ ...each, state: 'exited' }));
    case 'container-removed': return { ...host, containers: host.containers.filter((_, n) => n !== at % Math.max(1, host.containers.length)) };
    case 'container-returns': return running(host, GONE_KNOWN[at % GONE_KNOWN.length] ?? idOf(80));
    case 'container-uninspected': return container(({ id, name, state }) => ({ inspected: false, id, name, state, why: 'timeout' }));
    case 'container-claims': return container((each) => claimOn(each, 'request-all', host.gpus[0], 0));
    case 'shim-appears': return { ...host, shims: [...host.shims, { pid: 800, containerIds: host.processes.flatMap(({ cgroups }) => idsIn(cgroups)) }] };
    case 'engine-swapped': return { ...host, engine: { kind: 'docker', engineId: OTHER_ENGINE }, containers: [] };
    case 'engine-fails': return trouble({ engine: 'failed' });
    case 'engine-forgets': return { ...host, containers: [] };
    case 'podman': return { ...host, engine: { kind: 'podman', engineId: null }, containers: [] };
    case 'list-fails': return trouble({ listed: 'failed' });
    case 'list-partial': return trouble({ listed: at % Math.max(1, host.gpus.length) });
    case 'shims-partial': return trouble({ shims: 'partial' });
    case 'proc-fails': return trouble({ proc: 'failed' });
    case 'proc-partial': return trouble({ proc: 'partial' });
    case 'reboot': return { ...host, bootId: '99999999-2222-3333-4444-555555555555' };
    case 'newcomer': return withProcess(host, { ...strangerOn(host, at), cgroups: ['/system.slice/ollama.service'] });
    case 'holder': return withProcess(host, { ...strangerOn(host, at), rows: [] });
    case 'mig-on': return gpu({ mig: 'yes' });
    case 'display-on': return gpu({ display: 'yes' });
    case 'list-unknown': return gpu({ listUnknown: 'it could not be read' });
    case 'gpu-lost': return { ...host, gpus: host.gpus.slice(0, -1), processes: host.processes.map((each) => ({ ...each, rows: each.rows.filter(({ gpu: n }) => n < host.gpus.length - 1) })) };
    case 'bus-id-moves': return gpu({ pciBusId: '00000000:ff:00.0' });
    case 'memory-freed': return gpu({ unexplainedMiB: 0 });
    case 'quiet': return { ...host, processes: [], containers: [] };
  }
}

function changed<T>(all: readonly T[], at: number, change: (one: T) => T): readonly T[] {
  return all.map((each, n) => (n === at % all.length ? change(each) : each));
}

function running(host: HostState, id: string): HostState {
  return { ...host, containers: [...host.containers.filter((each) => each.id !== id), plainContainer(id, { startedAt: 1, pid: 4000 })] };
}

function strangerOn(host: HostState, at: number): ProcessState {
  const gpu = at % Math.max(1, host.gpus.length);
  return {
    pid: 3000 + at, startTicks: 9000, runState: 'R', uid: 1000, command: 'python3', title: 'python3', cgroups: ['/'], pidNamespace: 'host', presence: 'present',
    rows: host.gpus.length === 0 ? [] : [{ gpu, type: 'C', usedMiB: 100 }], holds: [gpu],
  };
}

function withProcess(host: HostState, process: ProcessState): HostState {
  return { ...host, processes: [...host.processes.filter(({ pid }) => pid !== process.pid), process] };
}
