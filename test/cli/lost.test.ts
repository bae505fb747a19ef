import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readState } from '../../src/observe/proc/state.ts';
import { readBootId } from '../../src/observe/proc/self.ts';
import { openLedger, type OpenLedger } from '../../src/record/ledger/open.ts';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine } from './fake-engine.ts';
import { GPUCTL, gpuctlAsUser, reportIn, useHost } from './workbench.ts';

const GONE = idOf('dead');

function withLedger<T>(host: Host, work: (ledger: OpenLedger) => T): T {
  const ledger = openLedger({ file: join(host.stateDir, 'ledger.db'), now: Date.now, mode: 'write' });
  try {
    return work(ledger);
  } finally {
    ledger.close();
  }
}

/** What the kernel shows of GPUs, in the place of this machine's: a folder for the bus, and one for the module. */
function kernelShows(host: Host, busIds: readonly (readonly [busId: string, driver: string | null])[], moduleVersion: string | null): readonly string[] {
  const [pci, modules] = [join(host.dir, 'pci'), join(host.dir, 'module')];
  for (const [busId, driver] of busIds) {
    const folder = join(pci, busId);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'vendor'), '0x10de\n');
    writeFileSync(join(folder, 'class'), '0x030200\n');
    if (driver !== null) symlinkSync(`../../../bus/pci/drivers/${driver}`, join(folder, 'driver'));
  }
  mkdirSync(pci, { recursive: true });
  mkdirSync(join(modules, 'nvidia'), { recursive: true });
  if (moduleVersion !== null) writeFileSync(join(modules, 'nvidia', 'version'), `${moduleVersion}\n`);
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', 'mount --bind "$0" /sys/bus/pci/devices && mount --bind "$1" /sys/module && shift && exec "$@"', pci, modules, GPUCTL];
}

/** As sysfs writes it. */
function sysfs(busId: string): string {
  return busId.slice(4).toLowerCase();
}

describe('a GPU of the inventory that nvidia-smi does not show any more', () => {
  it('is a critical finding with its UUID, its bus id and the time, while the others are worked on', async () => {
    const host = useHost({ gpus: 2, driver: '590.48.01' });
    await useEngine(host);
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 0 });
    const lost = host.gpu(1);
    const orphan = await host.process({ cgroup: `docker/${GONE}` });
    host.listOn(0, orphan);
    host.fault({ kind: 'drop-gpu', gpu: lost.uuid });
    const found = reportIn(await host.gpuctl(['release-stale', '--json']));
    expect(found.findings.find(({ id }) => id === 'gpu.lost')).toMatchObject({ severity: 'critical', subject: { gpu: lost.uuid }, message: expect.stringMatching(new RegExp(`${lost.uuid}.*${lost.busId.toLowerCase()}.*missing since \\d{4}-`)) });
    expect(orphan.isAlive()).toBe(false);
    const later = reportIn(await host.gpuctl(['health-check', '--json', '--device', lost.uuid]));
    expect(later.findings.map(({ id }) => id)).toContain('gpu.lost');
    const told = await host.gpuctl(['explain', lost.busId]);
    expect(told.stdout).toMatch(new RegExp(`${lost.uuid} on [\\s\\S]*Remembered[\\s\\S]*missing since \\d{4}-[\\s\\S]*gpu.lost`));
    expect(found.exit).toBe(1);
    host.clearFaults();
    expect(reportIn(await host.gpuctl(['release-stale', '--json'])).findings.map(({ id }) => id)).not.toContain('gpu.lost');
  });

  it('may be the only one: "no devices" is an answer', async () => {
    const host = useHost({ gpus: 1 });
    await useEngine(host);
    await host.gpuctl(['sample']);
    host.updateWorld((world) => { world.gpus = []; });
    const { findings, exit } = reportIn(await host.gpuctl(['health-check', '--json']));
    expect(findings.map(({ id }) => id)).toContain('gpu.lost');
    expect(exit).toBe(3);
  });
});

