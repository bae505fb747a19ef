import { describe, expect, it } from 'vitest';
import { decideClaims } from '../../../src/decide/claims.ts';
import type { Ownership } from '../../../src/decide/ownership.ts';
import type { Claim } from '../../../src/model/claim.ts';
import type { ContainerState, DeviceRequest, EngineView, InspectedContainer } from '../../../src/model/container.ts';
import type { Gpu, GpuProcess, MigDevice } from '../../../src/model/device.ts';
import { assessed, allocation, GPU0, GPU1, gpuState, HOUR, JOB, MINUTE, MIG10, MIG11, migState, NOW, orphan, runningJob, stopped } from './good-case.ts';

/** GPU 0 whole, GPU 1 with two MIG devices. */
const gpus = [gpuState(0), migState(1)];

/** What this container claims: GPUs, and MIG devices of theirs. */
function claimed(container: Partial<InspectedContainer>, on = gpus): readonly string[] {
  const { claims } = assessed({ gpus: on, containers: [runningJob(container)] }).claims;
  return [...new Set(claims.map(({ gpuUuid, migUuid }) => migUuid ?? gpuUuid))].toSorted();
}

function unresolved(container: Partial<InspectedContainer>): readonly string[] {
  return assessed({ gpus, containers: [runningJob(container)] }).claims.unresolved.map(({ source, reference }) => `${source} ${reference}`);
}

function request(more: Partial<DeviceRequest>): Partial<InspectedContainer> {
  return { deviceRequests: [{ driver: '', count: 0, deviceIds: [], capabilities: [['gpu']], ...more }] };
}

const ALL = [GPU0, GPU1];
/** More than one digit can number. */
const twelve = Array.from({ length: 12 }, (_, n) => gpuState(n));

describe('a device request claims', () => {
  it.each<[string, Partial<DeviceRequest>, readonly string[]]>([
    ['the GPU of a UUID', { deviceIds: [GPU0] }, [GPU0]],
    ['the GPU of an index', { deviceIds: ['1'] }, [GPU1]],
    ['the MIG device of a UUID', { deviceIds: [MIG11] }, [MIG11]],
    ['the MIG device of a pair', { deviceIds: ['1:0'] }, [MIG10]],
    ['the GPU of a pair whose MIG device is not there', { deviceIds: ['0:3'] }, [GPU0]],
    ['all of several ids', { deviceIds: ['0', MIG10] }, [GPU0, MIG10]],
    ['all of several ids in one', { deviceIds: [`0,${MIG10}`] }, [GPU0, MIG10]],
    ['the one whose UUID begins so', { deviceIds: [GPU0.slice(0, 12)] }, [GPU0]],
    ['whatever its case', { deviceIds: [GPU0.toUpperCase().replace('GPU', 'gpu')] }, [GPU0]],
    ['everything by a count of −1', { count: -1 }, ALL],
    ['everything by name', { deviceIds: ['all'] }, ALL],
    ['the first n by a count', { count: 1 }, [GPU0]],
    ['the first two by a count of two', { count: 2 }, ALL],
    ['no more than there are', { count: 1_000_000_000 }, ALL],
    ['nothing by a count of nothing', { count: 0 }, []],
    ['by the driver that is named', { driver: 'nvidia', capabilities: [], deviceIds: ['0'] }, [GPU0]],
    ['by any capability that NVIDIA’s driver answers to', { deviceIds: ['0'], capabilities: [['compute', 'utility']] }, [GPU0]],
    ['nothing of another vendor’s driver', { driver: 'amd', count: -1 }, []],
    ['nothing that this host does not have', { deviceIds: ['7', 'GPU-ffffffff-0000-4000-8000-ffffffffffff'] }, []],
  ])('%s', (_, fields, expected) => {
    expect(claimed(request(fields))).toEqual([...expected].toSorted());
  });

  it('with every other one: several requests count together', () => {
    const [one] = request({ deviceIds: ['0'] }).deviceRequests ?? [];
    const [other] = request({ deviceIds: [MIG10] }).deviceRequests ?? [];
    expect(claimed({ deviceRequests: [one, other].filter((each) => each !== undefined) })).toEqual([GPU0, MIG10].toSorted());
  });

  it('nothing by an id of no device, and that is told', () => {
    expect(unresolved(request({ deviceIds: ['9'] }))).toEqual(['device-request 9']);
  });

  it('every one of many devices', () => {
    expect(claimed(request({ deviceIds: ['all'] }), twelve)).toHaveLength(12);
  });
});

