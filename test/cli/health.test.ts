import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PassReport } from '../../src/passes/report.ts';
import type { ConfigOverrides, Host } from '../hostsim/host.ts';
import { useEngine } from './fake-engine.ts';
import { actionsIn, ON_TERMINAL, reportIn, treeHash, useHost } from './workbench.ts';

const DRIVER = '590.48.01';

/** The simulated host with one board, idle and sound. */
async function useBoard(config: ConfigOverrides = {}): Promise<Host> {
  const host = useHost({ driver: DRIVER, gpus: 1, config });
  await useEngine(host);
  return host;
}

function setReading(host: Host, path: string, text: string): void {
  host.updateGpu(0, (gpu) => { gpu.readings = { ...gpu.readings, [path]: text }; });
}

async function check(host: Host, ...args: readonly string[]): Promise<PassReport> {
  return reportIn(await host.gpuctl(['health-check', '--json', ...args]));
}

function foundIn(report: PassReport): readonly string[] {
  return report.findings.map(({ id, severity }) => `${severity} ${id}`);
}

function stateOf(report: PassReport, id: string): string | undefined {
  return report.devices[0]?.checks?.find((each) => each.id === id)?.state;
}

const UNCORRECTABLE = 'ecc_errors/volatile/dram_uncorrectable';

describe('health-check', () => {
  it('shows for each device what every check said, and in words what could not be judged', async () => {
    const host = await useBoard({ health: { disable: ['gpu.persistence.off'] } });
    setReading(host, 'ecc_errors/tpc_repair_pending', 'Unknown Error');
    const report = await check(host);
    expect(foundIn(report)).toEqual(['critical gpu.fault']);
    expect(['gpu.row_remap.failed', 'gpu.ecc.tpc_repair_pending', 'gpu.retired_pages.many', 'gpu.pcie.replay', 'gpu.persistence.off'].map((id) => stateOf(report, id))).toEqual(['ok', 'unknown', 'unsupported', 'learning', 'off']);
    expect(report.devices[0]?.readings).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'temperature', unit: 'celsius' }), expect.objectContaining({ name: 'ecc.volatile.dram.uncorrectable', kind: 'counter', value: 0 })]));
    expect((await host.gpuctl(['status', '--json'])).stdout).not.toMatch(/"checks"|"readings"/);
    const told = (await host.gpuctl(['health-check', '--verbose'])).stdout;
    expect(told).toContain('unknown (could not be read): gpu.ecc.tpc_repair_pending (Unknown Error)');
    expect(told).toContain('off (switched off by health.disable): gpu.persistence.off');
  });

  it('finds new errors beside what an earlier pass saw, until a reset or an admin makes them old', async () => {
    const host = await useBoard();
    setReading(host, UNCORRECTABLE, '2');
    await host.gpuctl(['sample']);
    expect(foundIn(await check(host))).toEqual([]);
    setReading(host, UNCORRECTABLE, '3');
    await host.gpuctl(['sample']);
    await host.gpuctl(['sample']);
    const [finding] = (await check(host)).findings;
    expect(finding).toMatchObject({ id: 'gpu.ecc.uncorrectable', evidence: { count: 3, baseline: 2 } });
    expect((await host.gpuctl(['free'])).stdout).toBe('');
    setReading(host, UNCORRECTABLE, '0');
    expect(foundIn(await check(host))).toEqual([]);
  });

  it('does not tell what is switched off, and takes the thresholds of the configuration', async () => {
    const host = await useBoard({ health: { disable: ['gpu.persistence.off'], thresholds: { 'gpu.temperature': 60 } } });
    host.updateGpu(0, (gpu) => { gpu.persistence = false; });
    expect(foundIn(await check(host))).toEqual(['warning gpu.temperature']);
  });

  it('resets a board that answers "GPU requires reset" in some places, as its process list is known, shown or not', async () => {
    const host = await useBoard({ health: { disable: ['gpu.fault'] } });
    setReading(host, 'ecc_errors/channel_repair_pending', 'GPU requires reset');
    expect(foundIn(await check(host))).toEqual(['warning gpu.dirty']);
    await host.gpuctl(['release-stale']);
    expect(host.world().resets).toHaveLength(1);
    expect(foundIn(await check(host))).toEqual([]);
  });
});

describe('health-check --baseline', () => {
  it('shows what was learned and what is read now, and changes nothing', async () => {
    const host = await useBoard();
    await host.gpuctl(['sample']);
    const before = treeHash(host.stateDir);
    setReading(host, 'pci/replay_counter', '12');
    const { stdout, exitCode } = await host.gpuctl(['health-check', '--baseline']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^0 +pcie\.replays +0 +0 +12 +\d{4}-/m);
    expect(stdout).toMatch(/^0 +memory\.idle_mib +- +4 +- +1 look since/m);
    expect((await host.gpuctl(['health-check', '--baseline', '--json'])).json).toMatchObject({ schema: 1, devices: [{ index: 0, readings: expect.arrayContaining([expect.objectContaining({ reading: 'pcie.replays', baseline: 0, now: 12 })]) }] });
    expect(treeHash(host.stateDir)).toBe(before);
  });

  it('accept takes the readings as they are now, and tells so; a no on a terminal changes nothing', async () => {
    const host = await useBoard();
    await host.gpuctl(['sample']);
    setReading(host, UNCORRECTABLE, '4');
    setReading(host, 'pci/pci_gpu_link_info/link_widths/current_link_width', '8x');
    expect(foundIn(await check(host))).toEqual(['critical gpu.ecc.uncorrectable', 'warning gpu.pcie.width']);
    expect(await host.gpuctl(['health-check', '--baseline', 'accept'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('needs a terminal, or --yes') });
    const before = treeHash(host.stateDir);
    const answer = await host.gpuctl(['health-check', '--baseline', 'accept'], { program: ON_TERMINAL, stdin: 'n\n' });
    expect(answer.stdout).toContain('1 device is taken as it is now');
    expect(answer.stdout).toContain('nothing was changed');
    expect(treeHash(host.stateDir)).toBe(before);
    const accepted = await host.gpuctl(['health-check', '--baseline', 'accept', '--device', '0', '--yes']);
    expect(accepted).toMatchObject({ exitCode: 0, stderr: 'gpuctl: accepted: 1 device as it is now\n' });
    expect(actionsIn(accepted.events)).toEqual(['gpu.baseline.accepted']);
    expect(foundIn(await check(host))).toEqual([]);
  });

  it.each([[['--baseline', 'reject'], 'reject'], [['--baseline', '--repair'], '--repair'], [['--baseline', 'accept', '--yes', '--device', '7'], 'names no device']])('%j is a mistake of whoever typed it', async (args, told) => {
    const host = await useBoard();
    expect(await host.gpuctl(['health-check', ...args])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(told) });
  });
});

describe('the configuration of health', () => {
  it('with an id that is none is refused by config check, with file, line and key', async () => {
    const host = useHost();
    const file = `${host.dir}/wrong.yaml`;
    writeFileSync(file, 'version: 1\nhealth:\n  disable: [gpu.falt]\n  thresholds: { gpu.temprature: 5 }\n');
    const { exitCode, stderr } = await host.gpuctl(['config', 'check', '--config', file]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${file}:3:13: health.disable[0]: expected the id of a finding; this is "gpu.falt"; did you mean gpu.fault?`);
    expect(stderr).toContain(`${file}:4:17: health.thresholds."gpu.temprature": unknown key; did you mean gpu.temperature?`);
  });
});
