import { describe, expect, it } from 'vitest';
import { type BlockerFacts, blockersOf } from '../../../src/decide/blockers.ts';
import type { Gpu } from '../../../src/model/device.ts';
import type { History } from '../../../src/model/history.ts';
import { failed, observed } from '../../../src/model/observation.ts';
import type { NodeHolder } from '../../../src/model/process.ts';
import { misread, read } from '../../../src/model/reading.ts';
import { type HostState, plainContainer } from '../../property/host.ts';
import { judged } from '../../property/rules.ts';
import { GONE, GPU0, HOUR, JOB, MINUTE, NOW, orphan, runningJob, STRANGE, worldOf } from './good-case.ts';

/** A board against which nothing stands, after one change of the host and one of what is asked. */
function factsOf(host: Partial<HostState> = {}, more: Partial<BlockerFacts> = {}): BlockerFacts {
  const { gpus: [gpu], snapshot, claims, ownership, history } = judged(worldOf(host));
  if (gpu === undefined) throw new Error('the good case has a GPU');
  return { gpu, engine: snapshot.engine, claims: claims.claims, processes: snapshot.processes, ownership, history, rules: { cooldownMs: 6 * HOUR, maxPerDay: 3, pauseServices: ['dcgm.service'] }, now: NOW, ...more };
}

function textOf(facts: BlockerFacts): readonly string[] {
  return blockersOf(facts).map(({ what, wayOut }) => `${what} – ${wayOut}`);
}

function withBoard(more: Partial<Gpu>): BlockerFacts {
  const facts = factsOf();
  return { ...facts, gpu: { ...facts.gpu, ...more } };
}

const asking = (...deviceIds: readonly string[]): Parameters<typeof runningJob>[0] => ({ deviceRequests: [{ driver: '', count: 0, deviceIds, capabilities: [['gpu']] }] });
const holder = (more: Partial<NodeHolder>): Partial<HostState> => ({ processes: [orphan({ pid: 600, command: 'nv-hostengine', rows: [], cgroups: ['/'], ...more })] });
const reset = (ago: number, gpuUuid = GPU0): History['resets'][number] => ({ gpuUuid, at: NOW - ago, succeeded: true });
const withHistory = (more: Partial<History>): BlockerFacts => factsOf({}, { history: { ...factsOf().history, ...more } });

it('nothing stands against the good case', () => {
  expect(textOf(factsOf())).toEqual([]);
});

describe('an admin reads of a container', () => {
  it('by which ways it claims the device, each once, and what frees it', () => {
    const job = runningJob({ ...asking('0'), labels: { 'gpuctl.device': GPU0 } });
    expect(textOf(factsOf({ containers: [job] }))).toEqual([`container job (running) claims it by device-request 0, label ${GPU0} – stop it, or wait for it to end`]);
    const facts = factsOf({ containers: [runningJob(asking('0'))] });
    expect(textOf({ ...facts, claims: [...facts.claims, ...facts.claims] })).toEqual(['container job (running) claims it by device-request 0 – stop it, or wait for it to end']);
  });

  it.each(['created', 'exited', 'dead'] as const)('that it can be removed where it is %s', (state) => {
    expect(textOf(factsOf({ containers: [runningJob({ ...asking('0'), state })] }))).toEqual([`container job (${state}) claims it by device-request 0 – remove it, or wait until its hold has passed`]);
  });

  it('of each of several, and of none that claims another board', () => {
    const containers = [runningJob(asking('0')), plainContainer(GONE, { name: 'other', ...asking('0') }), plainContainer(STRANGE, { name: 'elsewhere', ...asking('1') })];
    expect(textOf(factsOf({ containers })).map((text) => text.split(' claims')[0])).toEqual(['container job (running)', 'container other (running)']);
  });

  it('that nobody could look into it', () => {
    const containers = [{ inspected: false, id: JOB, name: 'job', state: 'running', why: 'timeout' }] as const;
    expect(textOf(factsOf({ containers }))).toEqual(['container job could not be inspected, so it may claim any device – look why the engine cannot inspect it']);
  });

  it('that the engine was not seen at all', () => {
    expect(textOf(factsOf({}, { engine: failed('timeout', 'it did not answer') }))).toEqual(['the container engine was not observed: it did not answer – make the engine answer; gpuctl tries again at its next pass']);
  });
});