describe('a CDI name claims', () => {
  it.each<[string, string, readonly string[]]>([
    ['nvidia.com/gpu=0', 'an index', [GPU0]],
    ['nvidia.com/gpu=1:1', 'a pair', [MIG11]],
    [`nvidia.com/gpu=${GPU0}`, 'a UUID', [GPU0]],
    [`nvidia.com/gpu=${MIG10}`, 'a MIG UUID', [MIG10]],
    ['nvidia.com/gpu=all', 'everything', ALL],
    ['management.nvidia.com/gpu=all', 'another of NVIDIA’s kinds', ALL],
    ['runtime.nvidia.com/gpu=0', 'a third one', [GPU0]],
    ['nvidia.com/pgpu=0', 'a passed-through GPU', [GPU0]],
    ['nvidia.com/mig-3g.40gb=1:0', 'a kind of MIG', [MIG10]],
    ['nvidia.com/gpu=gpu0', 'a name that cannot be understood: it may be any', ALL],
    ['nvidia.com/gpu=9', 'an index that is not there: it may be any', ALL],
    ['notavendor', 'no CDI name at all: it may be any', ALL],
    ['/nvidia.com/gpu=0', 'no CDI name, though there is one in it', ALL],
    ['nvidia.com/gpu=0\n1', 'two lines: it may be any', ALL],
    ['amd.com/gpu=0', 'another vendor: nothing', []],
    ['evil-nvidia.com/gpu=0', 'a vendor that only ends like NVIDIA: nothing', []],
    ['nvidia.com/nic=0', 'something that is no GPU: nothing', []],
  ])('%s: %s', (name, _, expected) => {
    expect(claimed(request({ driver: 'cdi', deviceIds: [name] }))).toEqual([...expected].toSorted());
  });

  it('in the environment of the NVIDIA runtime as well', () => {
    expect(claimed({ runtime: 'nvidia', env: ['NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0'] })).toEqual([GPU0]);
  });

  it('in a request that names no driver as well', () => {
    expect(claimed(request({ deviceIds: ['nvidia.com/gpu=0'] }))).toEqual([GPU0]);
  });
});

