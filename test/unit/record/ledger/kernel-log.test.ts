import { describe, expect, it } from 'vitest';
import type { KernelLogCursor, KernelLogView, SeenXid, XidEvent } from '../../../../src/model/kernel-log.ts';
import { DAY, GPU0, HOUR, NOW, testLedger } from './hosts.ts';

const BOOT = '0b2f1c3d-0000-4000-8000-0123456789ab';
const BUS = '00000000:3b:00.0';

function event(sequence: number, more: Partial<XidEvent> = {}): XidEvent {
  return { kind: 'xid', code: 31, pciBusId: BUS, gpuUuid: null, gpuInstanceId: null, pid: 7, processName: "x'); DROP TABLE xids;--", detail: 'Ch 1', at: NOW - HOUR + sequence, bootUsec: sequence * 1000, sequence, lines: 1, ...more };
}

function cursor(sequence: number, more: Partial<KernelLogCursor> = {}): KernelLogCursor {
  return { bootId: BOOT, sequence, bootUsec: sequence * 1000, journal: null, readAt: NOW, ...more };
}

function view(events: readonly XidEvent[], reached: KernelLogCursor | null = cursor(events.at(-1)?.sequence ?? 0), bootId = BOOT): KernelLogView {
  return { source: 'kmsg', bootId, cursor: reached, events };
}

const remembered = (each: XidEvent, seenAt = NOW): SeenXid => ({ ...each, bootId: BOOT, seenAt });

describe('the kernel log in the ledger', () => {
  it('was never read in a new one', () => {
    const { ledger } = testLedger();
    expect([ledger.kernelLog.cursor(), ledger.history().kernelLog]).toEqual([null, { cursor: null, xids: [] }]);
  });

  it('keeps how far it was read and every error, as it was seen', () => {
    const { ledger, reopen } = testLedger();
    const events = [event(1), event(2, { kind: 'sxid', code: 12028, pid: null, processName: null, sequence: 2 }), event(3, { pciBusId: null, gpuUuid: GPU0, gpuInstanceId: 5, sequence: null })];
    ledger.kernelLog.recordKernelLog(view(events, cursor(3, { sequence: null, journal: 's=a;i=1' })), NOW);
    const again = reopen();
    expect(again.kernelLog.cursor()).toEqual(cursor(3, { sequence: null, journal: 's=a;i=1' }));
    expect(again.history().kernelLog?.xids).toEqual(events.map((each) => remembered(each)));
  });

  it('keeps what is told twice once, and a cursor where nothing was said', () => {
    const { ledger } = testLedger();
    ledger.kernelLog.recordKernelLog(view([event(1)]), NOW);
    ledger.kernelLog.recordKernelLog(view([event(1)]), NOW + 1);
    ledger.kernelLog.recordKernelLog(view([], null), NOW + 2);
    expect(ledger.history().kernelLog).toEqual({ cursor: cursor(1), xids: [remembered(event(1))] });
  });

  it('of an earlier boot is no part of the history', () => {
    const { ledger } = testLedger();
    ledger.kernelLog.recordKernelLog(view([event(900)]), NOW - HOUR);
    const next = 'ffffffff-0000-4000-8000-0123456789ab';
    ledger.kernelLog.recordKernelLog(view([event(2)], cursor(2, { bootId: next }), next), NOW);
    expect(ledger.history().kernelLog?.xids).toEqual([{ ...remembered(event(2)), bootId: next }]);
  });

  it('is bounded: the newest of each code and device, so that a flood of one pushes nothing out; and for a month', () => {
    const { ledger } = testLedger();
    ledger.kernelLog.recordKernelLog(view([event(1, { code: 79 }), event(2, { code: 48 })]), NOW - 31 * DAY);
    ledger.kernelLog.recordKernelLog(view([event(3, { code: 79 })]), NOW);
    for (let n = 0; n < 20; n += 1) ledger.kernelLog.recordKernelLog(view(Array.from({ length: 10 }, (_, at) => event(100 + n * 10 + at))), NOW);
    const { xids = [] } = ledger.history().kernelLog ?? {};
    expect(xids.filter(({ code }) => code !== 31).map(({ code, sequence }) => [code, sequence])).toEqual([[79, 3]]);
    expect(xids.filter(({ code }) => code === 31).map(({ sequence }) => sequence)).toEqual(Array.from({ length: 50 }, (_, n) => 250 + n));
  });

  it('is bounded as a whole, whatever codes there are', () => {
    const { ledger } = testLedger();
    ledger.kernelLog.recordKernelLog(view(Array.from({ length: 2500 }, (_, n) => event(n, { code: 1000 + n }))), NOW);
    expect(ledger.history().kernelLog?.xids).toHaveLength(2000);
  });

  it('leaves out what a reset of the device came after: seen before it, or said before it', () => {
    const { ledger, reopen } = testLedger();
    const said = [event(1, { at: NOW - HOUR }), event(2, { at: NOW + HOUR }), event(3, { pciBusId: '00000000:5e:00.0' }), event(4, { pciBusId: null, gpuUuid: GPU0 })];
    ledger.kernelLog.recordKernelLog(view(said), NOW);
    ledger.kernelLog.recordKernelLog(view([event(5, { at: NOW + 10 }), event(6, { at: NOW + 1000 })]), NOW + 2000);
    ledger.kernelLog.settleXids({ uuid: GPU0, pciBusId: BUS }, NOW + 100);
    expect(reopen().history().kernelLog?.xids.map(({ sequence }) => sequence)).toEqual([3, 6]);
  });
});
