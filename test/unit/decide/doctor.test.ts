import { describe, expect, it } from 'vitest';
import { type Check, decideHealthOfHost, type DoctorFacts, type EngineSeen } from '../../../src/decide/doctor.ts';
import type { DriverView, Gpu } from '../../../src/model/device.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { complete, failed, observed } from '../../../src/model/observation.ts';
import { read, unsupported } from '../../../src/model/reading.ts';

const NOW = Date.UTC(2026, 10, 22);
const gpu = { pciBusId: '00000000:3b:00.0', persistence: read(true), faults: [] as readonly string[] } as unknown as Gpu;
const driver: DriverView = { driverVersion: '570.1', attachedGpus: 1, gpus: [gpu] };
const engine: EngineSeen = { kind: 'docker', engineId: 'A', version: '29.0', api: '1.52', defaultRuntime: 'runc' };
const processes = { bootId: '', ownPids: [], listed: [], holders: [], shims: [] };
const ledger = { state: 'sound', sizeBytes: 1_572_864, engineId: 'A', newestAt: NOW - 1000 } as const;

const good: DoctorFacts = {
  now: NOW, isRoot: true, driver: complete(driver), processes: complete(processes), engineHost: 'unix:///s', engine: complete(engine), engineDoubt: null,
  cgroups: 'v2', lock: { state: 'free' }, ledgerFile: '/l', ledger, eventsFile: '/e', events: { state: 'writable', freeBytes: 2 ** 40 }, rotated: true,
  schedule: [], configWarnings: [], configSources: ['/c', '/d'],
};

const check = (id: string, change: Partial<DoctorFacts>): Check | undefined => decideHealthOfHost({ ...good, ...change }).find((each) => each.id === id);
const gpuWith = (part: Partial<Gpu>): DriverView => ({ ...driver, gpus: [{ ...gpu, ...part }] });
const offAt = (pciBusId: string): Gpu => ({ ...gpu, pciBusId, persistence: read(false) });