describe('the environment claims', () => {
  const visible = (value: string, more: Partial<InspectedContainer> = {}): Partial<InspectedContainer> => ({ runtime: 'nvidia', env: ['PATH=/bin', `NVIDIA_VISIBLE_DEVICES=${value}`], ...more });

  it.each<[string, readonly string[]]>([
    ['all', ALL], ['ALL', ALL], ['0', [GPU0]], ['0,1:1', [GPU0, MIG11]], [`${GPU0},${MIG10}`, [GPU0, MIG10]], [' 0 , 1:0 ', [GPU0, MIG10]],
    ['none', []], ['void', []], ['', []], ['0,none', [GPU0]], ['void,0', [GPU0]], ['7', []], ['$(reboot)', []],
  ])('%j under the NVIDIA runtime', (value, expected) => {
    expect(claimed(visible(value))).toEqual([...expected].toSorted());
  });

  it.each(['none', 'void', ' NONE ', '', ' '])('%j is no reference to something that is not there', (value) => {
    expect(unresolved(visible(value))).toEqual([]);
  });

  it('nothing where there is none, and nothing is told', () => {
    expect([claimed({}), unresolved({})]).toEqual([[], []]);
  });

  it.each(['nvidia', 'nvidia-container-runtime', 'nvidia-cdi'])('under the runtime %s', (runtime) => {
    expect(claimed(visible('0', { runtime }))).toEqual([GPU0]);
  });

  it.each(['runc', 'runsc', null])('nothing under the runtime %s, whatever the image sets', (runtime) => {
    expect(claimed(visible('all', { runtime }))).toEqual([]);
  });

  it('each time that the variable is set', () => {
    expect(claimed({ runtime: 'nvidia', env: ['NVIDIA_VISIBLE_DEVICES=0', 'NVIDIA_VISIBLE_DEVICES=1:0'] })).toEqual([GPU0, MIG10].toSorted());
  });

  it('nothing by a variable that only begins so', () => {
    expect(claimed({ runtime: 'nvidia', env: ['NVIDIA_VISIBLE_DEVICES_OLD=0', 'X=NVIDIA_VISIBLE_DEVICES=0'] })).toEqual([]);
  });

  it('what the running process was given besides', () => {
    expect(claimed(visible('0', { effectiveVisibleDevices: '1:1' }))).toEqual([GPU0, MIG11].toSorted());
  });

  it.each(['void', 'none', '', '1:1'])('what is configured, even where the running process says %j', (effectiveVisibleDevices) => {
    expect(claimed(visible('0', { effectiveVisibleDevices }))).toContain(GPU0);
  });

  it('what the engine gave to a request without ids', () => {
    expect(claimed({ ...request({ count: 0 }), effectiveVisibleDevices: '1:0' })).toEqual([MIG10]);
  });

  it('nothing of a process under another runtime that asked for no device', () => {
    expect(claimed({ effectiveVisibleDevices: 'all' })).toEqual([]);
  });

  it('by mounts in the folder of the device plugin, under the NVIDIA runtime', () => {
    const mountTargets = [`/var/run/nvidia-container-devices/${GPU0}`, '/data'];
    expect([claimed({ runtime: 'nvidia', mountTargets }), unresolved({ runtime: 'nvidia', mountTargets })]).toEqual([[GPU0], []]);
    expect(claimed({ runtime: 'runc', mountTargets })).toEqual([]);
  });
});

describe('a device node claims', () => {
  it.each<[string, readonly string[]]>([
    ['/dev/nvidia0', [GPU0]], ['/dev/nvidia1', [GPU1]], ['/dev//nvidia0', [GPU0]], ['/dev/./dri/../nvidia0', [GPU0]], ['/dev/nvidia0/', [GPU0]], ['/dev/char/195:0', [GPU0]],
    ['/dev', ALL], ['/dev/', ALL], ['/', ALL], ['/dev/nvidia-caps', ALL], ['/dev/nvidia-caps/nvidia-cap21', ALL],
    ['/dev/nvidia7', []], ['/dev/nvidiactl', []], ['/dev/nvidia-uvm', []], ['/dev/nvidia-modeset', []], ['/dev/fuse', []], ['/tmp/nvidia0', []], ['/dev/char/226:0', []],
  ])('%s', (path, expected) => {
    expect(claimed({ deviceNodes: [path] })).toEqual([...expected].toSorted());
  });

  it('by the minor number, not by the index', () => {
    const swapped = [gpuState(0, { minorNumber: 1 }), gpuState(1, { minorNumber: 0 })];
    expect(claimed({ deviceNodes: ['/dev/nvidia0'] }, swapped)).toEqual([GPU1]);
    expect(claimed(request({ deviceIds: ['0'] }), swapped)).toEqual([GPU0]);
  });

  it('the GPU whose minor number is not known, too', () => {
    expect(claimed({ deviceNodes: ['/dev/nvidia1'] }, [gpuState(0, { minorNumber: null }), gpuState(1)])).toEqual(ALL);
    expect(claimed({ deviceNodes: ['/dev'] }, [gpuState(0, { minorNumber: null }), gpuState(1)])).toEqual(ALL);
  });

  it.each([['/dev/nvidia10', 10], ['/dev/char/195:11', 11]])('%s of a host with many GPUs', (path, n) => {
    expect(claimed({ deviceNodes: [path] }, twelve)).toEqual([twelve[n]?.uuid]);
  });

  it('nothing by a path that only looks like one, and that is not told', () => {
    expect(unresolved({ deviceNodes: ['/host/dev/nvidia0', '/dev/nvidia0x', '/dev/nvidia0/x', '/dev/char/195:x'] })).toEqual([]);
  });
});

