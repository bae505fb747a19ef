import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { parseMetrics } from '../unit/record/metrics/parse.ts';
import { idOf, useEngine } from './fake-engine.ts';
import { eventsOf, reportIn, useHost } from './workbench.ts';

const METRICS = 'gpuctl.prom';

/** A healthy GPU 0, and a GPU 1 that asks for a reset which a container is in the way of. */
async function useSickHost(): Promise<Host> {
  const host = useHost({ gpus: [{}, { recovery: 'Reset' }], driver: '590.48.01' });
  await useEngine(host, [{ id: idOf('11fe'), name: 'live', gpus: [host.gpu(1).uuid], labels: { 'gpuctl.owner': 'alice' } }]);
  return host;
}

function conditionEvents(host: Host): readonly string[] {
  return host.events().filter((event) => String(event['event.action']).startsWith('gpu.condition.')).map((event) => `${String(event['event.action']).slice('gpu.condition.'.length)} ${String(event['event.reason'])}`);
}

describe('conditions', () => {
  it('are raised once, shown with their age by a report that changes nothing, and cleared once', async () => {
    const host = await useSickHost();
    expect(reportIn(await host.gpuctl(['health-check', '--json']))).toMatchObject({ conditions: [], findings: expect.arrayContaining([expect.objectContaining({ id: 'gpu.recovery.reset' })]) });
    expect(reportIn(await host.gpuctl(['release-stale', '--dry-run', '--json'])).conditions, 'a dry run writes nothing').toEqual([]);
    const first = reportIn(await host.gpuctl(['release-stale', '--json']));
    expect(first.conditions?.map(({ id, severity, this_run }) => [id, severity, this_run]).toSorted()).toEqual([['gpu.dirty.shared', 'warning', 'seen'], ['gpu.recovery.reset', 'critical', 'seen']]);
    await host.gpuctl(['release-stale']);
    expect(conditionEvents(host).toSorted()).toEqual(['raised gpu.dirty.shared', 'raised gpu.recovery.reset']);
    expect(eventsOf(host.events(), 'gpu.condition.raised')).toMatchObject([{ 'gpuctl.alert': true, 'gpu.uuid': host.gpu(1).uuid, 'gpu.index': 1 }, { 'gpuctl.alert': true }]);
    expect(eventsOf(host.events(), 'gpu.condition.raised').map((event) => event['log.level']).toSorted()).toEqual(['error', 'warn']);

    host.updateGpu(1, (gpu) => { gpu.recovery = 'None'; });
    await host.gpuctl(['sample']);
    const report = reportIn(await host.gpuctl(['health-check', '--json']));
    expect(report.conditions?.map(({ id, this_run, first_seen_at }) => [id, this_run, first_seen_at]), 'still open: a report clears nothing').toEqual(expect.arrayContaining([['gpu.recovery.reset', 'gone', first.conditions?.find(({ id }) => id === 'gpu.recovery.reset')?.first_seen_at]]));
    const table = await host.gpuctl(['health-check']);
    expect(table.stdout).toMatch(/^Open conditions\n(?:.*\n)*.*gpu\.recovery\.reset on GPU 1: .*\n +since \d{4}-\d\d-\d\d \d\d:\d\d UTC, last seen .*the next pass that records clears it$/m);
    expect((await host.gpuctl(['status'])).stdout).toMatch(/gpu\.recovery\.reset on GPU 1: .*\n.*this run could not tell/);

    expect(reportIn(await host.gpuctl(['release-stale', '--json'])).conditions).toEqual([]);
    expect(conditionEvents(host).slice(2).toSorted()).toEqual(['cleared gpu.dirty.shared', 'cleared gpu.recovery.reset']);
  });

  it('outlast a driver that does not answer, and events that cannot be written: each is told once in the end', async () => {
    const host = await useSickHost();
    const engine = { host: `unix://${join(host.dir, 'fake.sock')}` };
    host.configure({ engine, events: { file: join(host.configPath, 'events.jsonl') } });
    await host.gpuctl(['release-stale']);
    expect(conditionEvents(host)).toEqual([]);
    host.configure({ engine });
    await host.gpuctl(['sample']);
    expect(conditionEvents(host).toSorted()).toEqual(['raised gpu.dirty.shared', 'raised gpu.recovery.reset']);
    const smi = readFileSync(host.smiPath);
    host.removeSmi();
    const blind = reportIn(await host.gpuctl(['release-stale', '--json']));
    expect(blind.conditions?.map(({ id, this_run }) => [id, this_run]).toSorted()).toEqual(expect.arrayContaining([['gpu.dirty.shared', 'unknown'], ['gpu.recovery.reset', 'unknown'], ['source.nvidia-smi.failed', 'seen']]));
    writeFileSync(host.smiPath, smi, { mode: 0o755 });
    await host.gpuctl(['sample']);
    expect(conditionEvents(host).filter((each) => each.startsWith('cleared'))).toEqual(['cleared source.nvidia-smi.failed']);
  });
});