describe('what the kernel says', () => {
  it('of a GPU on the PCI bus that nvidia-smi does not show is a finding; one that a virtual machine has is none', async () => {
    const host = useHost({ gpus: 1, driver: '590.48.01' });
    await useEngine(host);
    const program = kernelShows(host, [[sysfs(host.gpu(0).busId), 'nvidia'], ['0000:f1:00.0', 'nvidia'], ['0000:f2:00.0', null], ['0000:f3:00.0', 'vfio-pci']], '590.48.01');
    const { findings } = reportIn(await host.gpuctl(['health-check', '--json'], { program }));
    expect(findings.filter(({ id }) => id === 'gpu.unlisted').map(({ severity, message }) => [severity, /at (\S+),/.exec(message)?.[1]])).toEqual([['critical', '00000000:f1:00.0'], ['warning', '00000000:f2:00.0']]);
    expect(findings.map(({ id }) => id)).not.toContain('driver.mismatch');
  });

  it.each([
    ['the library refuses', (host: Host) => { host.fault({ kind: 'exit', code: 18 }); }, '535.183.01'],
    ['nvidia-smi answers', () => undefined, '535.183.01'],
  ] as const)('of a module of another version than the driver\'s is a finding that advises no reset (%s)', async (_, arrange, version) => {
    const host = useHost({ gpus: 1, driver: '590.48.01' });
    await useEngine(host);
    arrange(host);
    const { findings } = reportIn(await host.gpuctl(['health-check', '--json'], { program: kernelShows(host, [], version) }));
    const mismatch = findings.find(({ id }) => id === 'driver.mismatch');
    expect(mismatch).toMatchObject({ severity: 'critical', message: expect.stringContaining(version) });
    expect(mismatch?.remedy).toMatch(/reboot the host/);
    expect(mismatch?.remedy).not.toMatch(/reset/);
  });
});

describe('an nvidia-smi that hangs and cannot be ended', () => {
  it('is remembered: no pass asks while it lives, one probes when it is gone, and an answer lifts it', async () => {
    const host = useHost({ gpus: 2, driver: '590.48.01' });
    await useEngine(host);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, nvidia_smi: { timeout: '1s' } });
    host.fault({ kind: 'hang', style: 'unreapable' });
    const first = await host.gpuctl(['release-stale', '--json']);
    expect(first.exitCode).toBe(3);
    expect(reportIn(first).findings.find(({ id }) => id === 'driver.hung')).toMatchObject({ severity: 'critical' });
    expect(host.calls()).toHaveLength(1);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toMatchObject({ bootId: readBootId() });

    // As the kernel keeps one: a process that is there for as long as the test wants.
    const stuck = await host.process({ cgroup: `docker/${GONE}` });
    withLedger(host, (ledger) => { ledger.recordHung({ since: Date.now(), bootId: readBootId() ?? '', pid: stuck.pid, startTicks: stuck.startTicks }); });
    host.clearFaults();
    for (const args of [['sample'], ['release-stale', '--dry-run'], ['health-check'], ['doctor']]) await host.gpuctl(args);
    const told = reportIn(await host.gpuctl(['check-idle', '--json']));
    expect(told.findings.find(({ id }) => id === 'driver.hung')?.message).toContain(`process ${stuck.pid} is still there`);
    expect(host.calls()).toHaveLength(1);

    await stuck.end();
    expect(readState(stuck.pid)).toBeNull();
    // Neither a report nor a dry run may probe, nor a user's report, which does not see the latch either.
    await host.gpuctl(['health-check']);
    await host.gpuctl(['release-stale', '--dry-run']);
    expect(host.calls()).toHaveLength(1);
    expect(reportIn(await host.gpuctl(['sample', '--json'])).observed.nvidia_smi).toBe('complete');
    expect(host.calls().slice(1, 3).map(({ args }) => args)).toEqual([['-L'], ['-L']]);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toBeNull();
  });

  it('is remembered where it was to reset a GPU as well: neither that pass nor the next asks another', async () => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }], driver: '590.48.01', deviceNodes: true });
    await useEngine(host);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, nvidia_smi: { timeout: '2s' } });
    host.fault({ kind: 'hang', style: 'unreapable', on: ['reset'] });
    expect((await host.gpuctl(['reset', '0', '--yes'])).exitCode).toBe(3);
    expect(host.calls().at(-1)?.args).toEqual(['-r', '-i', host.gpu(0).busId]);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toMatchObject({ bootId: readBootId() });
    const asked = host.calls().length;
    expect((await host.gpuctl(['health-check', '--dry-run'])).exitCode).toBe(3);
    expect(host.calls()).toHaveLength(asked);
  });

  it('stays remembered where the probe is not answered, and asks no more than that', async () => {
    const host = useHost({ gpus: 1 });
    await useEngine(host);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, nvidia_smi: { timeout: '1s' } });
    withLedger(host, (ledger) => { ledger.recordHung({ since: 1_700_000_000_000, bootId: readBootId() ?? '', pid: null, startTicks: null }); });
    host.fault({ kind: 'hang', style: 'plain' });
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 3 });
    expect(host.calls().map(({ args }) => args)).toEqual([['-L']]);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toMatchObject({ since: 1_700_000_000_000 });
  });

  it('is not remembered where SIGKILL ended it, nor by a user\'s report', async () => {
    const host = useHost({ gpus: 1 });
    await useEngine(host);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, nvidia_smi: { timeout: '1s' } });
    await host.gpuctl(['sample']);
    host.fault({ kind: 'hang', style: 'plain' });
    await host.gpuctl(['sample']);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toBeNull();
    host.clearFaults();
    host.fault({ kind: 'hang', style: 'unreapable' });
    chmodSync(host.configPath, 0o644);
    expect(await host.gpuctl(['health-check'], { program: gpuctlAsUser(host) })).toMatchObject({ exitCode: 3 });
    expect(withLedger(host, (ledger) => ledger.hungSmi())).toBeNull();
    await host.gpuctl(['health-check']);
    expect(withLedger(host, (ledger) => ledger.hungSmi())).not.toBeNull();
  });
});

