import { describe, expect, it } from 'vitest';
import type { KernelLogCursor, KernelLogView, SeenXid } from '../../../src/model/kernel-log.ts';
import { complete, failed, type Observed } from '../../../src/model/observation.ts';
import { absent } from '../../../src/model/reading.ts';
import { releaseStale } from '../../../src/passes/release-stale.ts';
import { runPass } from '../../../src/passes/run-pass.ts';
import type { PassParts } from '../../../src/passes/pass.ts';
import type { PassReport } from '../../../src/passes/report.ts';
import { BOOT } from '../../property/host.ts';
import { type Bench, benchOf, memoryLedger, passOptions } from '../../property/ports.ts';
import { GPU0, gpuState, worldOf } from '../decide/good-case.ts';

const [board] = [gpuState(0, { recovery: absent })];

function view(...codes: readonly number[]): Observed<KernelLogView> {
  const events = codes.map((code, n) => ({ kind: 'xid' as const, code, pciBusId: board?.pciBusId ?? '', gpuUuid: null, gpuInstanceId: null, pid: null, processName: null, detail: '', at: 1, bootUsec: n + 1, sequence: n + 1, lines: 1 }));
  return complete({ source: 'kmsg', bootId: BOOT, cursor: cursorAt(codes.length), events });
}

function cursorAt(sequence: number): KernelLogCursor {
  return { bootId: BOOT, sequence, bootUsec: sequence, journal: null, readAt: 1 };
}

/** A pass whose looks find these kernel logs, the last one again and again, and a ledger of this process that keeps them. */
async function pass(logs: readonly Observed<KernelLogView>[], more: Partial<Parameters<typeof passOptions>[0]> = {}): Promise<{ readonly bench: Bench; readonly report: PassReport; readonly kept: readonly string[] }> {
  const world = worldOf({ gpus: [board ?? gpuState(0)] });
  const ledger = memoryLedger(world.history);
  const kept: string[] = [];
  const xids: SeenXid[] = [];
  let cursor: KernelLogCursor | null = null;
  const bench = benchOf({ ...world, ledger: { ...ledger, history: () => ({ ...ledger.history(), kernelLog: { cursor, xids: [...xids] } }) } });
  let looks = 0;
  const observe = async () => { const log = logs[Math.min(looks, logs.length - 1)]; looks += 1; return { ...(await bench.parts.observer.observe()), ...(log === undefined ? {} : { kernelLog: log }) }; };
  const kernelLog: NonNullable<PassParts['kernelLog']> = {
    cursor: () => cursor,
    recordKernelLog: (seen, seenAt) => { kept.push(`record ${seen.events.length}`); cursor = seen.cursor; xids.push(...seen.events.map((each) => ({ ...each, bootId: seen.bootId, seenAt }))); },
    settleXids: (gpu) => { kept.push(`settle ${gpu.uuid}`); xids.length = 0; },
  };
  const options = passOptions(more);
  const parts = { ...bench.parts, observer: { ...bench.parts.observer, observe }, ...(options.records ? { kernelLog } : {}) };
  const report = await runPass(options.acts && !options.dryRun ? parts : { ...parts, actor: null }, options, releaseStale);
  return { bench, report, kept };
}

const nothingNew: Observed<KernelLogView> = complete({ source: 'kmsg', bootId: BOOT, cursor: cursorAt(1), events: [] });

describe('a pass with a kernel log', () => {
  it('remembers what it says before it decides, resets for it once, and settles it', async () => {
    const { bench, report, kept } = await pass([view(62), nothingNew]);
    expect(bench.acts.map((act) => act.kind === 'reset' && act.target.uuid)).toEqual([GPU0]);
    expect(report.decisions.filter(({ verb }) => verb === 'reset')).toMatchObject([{ verdict: 'act', reason: 'xid-asked', evidence: { xid: 62 } }]);
    expect(kept).toEqual(['record 1', `settle ${GPU0}`]);
    expect(report.findings.filter(({ id }) => id.startsWith('gpu.xid'))).toEqual([]);
    expect(report.observed).toMatchObject({ kernel_log: 'complete' });
  });

  it('resets for no other code, and for none at all where the log could not be read', async () => {
    for (const log of [view(79), view(31, 48, 154), failed('not-permitted', '/dev/kmsg: EPERM')]) {
      const { bench } = await pass([log, log.state === 'failed' ? log : nothingNew]);
      expect(bench.acts).toEqual([]);
    }
  });

  it('plans in a dry run what it would do, and writes nothing', async () => {
    const { bench, report, kept } = await pass([view(62)], { dryRun: true, records: false });
    expect([bench.acts, kept]).toEqual([[], []]);
    expect(report.decisions.filter(({ verb }) => verb === 'reset')).toMatchObject([{ verdict: 'act', reason: 'xid-asked' }]);
    expect(report.exit).toBe(0);
  });

  it('tells what one of its looks lost, though the later ones lost nothing', async () => {
    const lost: Observed<KernelLogView> = { state: 'partial', value: { source: 'kmsg', bootId: BOOT, cursor: cursorAt(1), events: [] }, missing: [{ subject: 'kernel log', why: 'records were overwritten' }] };
    const { report } = await pass([lost, nothingNew]);
    expect(report.findings.map(({ id }) => id)).toEqual(['source.kernel-log.partial']);
    expect(report.exit).toBe(1);
  });

  it('exits as without one where it may not be read', async () => {
    const { report, bench } = await pass([failed('not-permitted', '/dev/kmsg: EPERM')]);
    expect([report.exit, report.findings.map(({ id, severity }) => `${id} ${severity}`)]).toEqual([0, ['source.kernel-log.failed info']]);
    expect(bench.events.find(({ action }) => action === 'observe.failed')).toMatchObject({ level: 'info', alert: false });
    expect((await pass([])).report).toMatchObject({ exit: 0, findings: [] });
  });
});
