import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderNagios, renderUnknown } from '../../../../src/cli/render/nagios.ts';
import type { NumericReading } from '../../../../src/model/health.ts';
import type { Finding } from '../../../../src/model/finding.ts';
import type { ConditionReport, DeviceReport, PassReport } from '../../../../src/passes/report.ts';

const GPU = 'GPU-00000000-0000-4000-8000-000000000000';
const device: DeviceReport = { uuid: GPU, index: 0, bus_id: '00000000:10:00.0', name: 'A100', verdict: 'clean', mig: null, used_mib: 1, total_mib: 2, utilization_percent: 3, claims: [], processes: [], findings: [] };
const report: PassReport = {
  schema: 1, pass: '01', job: 'health-check', host: 'h', dry_run: false, started_at: '', ended_at: '', exit: 0,
  observed: { nvidia_smi: 'complete', engine: 'complete', processes: 'complete' }, devices: [device], decisions: [], outcomes: [], findings: [], conditions: [],
};
const warning: Finding = { id: 'gpu.pcie.width', severity: 'warning', subject: { gpu: GPU }, message: 'x8', remedy: '' };
const critical: Finding = { ...warning, id: 'gpu.fault', severity: 'critical', message: 'bad' };
const open: ConditionReport = { ...critical, first_seen_at: '', last_seen_at: '', this_run: 'unknown' };

function said(more: Partial<PassReport>): string {
  const { exit, line } = renderNagios({ ...report, ...more }, 0);
  return `${exit} ${line.split(' | ')[0]}`;
}

/** Output of a plugin by the guidelines: text, a bar, performance data. */
const LINE = /^GPUCTL (?:OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+(?: \| (?:'[^'=|]+'=-?\d+(?:\.\d+)?(?:s|%|B)?(?:;[\d.;-]*)? ?)+)?$/;

describe('the plugin line', () => {
  it('says the worst that is known', () => {
    expect(said({})).toBe('0 GPUCTL OK - 1 GPU, no findings');
    expect(said({ exit: 1, findings: [warning, { ...warning, id: 'x', severity: 'info' }] })).toBe('1 GPUCTL WARNING - 1 finding, 1 GPU seen: GPU 0 gpu.pcie.width: x8');
    expect(said({ exit: 1, findings: [warning, critical] })).toBe('2 GPUCTL CRITICAL - 2 findings, 1 GPU seen: GPU 0 gpu.fault: bad; GPU 0 gpu.pcie.width: x8');
    expect(said({ exit: 3, findings: [{ ...critical, id: 'source.engine.failed', subject: {}, message: 'refused' }] })).toBe('3 GPUCTL UNKNOWN - 1 finding, 1 GPU seen: source.engine.failed: refused');
    expect(said({ exit: 3, devices: [] })).toBe('3 GPUCTL UNKNOWN - 0 GPUs, not everything could be seen');
    expect(said({ exit: 3, findings: [critical] }), 'seen, whatever else was not').toMatch(/^2 /);
  });

  it('counts a condition that this run could not look at, once, and not one that it saw gone', () => {
    expect(said({ conditions: [open] })).toBe('2 GPUCTL CRITICAL - 1 finding, 1 GPU seen: GPU 0 gpu.fault: bad');
    expect(said({ exit: 3, conditions: [open], devices: [] })).toBe(`3 GPUCTL UNKNOWN - 1 finding, 0 GPUs seen: GPU ${GPU} gpu.fault: bad`);
    expect(said({ conditions: [{ ...open, this_run: 'gone' }] })).toMatch(/^0 /);
    expect(said({ exit: 1, findings: [critical], conditions: [{ ...open, this_run: 'seen' }] })).toMatch(/ 1 finding,/);
    expect(said({ conditions: null })).toMatch(/^0 /);
  });

  it('is one line of the form of a plugin and of bounded length, whatever the host says', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 3000 }), fc.constantFrom('|', "'a'=1", '\n', '\u001b[2J', 'é'.repeat(2000)));
    const readings: readonly NumericReading[] = (['temperature', 'power', 'memory.used', 'utilization'] as const).map((name) => ({ name, unit: 'count', kind: 'gauge', value: 12.3456789 }));
    fc.assert(fc.property(text, fc.integer({ min: 1, max: 100 }), fc.constantFrom<PassReport['exit']>(0, 1, 3), (message, gpus, exit) => {
      const devices = Array.from({ length: gpus }, (_, index) => ({ ...device, uuid: `GPU-${index}`, index, readings }));
      const { line } = renderNagios({ ...report, exit, devices, findings: [{ ...critical, message }, warning] }, 12);
      expect(line).toMatch(LINE);
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4000);
      expect(renderUnknown(message).line).toMatch(/^GPUCTL UNKNOWN - [^|\n]*$/);
    }));
  });
});
