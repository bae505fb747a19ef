import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ContainerCounters } from '../../../../src/model/activity.ts';
import { read } from '../../../../src/model/reading.ts';
import { parseHierarchies } from '../../../../src/observe/activity/cgroup-cpu.ts';
import { createActivityObserver } from '../../../../src/observe/activity/counters.ts';
import { parseNetwork } from '../../../../src/observe/activity/network.ts';
import { container, ID } from '../../decide/limit-facts.ts';

const NET = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  999999    10    0    0    0     0          0         0  999999    10    0    0    0     0       0          0
  eth0:    1000     5    0    0    0     0          0         0     234     3    0    0    0     0       0          0
`;

interface Kernel { readonly thread?: string; readonly cgroup?: string; readonly mounts?: (root: string) => string; readonly files?: Readonly<Record<string, string>>; readonly net?: string; readonly namespace?: string; readonly stat?: string }

/** A /proc and a /sys/fs/cgroup of the test's own, with one container whose first process is 42. */
async function countersOn({ cgroup = `5:cpuacct,cpu:/docker/${ID}\n`, mounts, files = {}, net = NET, namespace = 'net:[2]', stat, thread = '42' }: Kernel, pid: number | null = 42): Promise<ContainerCounters | undefined> {
  const root = mkdtempSync(join(tmpdir(), 'gpuctl-proc-'));
  onTestFinished(() => { rmSync(root, { recursive: true }); });
  const write = (path: string, text: string): void => { mkdirSync(dirname(join(root, path)), { recursive: true }); writeFileSync(join(root, path), text); };
  write('proc/self/mounts', mounts?.(root) ?? `cgroup ${root}/cg/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup2 ${root}/cg/unified cgroup2 rw 0 0\n`);
  write('proc/42/stat', stat ?? `42 (sh) S ${Array.from({ length: 18 }, () => '1').join(' ')} 777 0\n`);
  write('proc/42/cgroup', cgroup);
  // The first thread shows all that at its process.
  const shown = thread === '42' ? '42' : `42/task/${thread}`;
  write(`proc/${shown}/net/dev`, net);
  for (const [who, where] of [['self', 'net:[1]'], [shown, namespace]] as const) {
    mkdirSync(join(root, 'proc', who, 'ns'), { recursive: true });
    symlinkSync(where, join(root, 'proc', who, 'ns', 'net'));
  }
  for (const [path, text] of Object.entries(files)) write(`cg/${path}`, text);
  const [counters] = await createActivityObserver({ proc: join(root, 'proc') }).counters([{ ...container, pid }]);
  return counters;
}

const V1 = { files: { [`cpu,cpuacct/docker/${ID}/cpuacct.usage`]: '123456789\n' } };

describe('the counters of a container', () => {
  it('are CPU time of its cgroup (version 1) and bytes of its network without loopback', async () => {
    expect(await countersOn(V1)).toEqual({ containerId: ID, startedAt: container.startedAt, cpuNs: read(123456789), networkBytes: read(1234) });
  });

  it('are read from version 2 where version 1 does not count', async () => {
    const unified = { cgroup: `0::/system.slice/docker-${ID}.scope/init.scope\n`, files: { [`unified/system.slice/docker-${ID}.scope/cpu.stat`]: 'usage_usec 5000\nuser_usec 1\n' } };
    expect(await countersOn(unified)).toMatchObject({ cpuNs: read(5_000_000) });
  });

  it('lack CPU time where no hierarchy counts it, and traffic where the network is the host’s or there is none', async () => {
    expect(await countersOn({ ...V1, mounts: () => 'proc /proc proc rw 0 0\n' })).toMatchObject({ cpuNs: { kind: 'unsupported' } });
    expect(await countersOn({ ...V1, namespace: 'net:[1]' })).toMatchObject({ networkBytes: { kind: 'unsupported' } });
    expect(await countersOn({ ...V1, net: NET.split('\n').slice(0, 3).join('\n') })).toMatchObject({ networkBytes: { kind: 'absent' } });
  });

  it('are seen at another thread of its first process where the first thread has ended', async () => {
    expect(await countersOn({ ...V1, thread: '43' })).toMatchObject({ cpuNs: read(123456789), networkBytes: read(1234) });
  });

  it.each<[string, Kernel]>([
    ['whose file is missing', {}],
    ['whose file is malformed', { files: { [`cpu,cpuacct/docker/${ID}/cpuacct.usage`]: '-1\n' } }],
    ['whose file is empty', { files: { [`cpu,cpuacct/docker/${ID}/cpuacct.usage`]: '' } }],
  ])('are an error for CPU time %s', async (_, kernel) => {
    expect(await countersOn(kernel)).toMatchObject({ cpuNs: { kind: 'error' }, networkBytes: read(1234) });
  });

  it('are an error for traffic that is malformed', async () => {
    expect(await countersOn({ ...V1, net: 'garbage' })).toMatchObject({ cpuNs: read(123456789), networkBytes: { kind: 'error' } });
  });

  it.each<[string, Kernel]>([
    ['is in another container’s cgroup: its pid was re-used', { ...V1, cgroup: `5:cpuacct:/docker/${'d'.repeat(64)}\n` }],
    ['is in no container', { ...V1, cgroup: '5:cpuacct:/\n' }],
    ['is above the root of this namespace', { ...V1, cgroup: `5:cpuacct:/../docker/${ID}\n` }],
    ['cannot be read', { ...V1, stat: 'garbage' }],
  ])('are unknown where the first process %s', async (_, kernel) => {
    expect(await countersOn(kernel)).toMatchObject({ cpuNs: { kind: 'error' }, networkBytes: { kind: 'error' } });
  });

  it('are unknown where it has no process, or that has ended', async () => {
    expect(await countersOn(V1, null)).toMatchObject({ cpuNs: { kind: 'error' }, networkBytes: { kind: 'error' } });
    expect(await countersOn(V1, 43)).toMatchObject({ cpuNs: { kind: 'error' } });
  });
});

it('a container that moved its first process further down is counted whole', () => {
  expect(parseHierarchies(`1:cpuacct:/docker/${ID}/inner\n0::/docker/${ID}/init.scope`, ID)).toEqual([{ controllers: ['cpuacct'], path: `/docker/${ID}` }, { controllers: [], path: `/docker/${ID}` }]);
});

it('traffic of an interface whose name touches its count is read', () => {
  expect(parseNetwork('Inter-|\n face |\neth0:12 0 0 0 0 0 0 0 30 0 0 0 0 0 0 0\n')).toBe(42);
});