describe('an admin reads of a process on the device', () => {
  it.each<[string, Partial<HostState>, string]>([
    ['an orphan', { processes: [orphan({ holds: [] })] }, 'process 4711 is on it (orphan) – release-stale ends it'],
    ['anybody else', { processes: [orphan({ cgroups: ['/'], holds: [] })] }, 'process 4711 is on it (stray) – its owner must end it'],
  ])('what ends it: %s', (_, host, text) => {
    expect(textOf(factsOf(host))).toEqual([text]);
  });

  it('that it is there, though nobody asked whose it is', () => {
    expect(textOf(factsOf({ processes: [orphan()] }, { ownership: new Map() }))).toEqual(['process 4711 is on it (unknown) – its owner must end it']);
  });

  it('that it is there, though /proc said nothing', () => {
    expect(textOf(factsOf({ processes: [orphan()] }, { processes: failed('error', 'EIO') }))).toEqual([
      'process 4711 is on it (orphan) – release-stale ends it',
      '/proc could not be read completely: EIO – run as root, where /proc hides nothing',
    ]);
  });

  it('why the list is not known', () => {
    expect(textOf(withBoard({ processes: { state: 'unknown', why: 'it was cut' } }))).toEqual(['its process list is not known: it was cut – nvidia-smi must answer in full']);
  });
});

describe('an admin reads of the device node', () => {
  it.each<[string, Partial<HostState>, string]>([
    ['a process', holder({}), 'process 600 (nv-hostengine) has /dev/nvidia0 open – end process 600'],
    ['a process whose groups cannot be read', holder({ cgroups: null }), 'process 600 (nv-hostengine) has /dev/nvidia0 open – end process 600'],
    ['a name that would drive the terminal', holder({ command: 'x\u001b[2J' }), 'process 600 (x\\u{1b}[2J) has /dev/nvidia0 open – end process 600'],
    ['a service', holder({ cgroups: ['/system.slice/other.service'] }), 'process 600 (nv-hostengine) of other.service has /dev/nvidia0 open – systemctl stop other.service, or list it under reset.pause_services'],
    ['a container', holder({ cgroups: [`/docker/${GONE}`] }), `process 600 (nv-hostengine) has /dev/nvidia0 open – stop container ${GONE.slice(0, 12)}`],
    ['a session', holder({ cgroups: ['/user.slice/user-1000.slice/session-3.scope'] }), 'process 600 (nv-hostengine) has /dev/nvidia0 open – it belongs to a user session: whoever runs it must end it'],
    ['root in a session, who calls himself nvidia-persistenced', holder({ cgroups: ['/user.slice/user-0.slice/session-3.scope'], uid: 0, command: 'nvidia-persiste' }), 'process 600 (nvidia-persiste) has /dev/nvidia0 open – it belongs to a user session: whoever runs it must end it'],
    ['a service that may be stopped', holder({ cgroups: ['/system.slice/dcgm.service'] }), 'dcgm.service has the device node open (pid 600) – nothing to do: the reset stops it and starts it again'],
    ['nvidia-persistenced', holder({ cgroups: ['/system.slice/nvidia-persistenced.service'] }), 'nvidia-persistenced (pid 600) has the device node open – nothing to do: the reset turns persistence off and on again for this GPU where needed'],
  ])('who has it open, and what helps: %s', (_, host, text) => {
    expect(textOf(factsOf(host))).toEqual([text]);
  });

  it('that no service may be stopped where none is listed', () => {
    const facts = factsOf(holder({ cgroups: ['/system.slice/dcgm.service'] }));
    expect(blockersOf({ ...facts, rules: { cooldownMs: 0, maxPerDay: 3 } })).toMatchObject([{ kind: 'node-holder', hard: true }]);
  });

  it('that whoever is not known has it open, where the process list is not known either', () => {
    const facts = factsOf({ processes: [orphan()] }, { ownership: new Map() });
    expect(textOf({ ...facts, gpu: { ...facts.gpu, processes: { state: 'unknown', why: 'cut' } } })[1]).toBe(`process 4711 (python3) has /dev/nvidia0 open – stop container ${GONE.slice(0, 12)}`);
  });

  it('what of /proc could not be read, three of it', () => {
    const { processes } = factsOf();
    if (processes.state === 'failed') throw new Error('the processes are known');
    const missing = [1, 2, 3, 4].map((pid) => ({ subject: `pid ${pid}`, why: 'hidden' }));
    expect(textOf(factsOf({}, { processes: observed(processes.value, missing) }))).toEqual(['/proc could not be read completely: pid 1: hidden; pid 2: hidden; pid 3: hidden – run as root, where /proc hides nothing']);
  });

  it('that nobody asked', () => {
    const { processes } = factsOf();
    if (processes.state === 'failed') throw new Error('the processes are known');
    expect(textOf(factsOf({}, { processes: observed({ ...processes.value, holders: null }, []) }))).toEqual(['it was not asked who has the device node open – a pass that may reset asks: gpuctl release-stale']);
  });
});