describe('what doctor makes of a host', () => {
  it('all of it is well where all of it is well, and nothing needs a remedy', () => {
    expect(decideHealthOfHost(good).map(({ id, verdict, message, remedy }) => [id, verdict, message, remedy])).toEqual([
      ['rights', 'ok', 'runs as root', null],
      ['configuration', 'ok', '/c, /d', null],
      ['nvidia-smi', 'ok', 'answers; driver 570.1, 1 GPU', null],
      ['gpus', 'ok', 'every attached GPU answers', null],
      ['persistence', 'ok', 'on, so that nvidia-smi answers at once', null],
      ['engine', 'ok', 'answers; docker 29.0, API 1.52, default runtime runc', null],
      ['processes', 'ok', 'runs in the pid namespace of the host', null],
      ['cgroups', 'ok', 'control groups v2', null],
      ['lock', 'ok', 'free', null],
      ['ledger', 'ok', '/l: sound, 1.5 MiB', null],
      ['events', 'ok', '/e can be written', null],
      ['logrotate', 'ok', 'the events file is rotated', null],
      ['clock', 'ok', '2026-11-22T00:00:00.000Z', null],
      ['schedule', 'ok', 'installed once, as the configuration asks for it', null],
    ]);
  });

  const warned: Finding = { id: 'x', severity: 'warning', subject: {}, message: 'nothing starts the jobs', remedy: 'install one' };
  const xid = 'see dmesg for Xid errors; the other GPUs are looked after meanwhile';
  const logrotate = 'write one to /etc/logrotate.d (the package brings one for /var/log/gpuctl)';
  const cases: readonly (readonly [what: string, id: string, verdict: Check['verdict'], message: string, remedy: string, change: Partial<DoctorFacts>])[] = [
    ['a user without rights', 'rights', 'failure', 'runs without root: what it may not see here is not known', 'run it as root, as the schedule does', { isRoot: false }],
    ['a configuration with mistakes that affect only themselves', 'configuration', 'warning', '2 warnings; the first: an exemption', 'gpuctl config check', { configWarnings: ['an exemption', 'another'] }],
    ['an nvidia-smi that is missing', 'nvidia-smi', 'failure', 'there is none', 'install the driver\'s tools, or set nvidia_smi.path', { driver: failed('not-installed', 'there is none') }],
    ['a driver that is not loaded', 'nvidia-smi', 'failure', 'no driver', 'load the driver: modprobe nvidia; see dmesg', { driver: failed('no-driver', 'no driver') }],
    ['a driver that was updated', 'nvidia-smi', 'failure', 'differs', 'the driver was updated under the running one: reboot, or reload its modules', { driver: failed('version-mismatch', 'differs') }],
    ['a host without boards', 'nvidia-smi', 'failure', 'none', 'see lspci -d 10de: and dmesg', { driver: failed('no-devices', 'none') }],
    ['an nvidia-smi that is slow', 'nvidia-smi', 'failure', 'late', 'see dmesg for Xid errors; raise nvidia_smi.timeout if it is only slow', { driver: failed('timeout', 'late') }],
    ['an nvidia-smi that hangs', 'nvidia-smi', 'failure', 'it outlived SIGKILL', 'it hangs in the kernel: see dmesg for Xid errors; a reboot is likely to be needed', { driver: failed('hung', 'it outlived SIGKILL') }],
    ['a board that breaks nvidia-smi', 'nvidia-smi', 'failure', 'lost', 'see dmesg for Xid errors; the board needs a reset or a reboot', { driver: failed('device-fault', 'lost') }],
    ['an nvidia-smi that nobody understands', 'nvidia-smi', 'failure', 'no XML', 'run nvidia-smi -q -x by hand and see what it says', { driver: failed('malformed', 'no XML') }],
    ['fewer GPUs than are attached, with what else is missing', 'gpus', 'warning', '2 are attached, 1 answer; gpu: lost; pid: hidden', xid, { driver: observed({ ...driver, attachedGpus: 2 }, [{ subject: 'gpu', why: 'lost' }, { subject: 'pid', why: 'hidden' }]) }],
    ['a partial document', 'gpus', 'warning', 'gpu: lost', xid, { driver: observed(driver, [{ subject: 'gpu', why: 'lost' }]) }],
    ['a GPU with an error text, which the document tells as well', 'gpus', 'warning', '00000000:3b:00.0: Unknown Error', xid, { driver: observed(gpuWith({ faults: ['Unknown Error'] }), [{ subject: '00000000:3b:00.0', why: 'Unknown Error' }]) }],
    ['a GPU without persistence', 'persistence', 'warning', 'off on 00000000:3b:00.0: each call of nvidia-smi initialises the board', 'systemctl enable --now nvidia-persistenced', { driver: complete(gpuWith({ persistence: read(false) })) }],
    ['several GPUs without persistence', 'persistence', 'warning', 'off on a, c: each call of nvidia-smi initialises the board', 'systemctl enable --now nvidia-persistenced', { driver: complete({ ...driver, attachedGpus: 3, gpus: [offAt('a'), gpu, offAt('c')] }) }],
    ['an engine that is away', 'engine', 'failure', 'unix:///s: nothing listens', 'start the engine: systemctl start docker', { engine: failed('refused', 'nothing listens') }],
    ['an engine without a socket', 'engine', 'failure', 'unix:///s: no such file', 'start the engine, or set engine.host to the socket that it listens on', { engine: failed('not-installed', 'no such file') }],
    ['an engine that may not be asked', 'engine', 'failure', 'unix:///s: EACCES', 'run it as root', { engine: failed('not-permitted', 'EACCES') }],
    ['an engine that hangs', 'engine', 'failure', 'unix:///s: late', 'the engine hangs: see its log; raise engine.timeout if it is only slow', { engine: failed('timeout', 'late') }],
    ['an engine of old', 'engine', 'failure', 'unix:///s: 1.39', 'gpuctl needs Docker 19.03 or later', { engine: failed('version-mismatch', '1.39') }],
    ['an engine that nobody understands', 'engine', 'failure', 'unix:///s: no JSON', 'see the log of the engine', { engine: failed('malformed', 'no JSON') }],
    ['another engine than the ledger\'s', 'engine', 'failure', 'docker 29.0, API 1.52, default runtime runc: its id is B, the ledger knows A, so nothing is ended or reset', 'if the engine was reinstalled on purpose: gpuctl doctor --accept-engine', { engine: complete({ ...engine, engineId: 'B' }) }],
    ['an engine of another kind', 'engine', 'failure', 'podman of unknown version, API 1.52, default runtime not known: the ledger knows docker, so nothing is ended or reset', 'if podman has taken its place on purpose: gpuctl doctor --accept-engine', { engine: complete({ ...engine, kind: 'podman', engineId: null, version: null, defaultRuntime: null }), ledger: { ...ledger, engineKind: 'docker' } }],
    ['an engine that forgot a container', 'engine', 'failure', 'docker 29.0, API 1.52, default runtime runc: a container has a live shim', 'end what is left of those containers, or point engine.host to the engine that runs them; where they are to be left alone for good: gpuctl doctor --accept-engine', { engineDoubt: 'a container has a live shim' }],
    ['podman', 'engine', 'warning', 'podman 29.0, API 1.52, default runtime runc: claims and limits work, orphaned processes are reported and never ended', 'nothing, if that is what is wanted', { engine: complete({ ...engine, kind: 'podman', engineId: null }) }],
    ['a pid namespace of its own', 'processes', 'failure', 'not the pid namespace of the host', 'run it on the host itself, not in a container', { processes: failed('untrusted', 'not the pid namespace of the host') }],
    ['processes that cannot be read', 'processes', 'warning', '7: hidden; 8: EACCES', 'what is not readable is left alone', { processes: observed(processes, [{ subject: '7', why: 'hidden' }, { subject: '8', why: 'EACCES' }]) }],
    ['no control groups', 'cgroups', 'failure', 'no control groups are mounted: whose a process is cannot be told', 'mount /sys/fs/cgroup', { cgroups: null }],
    ['a lock that cannot be used', 'lock', 'failure', 'it is a link', 'passes run as root, need flock (util-linux) and a /run that can be written', { lock: { state: 'unusable', why: 'it is a link' } }],
    ['a ledger that cannot be read', 'ledger', 'failure', '/l: malformed', 'run it as root; a damaged ledger is set aside by the next pass, nothing of it is lost', { ledger: { state: 'unreadable', why: 'malformed' } }],
    ['events that cannot be written', 'events', 'failure', '/e cannot be written: EROFS', 'set events.file, or make its folder writable for root', { events: { state: 'unwritable', why: 'EROFS' } }],
    ['a disk that is nearly full', 'events', 'warning', '/e: only 1.0 MiB are left on its file system', 'free some space', { events: { state: 'writable', freeBytes: 2 ** 20 } }],
    ['a log that nobody rotates', 'logrotate', 'warning', 'no rule of logrotate names /e: it grows for ever', logrotate, { rotated: false }],
    ['rules of logrotate that cannot be read', 'logrotate', 'warning', 'the rules of logrotate could not be read', logrotate, { rotated: null }],
    ['a clock that lost its battery', 'clock', 'failure', 'it says 1970-01-01T00:00:05.000Z, which is past', 'set the clock: timedatectl set-ntp true', { now: 5000 }],
    ['a clock that was put back', 'clock', 'warning', 'it says 2026-11-22T00:00:00.000Z, but the ledger remembers 2026-11-22T00:01:00.001Z: it was put back', 'set the clock: timedatectl set-ntp true; ages are counted as unknown until then', { ledger: { ...ledger, newestAt: NOW + 60_001 } }],
    ['a schedule with a finding', 'schedule', 'warning', 'nothing starts the jobs', 'install one', { schedule: [{ ...warned, severity: 'info', message: 'it is noon' }, warned] }],
  ];
  it.each(cases)('%s is told under %s as a %s with its remedy, and nothing else changes', (_, id, verdict, message, remedy, change) => {
    const changed = decideHealthOfHost({ ...good, ...change }).filter((each) => each.verdict !== 'ok');
    expect(changed.filter((each) => each.id === id)).toEqual([{ id, verdict, message, remedy }]);
    // Without nvidia-smi there is no GPU to ask about persistence.
    expect(changed.map((each) => each.id)).toEqual(id === 'nvidia-smi' ? ['nvidia-smi', 'persistence'] : [id]);
  });

  it('without nvidia-smi, or a GPU, it is not known whether persistence is on', () => {
    for (const seen of [failed('timeout', 'late'), complete({ ...driver, attachedGpus: 0, gpus: [] })]) {
      expect(check('persistence', { driver: seen })).toEqual({ id: 'persistence', verdict: 'warning', message: 'not known: no GPU was seen', remedy: 'see nvidia-smi above' });
    }
    expect(check('gpus', { driver: failed('timeout', 'late') })).toBeUndefined();
  });

  it('a mode that a board does not tell is not off, and not on either', () => {
    expect(check('persistence', { driver: complete(gpuWith({ persistence: unsupported })) })).toMatchObject({ verdict: 'ok', message: 'nvidia-smi does not tell it of 00000000:3b:00.0' });
    const silent = (pciBusId: string): Gpu => ({ ...gpu, pciBusId, persistence: unsupported }) as Gpu;
    expect(check('persistence', { driver: complete({ ...driver, attachedGpus: 3, gpus: [silent('a'), gpu, silent('c')] }) })).toMatchObject({ verdict: 'ok', message: 'nvidia-smi does not tell it of a, c' });
    expect(check('persistence', { driver: complete({ ...driver, attachedGpus: 2, gpus: [offAt('a'), { ...gpu, persistence: unsupported }] }) })?.message).toMatch(/^off on a:/);
  });

  it('a driver that tells neither its version nor how many are attached is asked no more of', () => {
    expect(check('nvidia-smi', { driver: complete({ ...driver, driverVersion: null }) })?.message).toBe('answers; driver of unknown version, 1 GPU');
    for (const attachedGpus of [null, 1, 0]) expect(check('gpus', { driver: complete({ ...driver, attachedGpus }) })?.verdict).toBe('ok');
  });

  it('no configuration file means the built-in defaults', () => {
    expect(check('configuration', { configSources: [] })).toMatchObject({ verdict: 'ok', message: 'no file: the built-in defaults apply, and nothing is stopped or removed' });
  });

  it('an engine without an id, or a ledger that knows none, or is none, is no other engine', () => {
    expect(check('engine', { engine: complete({ ...engine, engineId: null }) })?.verdict).toBe('ok');
    expect(check('engine', { ledger: { ...ledger, engineId: null, engineKind: null } })?.verdict).toBe('ok');
    expect(check('engine', { ledger: { ...ledger, engineKind: 'docker' } })?.verdict).toBe('ok');
    for (const none of [{ state: 'none' }, { state: 'unreadable', why: 'malformed' }] as const) expect(check('engine', { ledger: none, engine: complete({ ...engine, engineId: 'B' }) })?.verdict).toBe('ok');
  });

  it('what a user may not read is told under rights, not once more under processes', () => {
    const partial = observed(processes, [{ subject: '7', why: 'hidden' }]);
    expect(check('processes', { processes: partial, isRoot: false })).toMatchObject({ verdict: 'ok' });
  });

  it('a hundred MiB are enough for events, and what is not known is not little', () => {
    for (const freeBytes of [100 * 2 ** 20, null]) expect(check('events', { events: { state: 'writable', freeBytes } })?.verdict).toBe('ok');
    expect(check('events', { events: { state: 'writable', freeBytes: 100 * 2 ** 20 - 1 } })?.verdict).toBe('warning');
  });

  it('a lock that a pass holds, a ledger that does not exist yet and a clock within a minute are in order', () => {
    expect(check('lock', { lock: { state: 'held', pids: [12] } })).toMatchObject({ verdict: 'ok', message: 'held by a pass that runs (pid 12)' });
    expect(check('lock', { lock: { state: 'held', pids: [12, 13] } })?.message).toBe('held by a pass that runs (pid 12, 13)');
    expect(check('lock', { lock: { state: 'held', pids: [] } })).toMatchObject({ verdict: 'ok', message: 'held by a pass that runs' });
    expect(check('ledger', { ledger: { state: 'none' } })).toMatchObject({ verdict: 'ok', message: '/l will be begun by the first pass' });
    for (const newestAt of [NOW + 60_000, null]) expect(check('clock', { ledger: { ...ledger, newestAt } })?.verdict).toBe('ok');
    expect(check('clock', { ledger: { state: 'none' } })?.verdict).toBe('ok');
    expect(check('clock', { now: 1_790_000_000_000, ledger: { state: 'none' } })?.verdict, 'the earliest that can be').toBe('ok');
  });
});