describe('one bad GPU on a driver that then prints no document', () => {
  async function useSickHost(): Promise<Host> {
    const host = useHost({ gpus: 4, driver: '535.274.02' });
    await useEngine(host);
    await host.gpuctl(['sample']);
    host.fault({ kind: 'sick-gpu', gpu: host.gpu(1).uuid, error: 'lost', style: 'handle' });
    return host;
  }

  it('is a gap by its bus id; the others are asked for one by one, and worked on', async () => {
    const host = await useSickHost();
    const orphan = await host.process({ cgroup: `docker/${GONE}` });
    host.listOn(2, orphan);
    const report = reportIn(await host.gpuctl(['release-stale', '--json']));
    expect(report.observed.nvidia_smi).toBe('partial');
    expect(report.devices.map(({ index, processes }) => [index, processes !== null])).toEqual([[0, true], [2, true], [3, true]]);
    expect(report.findings.map(({ id }) => id)).toContain('gpu.lost');
    // It is not asked for by itself: it might be what hangs.
    expect(host.calls().some(({ args }) => (args as readonly string[]).includes(host.gpu(1).busId.toLowerCase()))).toBe(false);
    expect(orphan.isAlive()).toBe(false);
  });
});

describe('explain of a device', () => {
  it('tells what lasts: a wanted reset and what stands in its way, past resets, quarantine, and a driver that hangs', async () => {
    const host = useHost({ gpus: 2, driver: '590.48.01' });
    await useEngine(host, [{ id: idOf('a1'), name: 'holder', gpus: [host.gpu(1).uuid] }]);
    host.updateGpu(1, (gpu) => { gpu.recovery = 'Reset'; });
    await host.gpuctl(['release-stale']);
    const { uuid } = host.gpu(1);
    withLedger(host, (ledger) => { ledger.recordReset(uuid, false, Date.now()); ledger.quarantine(uuid, Date.now()); });
    const told = await host.gpuctl(['explain', '1']);
    expect(told.stdout).toMatch(/Remembered[\s\S]*a reset is wanted since \d{4}-[\s\S]*resets of the last days, and the last of all: \S+ \(failed\)[\s\S]*in quarantine/);
    expect(told.stdout).toMatch(/blocker {2,}container holder[^\n]*way out: /);
    expect((await host.gpuctl(['explain', uuid, '--json'])).json).toMatchObject({ memory: { quarantined: true, reset_wanted: { reason: 'reset-asked' }, resets: [{ succeeded: false }], inventory: { missing_since: null }, driver_hung: null } });
    withLedger(host, (ledger) => { ledger.recordHung({ since: Date.now(), bootId: readBootId() ?? '', pid: null, startTicks: null }); });
    const blind = await host.gpuctl(['explain', uuid]);
    expect(blind).toMatchObject({ exitCode: 3, stdout: expect.stringMatching(/the driver hangs: nvidia-smi has hung since/) });
  });
});
