import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../../src/model/condition.ts';
import type { DeviceMetrics, MetricsView } from '../../../../src/model/metrics.ts';
import { familiesOf, type Numbers } from '../../../../src/record/metrics/families.ts';
import { createMetricsFile } from '../../../../src/record/metrics/file.ts';
import { renderMetrics } from '../../../../src/record/metrics/render.ts';
import { testFolder } from '../folders.ts';
import { parseMetrics } from './parse.ts';

const device: DeviceMetrics = {
  uuid: 'GPU-1', index: 0, busId: '00000000:3b:00.0', name: 'NVIDIA A100', processes: 2, allocations: 1, quarantined: true, resetWanted: false, resetsInDay: 3, lastResetAt: 1_700_000_000_500,
  readings: [
    { name: 'temperature', unit: 'celsius', kind: 'gauge', value: 41 }, { name: 'power.limit', unit: 'watts', kind: 'gauge', value: 400.5 }, { name: 'memory.used', unit: 'mib', kind: 'gauge', value: 3 },
    { name: 'utilization', unit: 'percent', kind: 'gauge', value: 7 }, { name: 'slowdown.hw_thermal', unit: 'microseconds', kind: 'counter', value: 1_500_000 }, { name: 'pcie.replays', unit: 'count', kind: 'counter', value: 150 },
  ],
};
const condition: Condition = { id: 'gpu.fault', subject: { gpu: 'GPU-1', pid: 4711, owner: 'alice', container: 'c' }, severity: 'critical', message: 'm', remedy: 'r', firstSeenAt: 5000, lastSeenAt: 9000, seenBy: [] };
const view: MetricsView = { sources: [{ source: 'engine', state: 'partial' }], devices: [device], conditions: [condition, { ...condition, firstSeenAt: 4000, subject: { gpu: 'GPU-1', pid: 4712 } }] };
const numbers: Numbers = { ...view, version: '1.2.3', lastPasses: [{ job: 'sample', endedAt: 61_000, exit: 0, durationMs: 1250 }, { job: 'release-stale', endedAt: 60_000, exit: 1, durationMs: null }] };

function valuesOf(given: Numbers): Readonly<Record<string, number>> {
  return Object.fromEntries(parseMetrics(renderMetrics(familiesOf(given))).flatMap(({ samples }) => samples.map(({ name, labels, value }) => [`${name}${JSON.stringify(Object.values(labels))}`, value])));
}