describe('health-check --nagios', () => {
  it('prints one plugin line with performance data, and exits as a plugin does', async () => {
    const host = await useSickHost();
    const sick = await host.gpuctl(['health-check', '--nagios']);
    expect(sick.stdout).toMatch(/^GPUCTL CRITICAL - \d findings, 2 GPUs seen: GPU 1 gpu\.recovery\.reset: [^|\n]+ \| 'gpus'=2;;;0 'warnings'=\d;;;0 'criticals'=1;;;0 'time'=[\d.]+s;;;0 'gpu0_temperature'=\d+ .*'gpu1_utilization'=\d+%;;;0;100\n$/);
    expect(sick.exitCode).toBe(2);
    host.updateGpu(1, (gpu) => { gpu.recovery = 'None'; });
    expect(await host.gpuctl(['health-check', '--nagios'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^GPUCTL OK - 2 GPUs, no findings \| [^\n|]*\n$/) });
    expect(await host.gpuctl(['health-check', '--nagios', '--device', '0'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^GPUCTL OK - 1 GPU, no findings/) });
    host.removeSmi();
    expect(await host.gpuctl(['health-check', '--nagios'])).toMatchObject({ exitCode: 3, stdout: expect.stringMatching(/^GPUCTL UNKNOWN - [^\n]+\n$/) });
  });

  it.each([['--json', '--repair', '--events'], ['--bogus'], ['--device', 'nine'], ['--config', '/nonexistent.yaml']])('with %s is UNKNOWN, on one line', async (...args) => {
    const { exitCode, stdout } = await useHost().gpuctl(['health-check', '--nagios', ...args]);
    expect([exitCode, stdout]).toEqual([3, expect.stringMatching(/^GPUCTL UNKNOWN - [^|\n]+\n$/)]);
  });
});

describe('a health check of some devices', () => {
  it('says nothing of what is open on the others', async () => {
    const host = await useSickHost();
    await host.gpuctl(['release-stale']);
    expect(await host.gpuctl(['health-check', '--nagios', '--device', '0'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^GPUCTL OK - 1 GPU, no findings/) });
    expect((await host.gpuctl(['health-check', '--nagios', '--device', '1'])).exitCode).toBe(2);
    expect((await host.gpuctl(['health-check', '--device', '0'])).stdout).not.toContain('Open conditions');
    host.removeSmi();
    const { json } = await host.gpuctl(['health-check', '--json', '--device', host.gpu(1).uuid]);
    expect(json, 'remembered, where nvidia-smi does not answer').toMatchObject({ conditions: expect.arrayContaining([expect.objectContaining({ id: 'gpu.recovery.reset', this_run: 'unknown' })]) });
  });
});

describe('the metrics file', () => {
  it('is written by every pass that records and by no other, and is nobody’s failure', async () => {
    const host = await useSickHost();
    const file = join(host.dir, METRICS);
    await host.gpuctl(['health-check']);
    await host.gpuctl(['release-stale', '--dry-run']);
    expect(readdirSync(host.dir)).not.toContain(METRICS);
    await host.gpuctl(['release-stale']);
    await host.gpuctl(['sample']);
    expect([statSync(file).mode & 0o7777, readdirSync(host.dir).filter((name) => name.includes('.prom'))]).toEqual([0o644, [METRICS]]);
    const text = readFileSync(file, 'utf8');
    const families = new Map(parseMetrics(text).map((family) => [family.name, family.samples]));
    expect(families.get('gpuctl_pass_last_exit_code')?.map(({ labels, value }) => [labels['job'], value])).toEqual([['release-stale', 1], ['sample', 1]]);
    expect(families.get('gpuctl_conditions')?.map(({ labels }) => labels['id']).toSorted()).toEqual(['gpu.dirty.shared', 'gpu.recovery.reset']);
    expect(families.get('gpuctl_gpu_memory_total_bytes')).toHaveLength(2);
    expect(families.get('gpuctl_gpu_allocations')?.map(({ value }) => value)).toEqual([0, 1]);
    expect(text).not.toMatch(/alice|live/);

    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, metrics: { textfile: join(host.dir, 'bin', 'nvidia-smi', METRICS) } });
    expect((await host.gpuctl(['sample'])).exitCode, 'no such folder').toBe(1);
    mkdirSync(join(host.dir, 'textfile', METRICS, 'x'), { recursive: true });
    chmodSync(join(host.dir, 'textfile'), 0o755);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, metrics: { textfile: join(host.dir, 'textfile', METRICS) } });
    const { exitCode, events } = await host.gpuctl(['sample']);
    expect([exitCode, eventsOf(events, 'notify.failed').map((event) => event['event.reason'])]).toEqual([1, ['metrics']]);
  });
});