describe('an admin reads of the board', () => {
  const mig = { uuid: null, index: 0, profile: null, gpuInstanceId: null, computeInstanceId: null, totalMiB: read(1), usedMiB: read(1) };

  it.each<[Partial<Gpu>, string]>([
    [{ migCurrent: misread('?') }, 'its MIG mode could not be read – nvidia-smi must answer in full'],
    [{ migCurrent: read(true) }, 'MIG is enabled: a reset would hurt everybody on it – drain it, then: nvidia-smi -mig 0 -i 00000000:10:00.0'],
    [{ migCurrent: read(true), migDevices: [mig, mig] }, 'MIG is enabled with 2 devices: a reset would hurt everybody on it – drain it, then: nvidia-smi -mig 0 -i 00000000:10:00.0'],
    [{ displayActive: read(true) }, 'a display is active on it, or it could not be read – stop the display server: systemctl isolate multi-user.target'],
    [{ recovery: read('reboot') }, 'the driver asks for the recovery action reboot, and a reset of the GPU is not that – see the finding'],
    [{ faults: ['GPU requires reset', 'A', 'B', 'C', 'D'] }, 'the driver reports: A, B, C – see the finding; a lost GPU needs a reboot'],
  ])('%j', (more, text) => {
    expect(textOf(withBoard(more))).toEqual([text]);
  });
});

describe('an admin reads of the past', () => {
  it.each<[Partial<History>, string]>([
    [{ resets: [reset(7 * HOUR), reset(HOUR)] }, 'it was reset at 2026-11-22T08:05:00.000Z – wait until 2026-11-22T14:05:00.000Z'],
    [{ vainPauses: [{ gpuUuid: GPU0, at: NOW - MINUTE }] }, 'services were stopped for its reset at 2026-11-22T09:04:00.000Z, and it did not take place – wait until 2026-11-22T15:04:00.000Z'],
    [{ quarantined: [GPU0], resets: [reset(7 * HOUR)] }, `it is in quarantine; it was reset 1 time in 24 hours – have the board checked, then: gpuctl quarantine clear ${GPU0}`],
  ])('%j', (history, text) => {
    expect(textOf(withHistory(history))).toEqual([text]);
  });

  it.each<[string, Partial<History>]>([
    ['another board was reset thrice', { resets: [7, 8, 9].map((hours) => reset(hours * HOUR, 'GPU-other')) }],
    ['it was reset thrice, the first time a whole day ago', { resets: [24, 8, 7].map((hours) => reset(hours * HOUR)) }],
    ['services were stopped in vain as long ago as the cool-down is', { vainPauses: [{ gpuUuid: GPU0, at: NOW - 6 * HOUR }] }],
  ])('nothing, where %s', (_, history) => {
    expect(textOf(withHistory(history))).toEqual([]);
  });

  it.each([2 * MINUTE, MINUTE])('one cool-down, where a reset followed the stop that was in vain or came with it: %i ms ago', (ago) => {
    expect(textOf(withHistory({ resets: [reset(MINUTE)], vainPauses: [{ gpuUuid: GPU0, at: NOW - ago }] }))).toEqual(['it was reset at 2026-11-22T09:04:00.000Z – wait until 2026-11-22T15:04:00.000Z']);
  });

  it('nothing, where the ledger knows of no stops in vain', () => {
    const { vainPauses: _, ...history } = factsOf().history;
    expect(textOf(factsOf({}, { history }))).toEqual([]);
  });
});
