import { describe, expect, it } from 'vitest';
import { type Check, decideHealthOfHost, type DoctorFacts, type EngineSeen } from '../../../src/decide/doctor.ts';
import type { DriverView, Gpu } from '../../../src/model/device.ts';
import { complete, failed, observed } from '../../../src/model/observation.ts';
import { read } from '../../../src/model/reading.ts';

const NOW = Date.UTC(2026, 10, 22);
const gpu = { pciBusId: '00000000:3b:00.0', persistence: read(true), faults: [] as readonly string[] } as unknown as Gpu;
const driver: DriverView = { driverVersion: '570.1', attachedGpus: 1, gpus: [gpu] };
const engine: EngineSeen = { kind: 'docker', engineId: 'A', version: '29.0', api: '1.52', defaultRuntime: 'runc' };
const processes = { bootId: '', ownPids: [], listed: [], holders: [], shims: [] };
const ledger = { state: 'sound', sizeBytes: 4096, engineId: 'A', newestAt: NOW - 1000 } as const;

const good: DoctorFacts = {
  now: NOW, isRoot: true, driver: complete(driver), processes: complete(processes), engineHost: 'unix:///s', engine: complete(engine), engineDoubt: null,
  cgroups: 'v2', lock: { state: 'free' }, ledgerFile: '/l', ledger, eventsFile: '/e', events: { state: 'writable', freeBytes: 2 ** 40 }, rotated: true,
  schedule: [], configWarnings: [], configSources: ['/c'],
};

const check = (id: string, change: Partial<DoctorFacts>): Check | undefined => decideHealthOfHost({ ...good, ...change }).find((each) => each.id === id);
const gpuWith = (part: Partial<Gpu>): DriverView => ({ ...driver, gpus: [{ ...gpu, ...part }] });

describe('what doctor makes of a host', () => {
  it('all of it is well where all of it is well, and nothing needs a remedy', () => {
    for (const each of decideHealthOfHost(good)) expect(each).toMatchObject({ verdict: 'ok', remedy: null });
  });

  const cases: readonly (readonly [what: string, id: string, verdict: Check['verdict'], message: RegExp, change: Partial<DoctorFacts>])[] = [
    ['a user without rights', 'rights', 'failure', /without root/, { isRoot: false }],
    ['a configuration with a mistake that affects only itself', 'configuration', 'warning', /exemption/, { configWarnings: ['an exemption'] }],
    ['an nvidia-smi that is missing', 'nvidia-smi', 'failure', /not installed/, { driver: failed('not-installed', 'nvidia-smi is not installed') }],
    ['an nvidia-smi that hangs', 'nvidia-smi', 'failure', /outlived/, { driver: failed('hung', 'it outlived SIGKILL') }],
    ['fewer GPUs than are attached', 'gpus', 'warning', /2 are attached, 1 answer/, { driver: complete({ ...driver, attachedGpus: 2 }) }],
    ['a partial document', 'gpus', 'warning', /gpu: lost/, { driver: observed(driver, [{ subject: 'gpu', why: 'lost' }]) }],
    ['a GPU with an error text', 'gpus', 'warning', /3b:00.0: Unknown Error/, { driver: complete(gpuWith({ faults: ['Unknown Error'] })) }],
    ['a GPU without persistence', 'persistence', 'warning', /off on 00000000:3b:00.0/, { driver: complete(gpuWith({ persistence: read(false) })) }],
    ['no GPU to ask about persistence', 'persistence', 'warning', /not known/, { driver: failed('timeout', '') }],
    ['an engine that is away', 'engine', 'failure', /nothing listens/, { engine: failed('refused', 'nothing listens') }],
    ['another engine than the ledger\'s', 'engine', 'failure', /its id is B, the ledger knows A/, { engine: complete({ ...engine, engineId: 'B' }) }],
    ['an engine that forgot a container', 'engine', 'failure', /live shim/, { engineDoubt: 'a container has a live shim' }],
    ['podman', 'engine', 'warning', /never ended/, { engine: complete({ ...engine, kind: 'podman', engineId: null }) }],
    ['a pid namespace of its own', 'processes', 'failure', /namespace/, { processes: failed('untrusted', 'not the pid namespace of the host') }],
    ['a process that cannot be read', 'processes', 'warning', /7: hidden/, { processes: observed(processes, [{ subject: '7', why: 'hidden' }]) }],
    ['no control groups', 'cgroups', 'failure', /cannot be told/, { cgroups: null }],
    ['a lock that cannot be used', 'lock', 'failure', /link/, { lock: { state: 'unusable', why: 'it is a link' } }],
    ['a ledger that cannot be read', 'ledger', 'failure', /malformed/, { ledger: { state: 'unreadable', why: 'malformed' } }],
    ['events that cannot be written', 'events', 'failure', /EROFS/, { events: { state: 'unwritable', why: 'EROFS' } }],
    ['a disk that is nearly full', 'events', 'warning', /only 1.0 MiB/, { events: { state: 'writable', freeBytes: 2 ** 20 } }],
    ['a log that nobody rotates', 'logrotate', 'warning', /grows for ever/, { rotated: false }],
    ['rules of logrotate that cannot be read', 'logrotate', 'warning', /could not be read/, { rotated: null }],
    ['a clock that lost its battery', 'clock', 'failure', /1970/, { now: 5000 }],
    ['a clock that was put back', 'clock', 'warning', /put back/, { ledger: { ...ledger, newestAt: NOW + 3_600_000 } }],
    ['a schedule with a finding', 'schedule', 'warning', /nothing starts/, { schedule: [{ id: 'x', severity: 'warning', subject: {}, message: 'nothing starts the jobs', remedy: 'install' }] }],
  ];
  it.each(cases)('%s is told under %s as a %s with its remedy, and nothing else changes', (_, id, verdict, message, change) => {
    const found = check(id, change);
    expect(found?.verdict).toBe(verdict);
    expect(found?.message).toMatch(message);
    expect(found?.remedy).not.toBe(null);
  });

  it('a lock that a pass holds, a ledger that does not exist yet and a clock within a minute are in order', () => {
    expect(check('lock', { lock: { state: 'held', pids: [12] } })).toMatchObject({ verdict: 'ok', message: 'held by a pass that runs (pid 12)' });
    expect(check('ledger', { ledger: { state: 'none' } })?.verdict).toBe('ok');
    expect(check('clock', { ledger: { ...ledger, newestAt: NOW + 30_000 } })?.verdict).toBe('ok');
  });
});
