import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import { renderChecks } from '../../../../src/cli/render/checks.ts';
import { renderPass } from '../../../../src/cli/render/pass.ts';
import type { Finding } from '../../../../src/model/finding.ts';
import type { DeviceReport, PassReport } from '../../../../src/passes/report.ts';

const [SEEN, GONE] = ['GPU-00000000-0000-4000-8000-000000000000', 'GPU-00000000-0000-4000-8000-00000000000e'];
const device: DeviceReport = { uuid: SEEN, index: 5, bus_id: '00000000:10:00.0', name: 'A100', verdict: 'clean', mig: null, used_mib: 1, total_mib: 2, utilization_percent: 3, claims: [], processes: [], findings: [] };
const report: PassReport = {
  schema: 1, pass: '01', job: 'health-check', host: 'h', dry_run: false, started_at: '', ended_at: '2026-11-22T00:00:00.000Z', exit: 1,
  observed: { nvidia_smi: 'complete', engine: 'complete', processes: 'complete' }, devices: [device], decisions: [], outcomes: [], findings: [], conditions: [],
};

function rendered(more: Partial<PassReport>): readonly string[] {
  return renderPass({ ...report, ...more }, new Chalk({ level: 0 })).split('\n');
}

describe('the report of a pass', () => {
  const finding = (subject: Finding['subject']): Finding => ({ id: 'gpu.pcie.width', severity: 'warning', subject, message: 'it has 8 lanes', remedy: 'reseat it' });

  it('says of each finding on which device it is: by its index, or by its UUID where it was not seen', () => {
    const lines = rendered({ findings: [finding({ gpu: SEEN }), finding({ gpu: GONE }), finding({})] });
    expect(lines.filter((line) => line.includes('it has 8 lanes'))).toEqual([
      '  warning   gpu.pcie.width on GPU 5: it has 8 lanes', `  warning   gpu.pcie.width on ${GONE}: it has 8 lanes`, '  warning   gpu.pcie.width: it has 8 lanes',
    ]);
  });

  it('says the same of a condition that this run has not seen', () => {
    const times = { first_seen_at: '2026-11-21T00:00:00.000Z', last_seen_at: '2026-11-21T00:00:00.000Z' };
    const lines = rendered({ conditions: [{ ...finding({ gpu: SEEN }), severity: 'warning', ...times, this_run: 'gone' }] });
    expect(lines).toContain('  gpu.pcie.width on GPU 5: it has 8 lanes');
  });

  it('says of nobody that he holds a device only where the engine answered', () => {
    const holder = (engine: PassReport['observed']['engine']): string | undefined => rendered({ observed: { ...report.observed, engine } }).find((line) => line.startsWith('5 '))?.split(/ {2,}/)[4];
    expect([holder('complete'), holder('failed')]).toEqual(['-', '?']);
  });

  it('with findings for information alone does not say that there are none', () => {
    const sum = (findings: readonly Finding[]): string | undefined => rendered({ exit: 0, findings }).findLast((line) => line !== '');
    expect([sum([]), sum([{ ...finding({}), severity: 'info' }])]).toEqual(['nothing was done; no findings (exit 0)', 'nothing was done; no findings that need an admin (exit 0)']);
  });

  it('with every check stays within 100 columns', () => {
    const ids = Array.from({ length: 40 }, (_, nth) => `gpu.some.check_${nth}`);
    const text = renderChecks({ devices: [{ ...device, checks: ids.map((id) => ({ id, state: 'unsupported' })) }] });
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(ids.filter((id) => !text.includes(id))).toEqual([]);
  });
});