describe('a label claims', () => {
  const label = (key: string, value: string): Partial<InspectedContainer> => ({ labels: { [key]: value } });

  it.each<[string, string, readonly string[]]>([
    ['gpuctl.device', GPU0, [GPU0]],
    ['gpuctl.devices', `${GPU0}, ${MIG10}`, [GPU0, MIG10]],
    ['ds01.gpu.uuid', MIG11, [MIG11]],
    ['ds01.gpu.uuids', `${MIG10},${MIG11}`, [MIG10, MIG11]],
    ['ds01.gpu_slot', ` ${GPU0} ; ${MIG10}\n`, [GPU0, MIG10]],
    ['ds01.gpu.allocated', '0', [GPU0]],
    ['ds01.gpu.allocated', '1.0', [MIG10]],
    ['ds01.gpu.allocated', '0,1.1', [GPU0, MIG11]],
    ['ds01.gpu.allocated', '0.4', [GPU0]],
    ['com.example.gpu', GPU0, []],
    ['gpuctl.device', '', []],
    ['gpuctl.device', '${IFS}', []],
    ['gpuctl.device', '../../GPU-', []],
  ])('%s = %j', (key, value, expected) => {
    expect(claimed(label(key, value))).toEqual([...expected].toSorted());
  });

  it('nothing by a UUID in a name: a name is no reference', () => {
    expect(claimed({ name: `x-${GPU0}`, image: GPU0, labels: { [GPU0]: 'true', description: GPU0 } })).toEqual([]);
  });

  it('what it names at its beginning, though it is a mebibyte long', () => {
    const long = `${GPU0},${'x'.repeat(1024 * 1024)}`;
    const began = performance.now();
    expect(claimed(label('gpuctl.device', long))).toEqual([GPU0]);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it('is shown shortened: a reference may be as long as it likes', () => {
    const { claims, unresolved: none } = assessed({ gpus, containers: [runningJob({ ...label('gpuctl.device', GPU0.padEnd(10_000, 'x')), ...request({ driver: 'cdi', deviceIds: ['x'.repeat(10_000)] }) })] }).claims;
    expect([...claims, ...none].map(({ source, reference }) => [source, reference.length])).toEqual([['cdi', 256], ['cdi', 256], ['label', 256]]);
  });

  it('as often as it likes, and costs no more for it: a device named in hundreds of ways is claimed in a few, and of what names none a little is told', () => {
    const ways = Array.from({ length: GPU0.length - 5 }, (_, n) => GPU0.slice(0, n + 5)).flatMap((start) => [start, start.toLowerCase(), start.toUpperCase()]);
    const nothing = Array.from({ length: 500 }, (_, n) => `nothing${n}`);
    const { claims } = assessed({ gpus, containers: [runningJob({ labels: { 'gpuctl.device': [...new Set(ways)].join(','), 'ds01.gpu.allocated': nothing.join(',') } })] });
    expect([claims.claims.map((claim) => claim.gpuUuid), claims.unresolved.length]).toEqual([[GPU0, GPU0, GPU0, GPU0], 16]);
  });

  it('what comes after hundreds of repetitions', () => {
    expect(claimed({ labels: { 'gpuctl.device': `${'0,'.repeat(5000)}1` } })).toEqual([GPU0, GPU1].toSorted());
  });

  it('nothing by what comes after 256 different entries, or after 64 KiB', () => {
    const nothing = Array.from({ length: 255 }, (_, n) => `nothing${n}`).join(',');
    expect([claimed(label('gpuctl.device', `${nothing},0`)), claimed(label('gpuctl.device', `${nothing},another,0`))]).toEqual([[GPU0], []]);
    expect([claimed(label('gpuctl.device', `${' '.repeat(65_535)}0`)), claimed(label('gpuctl.device', `${' '.repeat(65_536)}0`))]).toEqual([[GPU0], []]);
  });

  it('nothing by a label of the name of something that every object has', () => {
    expect(claimed({ labels: JSON.parse('{"__proto__": "0"}') as Record<string, string> })).toEqual([]);
  });
});

describe('where a number is not known', () => {
  it.each([['an index', '0'], ['a pair', '0:1']])('%s may mean any GPU', (_, id) => {
    expect(claimed(request({ deviceIds: [id] }), [gpuState(0, { index: null }), gpuState(1)])).toEqual(ALL);
  });

  it('a MIG UUID may be that of a MIG device whose UUID is not known', () => {
    const [first] = migState(1).migDevices;
    const nameless = [gpuState(0), migState(1, { migDevices: first === undefined ? [] : [{ ...first, uuid: null }] })];
    expect(claimed(request({ deviceIds: [MIG10] }), nameless)).toEqual([GPU1]);
  });

  it('a MIG UUID of the old kind names its GPU by itself', () => {
    expect(claimed(request({ deviceIds: [`MIG-${GPU0}/7/0`] }))).toEqual([GPU0]);
  });
});

describe('every claim', () => {
  it('says by what it is made', () => {
    const job = runningJob({
      deviceRequests: [{ driver: '', count: 0, deviceIds: ['0'], capabilities: [] }, { driver: 'cdi', count: 0, deviceIds: ['nvidia.com/gpu=0', 'odd'], capabilities: [] }],
      runtime: 'nvidia', env: ['NVIDIA_VISIBLE_DEVICES=0,nvidia.com/gpu=1'], deviceNodes: ['/dev/nvidia0', '/dev'], labels: { 'gpuctl.device': GPU0 },
    });
    const made = assessed({ gpus, containers: [job] }).claims.claims.map(({ source, reference }) => `${source} ${reference}`);
    expect(new Set(made)).toEqual(new Set(['device-request 0', 'cdi 0', 'cdi odd', 'environment 0', 'environment 1', 'device-node /dev/nvidia0', 'device-node /dev', `label ${GPU0}`]));
  });

  it('is a claim on the parent of a MIG device as well', () => {
    const { claims } = assessed({ gpus, containers: [runningJob(request({ deviceIds: [MIG10] }))] }).claims;
    expect(claims).toMatchObject([{ gpuUuid: GPU1, migUuid: MIG10 }]);
  });

  it.each<ContainerState>(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead', 'unknown'])('counts in the state %s', (state) => {
    expect(claimed({ ...request({ deviceIds: ['0'] }), state })).toEqual([GPU0]);
  });

  it('of a privileged container is what it refers to besides: privilege alone is no claim', () => {
    expect(claimed({ privileged: true })).toEqual([]);
  });

  it('is everything where the container could not be inspected', () => {
    const { claims, unresolved: none } = assessed({ gpus, containers: [{ inspected: false, id: JOB, name: 'job', state: 'running', why: 'timeout' }] }).claims;
    expect(claims.map((claim) => [claim.gpuUuid, claim.source, claim.startedAt])).toEqual([[GPU0, 'uninspected', null], [GPU1, 'uninspected', null]]);
    expect(none).toEqual([]);
  });

  it('is made by a live process on the device as well, by whatever way it got there', () => {
    const { claims } = assessed({ gpus, containers: [runningJob()], processes: [orphan({ cgroups: [`/docker/${JOB}`] })] }).claims;
    expect(claims).toMatchObject([{ containerId: JOB, startedAt: NOW - HOUR, gpuUuid: GPU0, source: 'live-process', reference: 'pid 4711', released: false }]);
  });

  it('is made by the process of a container that began after the list was made', () => {
    const { claims } = assessed({ gpus, processes: [orphan({ cgroups: [`/docker/${JOB}`] })], oddAnswers: [{ id: JOB, answer: 'running' }] }).claims;
    expect(claims).toEqual([{ containerId: JOB, containerName: JOB.slice(0, 12), containerState: 'running', startedAt: null, source: 'live-process', reference: 'pid 4711', gpuUuid: GPU0, migUuid: null, released: false }]);
  });

  it('is none of a container that is gone, whose process is left', () => {
    expect(assessed({ gpus, processes: [orphan()] }).claims.claims).toEqual([]);
  });

  it('is none of a process that a list shows which is not known', () => {
    expect(assessed({ gpus: [gpuState(0, { listUnknown: 'cut' })], processes: [orphan({ cgroups: [`/docker/${JOB}`] })], containers: [runningJob()] }).claims.claims).toEqual([]);
  });
});

describe('a live process', () => {
  const [board] = assessed({ gpus: [migState(1)] }).gpus as readonly [Gpu];
  const [first, second] = board.migDevices as readonly [MigDevice, MigDevice];
  const owner: Ownership = { kind: 'container', reason: 'running-container', containerId: JOB, name: 'late' };
  const claimBy = (row: Partial<GpuProcess>, migDevices: readonly MigDevice[] = board.migDevices, ownership = new Map([[4711, owner]])): readonly Claim[] => {
    const processes: readonly GpuProcess[] = [{ pid: 4711, type: 'C', name: '', usedMiB: null, gpuInstanceId: null, computeInstanceId: null, ...row }];
    const engine: EngineView = { kind: 'docker', engineId: null, version: null, containers: [], answers: [] };
    return decideClaims({ gpus: [{ ...board, migDevices, processes: { state: 'known', processes } }], engine, ownership, allocations: [], deviceLabels: [] }).claims;
  };

  it.each<[string, string | null, Partial<GpuProcess>, readonly MigDevice[]]>([
    ['the MIG device of its instances', MIG11, { gpuInstanceId: 2, computeInstanceId: 0 }, [first, second]],
    ['the only MIG device of its GPU instance', MIG10, { gpuInstanceId: 1 }, [first, second]],
    ['the one of two in its GPU instance', MIG11, { gpuInstanceId: 1, computeInstanceId: 1 }, [first, { ...second, gpuInstanceId: 1, computeInstanceId: 1 }]],
    ['the whole GPU where two could be meant', null, { gpuInstanceId: 1 }, [first, { ...second, gpuInstanceId: 1, computeInstanceId: 1 }]],
    ['the whole GPU where none has its compute instance', null, { gpuInstanceId: 1, computeInstanceId: 1 }, [first, second]],
    ['the whole GPU where none has its GPU instance', null, { gpuInstanceId: 9, computeInstanceId: 0 }, [first, second]],
    ['the whole GPU where its instance is not known, though that of a MIG device is not either', null, {}, [{ ...first, gpuInstanceId: null }]],
    ['the whole GPU where that MIG device has no name', null, { gpuInstanceId: 1 }, [{ ...first, uuid: null }]],
  ])('claims %s', (_, migUuid, row, migDevices) => {
    expect(claimBy(row, migDevices)).toMatchObject([{ gpuUuid: GPU1, migUuid, containerName: 'late' }]);
  });

  it('claims nothing for a container where nobody knows whose it is', () => {
    expect(claimBy({}, board.migDevices, new Map())).toEqual([]);
  });
});

describe('a released allocation', () => {
  const containers = [stopped(request({ deviceIds: ['0'] }))];
  const released = (containerState: Partial<InspectedContainer>, more = {}): readonly boolean[] =>
    assessed({ gpus, containers: [{ ...stopped(request({ deviceIds: ['0'] })), ...containerState }] }, { allocations: [allocation({ releasedAt: NOW - HOUR, releaseReason: 'hold-expired', ...more })] }).claims.claims.map((claim) => claim.released);

  it('takes the claims of its run away', () => {
    expect(released({})).toEqual([true]);
  });

  it('takes nothing away as long as it is open', () => {
    expect(assessed({ gpus, containers }, { allocations: [allocation()] }).claims.claims.map((claim) => claim.released)).toEqual([false]);
  });

  it('takes nothing away from a later run of the container', () => {
    expect(released({ startedAt: NOW - MINUTE })).toEqual([false]);
  });

  it.each<ContainerState>(['running', 'paused', 'restarting', 'unknown'])('takes nothing away from a container that is %s', (state) => {
    expect(released({ state })).toEqual([false]);
  });

  it('takes nothing away from another container', () => {
    expect(released({}, { containerId: 'f'.repeat(64) })).toEqual([false]);
  });
});