describe('the metrics', () => {
  it('are in base units, by device, job, source and finding', () => {
    const ours = '["GPU-1","0","00000000:3b:00.0"]';
    expect(valuesOf(numbers)).toMatchObject({
      'gpuctl_build_info["1.2.3"]': 1,
      'gpuctl_pass_last_end_timestamp_seconds["sample"]': 61, 'gpuctl_pass_last_duration_seconds["sample"]': 1.25, 'gpuctl_pass_last_exit_code["release-stale"]': 1,
      'gpuctl_source_state["engine","complete"]': 0, 'gpuctl_source_state["engine","partial"]': 1,
      'gpuctl_conditions_known[]': 1, 'gpuctl_conditions["gpu.fault","critical","GPU-1"]': 2, 'gpuctl_condition_first_seen_timestamp_seconds["gpu.fault","critical","GPU-1"]': 4,
      [`gpuctl_gpu_temperature_celsius${ours}`]: 41, [`gpuctl_gpu_power_limit_watts${ours}`]: 400.5, [`gpuctl_gpu_memory_used_bytes${ours}`]: 3_145_728, [`gpuctl_gpu_utilization_ratio${ours}`]: 0.07,
      [`gpuctl_gpu_slowdown_hw_thermal_seconds_total${ours}`]: 1.5, [`gpuctl_gpu_pcie_replays_total${ours}`]: 150,
      [`gpuctl_gpu_quarantined${ours}`]: 1, [`gpuctl_gpu_reset_wanted${ours}`]: 0, [`gpuctl_gpu_resets_last_day${ours}`]: 3, [`gpuctl_gpu_last_reset_timestamp_seconds${ours}`]: 1_700_000_000.5, [`gpuctl_gpu_allocations${ours}`]: 1,
    });
  });

  it('leave out what is not known: it is never 0', () => {
    const known = Object.keys(valuesOf({ ...numbers, conditions: null, sources: [], devices: [{ ...device, index: null, busId: null, name: null, readings: [], processes: null, lastResetAt: null }] }));
    expect(known.filter((name) => /temperature|processes|gpu_info|last_reset|gpuctl_conditions\[|source|duration.*release/.test(name))).toEqual([]);
    expect(valuesOf({ ...numbers, conditions: null })['gpuctl_conditions_known[]']).toBe(0);
  });

  it('hold no series twice, even where labels are cut', () => {
    const long = 'x'.repeat(300);
    expect(parseMetrics(renderMetrics(familiesOf({ ...numbers, devices: [{ ...device, uuid: `${long}a` }, { ...device, uuid: `${long}b` }] })))).toBeInstanceOf(Array);
  });

  it('name no owner, container or process', () => {
    expect(renderMetrics(familiesOf(numbers))).not.toMatch(/alice|4711|"c"/);
  });

  it('stay readable whatever the labels hold', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('"', '\\', '\n', '\r\n# TYPE x gauge', '"} 1\ngpuctl_x{a="', '\\n', '\ud800', '\u{2028}', '\u001b[31m', 'é'.repeat(500)));
    fc.assert(fc.property(text, text, text, fc.oneof(fc.double({ min: -1e300, max: 1e300 }), fc.constantFrom(Number.NaN, Infinity)), (uuid, name, id, value) => {
      const hostile = { ...device, uuid, name, busId: id, readings: [{ name: 'temperature', unit: 'celsius' as const, kind: 'gauge' as const, value }] };
      const given = familiesOf({ ...numbers, version: name, devices: [hostile], conditions: [{ ...condition, id, subject: { gpu: uuid } }], sources: [{ source: id, state: 'failed' }] });
      const parsed = parseMetrics(renderMetrics(given));
      expect(parsed.map((family) => family.name)).toEqual(given.filter(({ samples }) => samples.some((each) => Number.isFinite(each.value))).map((family) => family.name));
      const info = parsed.find((family) => family.name === 'gpuctl_gpu_info')?.samples[0]?.labels['name'] ?? '';
      // oxlint-disable-next-line no-control-regex -- it is what is looked for
      if (name.length <= 200) expect(info).toBe(name.toWellFormed().replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd'));
    }));
  });

  it('would be refused by the reader of these tests where they are wrong', () => {
    const good = renderMetrics(familiesOf(numbers));
    expect(() => parseMetrics(good)).not.toThrow();
    for (const bad of [good.trimEnd(), good + good, `${good}x 1\n`, good.replace('# TYPE', '# TYP'), good.replace('_celsius', '_mib'), good.replace('"sample"', '"sam"ple"'), good.replace(' 41\n', ' NaN\n'), good.replace(/# HELP gpuctl_build_info.*\n/, '')]) expect(() => parseMetrics(bad)).toThrow();
  });
});

describe('the metrics file', () => {
  const write = (file: string): void => { createMetricsFile({ file, version: '1', lastPasses: () => [] }).write(view); };

  it('is replaced whole and readable for everybody, and leaves nothing else that the collector would read', () => {
    const folder = testFolder();
    const file = join(folder, 'gpuctl.prom');
    const elsewhere = join(testFolder(), 'target');
    writeFileSync(elsewhere, 'untouched');
    symlinkSync(elsewhere, join(folder, '.gpuctl.prom.new'));
    write(file);
    const first = statSync(file);
    write(file);
    expect([first.mode & 0o7777, statSync(file).ino === first.ino, readdirSync(folder), readFileSync(elsewhere, 'utf8')]).toEqual([0o644, false, ['gpuctl.prom'], 'untouched']);
    expect(parseMetrics(readFileSync(file, 'utf8')).length).toBeGreaterThan(10);
  });

  it('is not written where the folder is absent, and throws where it cannot be', () => {
    const folder = testFolder();
    const absent = join(folder, 'absent', 'gpuctl.prom');
    write(absent);
    expect(existsSync(join(folder, 'absent'))).toBe(false);
    mkdirSync(join(folder, 'gpuctl.prom'));
    writeFileSync(join(folder, 'gpuctl.prom', 'x'), '');
    expect(() => { write(join(folder, 'gpuctl.prom')); }).toThrow();
    expect(readdirSync(folder)).toEqual(['gpuctl.prom']);
  });
});
