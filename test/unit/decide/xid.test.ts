import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../../src/model/device.ts';
import type { History, ResetRecord } from '../../../src/model/history.ts';
import type { SeenXid } from '../../../src/model/kernel-log.ts';
import { complete, failed, observed, seen } from '../../../src/model/observation.ts';
import { absent, misread, read, unsupported } from '../../../src/model/reading.ts';
import { decideDirt } from '../../../src/decide/dirt.ts';
import { leftAfterResets } from '../../../src/decide/findings.ts';
import { currentXids, settlingResets, withGapsOf, xidFindings, xidWantsReset } from '../../../src/decide/xid.ts';
import { xidCodes, xidEntry } from '../../../src/decide/xid-catalogue.ts';
import { judged } from '../../property/rules.ts';
import { GPU0, GPU1, HOUR, historyOf, MINUTE, NOW, worldOf } from './good-case.ts';
import { BOOT, board1, briefly, calm, findings, memory, old, OTHER_BOOT, view, xid } from './xid-facts.ts';

describe('the catalogue', () => {
  it('has every code once, with a meaning, and the figures that its edition gives', () => {
    const codes = xidCodes();
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.every((code) => (xidEntry(code)?.meaning ?? '').length > 8)).toBe(true);
    const withAction = (action: string): readonly number[] => codes.filter((code) => xidEntry(code)?.action === action);
    expect(withAction('reset')).toEqual([46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158]);
    expect(withAction('reboot')).toEqual([79, 151]);
    expect(withAction('follow')).toEqual([45, 48, 74, 144, 145, 146, 147, 148, 149, 150, 154, 159]);
    expect(withAction('none')).toEqual([14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161]);
    expect([withAction('check'), withAction('update')]).toEqual([[54], [78]]);
    expect(withAction('restart')).toEqual([8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139]);
    for (const code of [0, 162, 172, 99_999]) expect(xidEntry(code)).toBeNull();
  });
});

describe('an Xid', () => {
  it.each<[number, string]>([[62, 'critical'], [79, 'critical'], [54, 'critical'], [48, 'warning'], [74, 'warning'], [154, 'warning'], [78, 'warning'], [13, 'info'], [31, 'info'], [94, 'info'], [43, 'info'], [165, 'info']])('%d is a finding of the board that it names: %s', (code, severity) => {
    const [finding] = findings([xid(code, { pid: 42, processName: 'python3', detail: 'Ch 1' })]);
    expect(finding).toMatchObject({ id: `gpu.xid.${code}`, severity, subject: { gpu: GPU0 }, remedy: expect.stringMatching(/./), evidence: { code, busId: old.pciBusId, events: 1 }, source: 'NVIDIA Xid catalogue, 2025-10-29' });
    expect(finding?.message).toContain('process 42 ("python3"): Ch 1');
  });

  it('that came several times is one finding', () => {
    const all = findings([xid(62, { at: NOW - 3 * HOUR }), xid(62), xid(62, { pciBusId: board1.pciBusId })]);
    expect(briefly(all)).toEqual([`gpu.xid.62 critical ${GPU0}`, `gpu.xid.62 warning ${GPU1}`]);
    expect(all[0]?.message).toMatch(/2 times between/);
  });

  it('that calls for a reset or a reboot where the driver asks for nothing is a warning, and the remedy is not a reset', () => {
    for (const code of [62, 79]) {
      const [finding] = findings([xid(code)], { gpus: [calm] });
      expect(finding).toMatchObject({ severity: 'warning', remedy: 'nothing now; if it comes again, have the board checked' });
      expect(finding?.message).toContain('the driver asks for no recovery action');
    }
    expect(findings([xid(62)], { gpus: [{ ...calm, recovery: read('reboot') }] })[0]).toMatchObject({ severity: 'critical', remedy: expect.stringContaining('recovery action says') });
    expect(findings([xid(154)], { gpus: [calm] })[0]?.severity).toBe('info');
  });

  it('of a bus id that nvidia-smi does not show is about the host, or about the GPU that the inventory knows there', () => {
    const gone = xid(79, { pciBusId: '00000000:f0:00.0' });
    const [lost] = findings([gone]);
    expect(lost?.subject).toEqual({});
    expect(lost).toMatchObject({ id: 'gpu.xid.79', severity: 'critical', message: expect.stringContaining('00000000:f0:00.0, where nvidia-smi shows none') });
    const inventory = [{ gpuUuid: 'GPU-f', pciBusId: '00000000:f0:00.0', name: 'x', missingSince: null }] as unknown as NonNullable<History['inventory']>;
    expect(findings([gone], { more: { inventory } })[0]).toMatchObject({ severity: 'critical', subject: { gpu: 'GPU-f' } });
    expect(findings([xid(79, { pciBusId: null, gpuUuid: 'GPU-f' })], { more: { inventory } })[0]).toMatchObject({ subject: { gpu: 'GPU-f' } });
    for (const other of [{ pciBusId: null, gpuUuid: 'GPU-e' }, { pciBusId: '00000000:f1:00.0' }]) expect(findings([xid(79, other)], { more: { inventory } })[0]?.subject).toEqual({});
    expect(findings([xid(154, { pciBusId: gone.pciBusId })])[0]?.severity).toBe('warning');
  });

  it('that names a GPU by its UUID is found by it', () => {
    expect(briefly(findings([xid(48, { pciBusId: null, gpuUuid: GPU1 })]))).toEqual([`gpu.xid.48 warning ${GPU1}`]);
  });

  it('is one finding for each device, however that is named', () => {
    expect(findings([xid(48, { pciBusId: null, gpuUuid: GPU0 }), xid(48)])).toHaveLength(1);
    expect(findings([xid(48, { pciBusId: '00000000:f0:00.0' }), xid(48, { pciBusId: '00000000:f1:00.0' })])).toHaveLength(2);
    expect(findings([xid(48, { pciBusId: null, gpuUuid: 'GPU-e' }), xid(48, { pciBusId: null, gpuUuid: 'GPU-f' })])).toHaveLength(2);
    expect(findings([xid(48, { pciBusId: '00000000:f0:00.0' }), xid(48, { kind: 'sxid', pciBusId: '00000000:f0:00.0' })])).toHaveLength(2);
  });

  describe('45', () => {
    const told = (...xids: readonly SeenXid[]): boolean => findings(xids).some(({ id }) => id === 'gpu.xid.45');
    const apart = (ms: number): Partial<SeenXid> => ({ at: NOW - HOUR + ms, seenAt: NOW - HOUR + 9 * MINUTE });

    it('is not told beside the error that it cleans up after: within a minute of it, or found by the same look', () => {
      expect(briefly(findings([xid(45)]))).toEqual([`gpu.xid.45 info ${GPU0}`]);
      expect(briefly(findings([xid(62), xid(45)]))).toEqual([`gpu.xid.62 critical ${GPU0}`]);
      for (const ms of [0, -MINUTE, MINUTE]) expect(told(xid(62, apart(ms)), xid(45))).toBe(false);
      for (const ms of [-MINUTE - 1, MINUTE + 1]) expect(told(xid(62, apart(ms)), xid(45))).toBe(true);
      expect(told(xid(62, { at: NOW - 9 * HOUR }), xid(45))).toBe(false);
    });

    it('is told where it is another device\'s error, a switch\'s, or a 45 itself', () => {
      expect(told(xid(62, { pciBusId: board1.pciBusId }), xid(45))).toBe(true);
      expect(told(xid(62, { pciBusId: '00000000:f0:00.0' }), xid(45, { pciBusId: '00000000:f1:00.0' }))).toBe(true);
      expect(told(xid(62, { pciBusId: null, gpuUuid: 'GPU-e' }), xid(45, { pciBusId: null, gpuUuid: 'GPU-f' }))).toBe(true);
      expect(told(xid(62, { kind: 'sxid', pciBusId: '00000000:f0:00.0' }), xid(45, { pciBusId: '00000000:f0:00.0' }))).toBe(true);
      expect(told(xid(45), xid(45))).toBe(true);
    });

    it('is the same device\'s, where the one line names it by its UUID', () => {
      expect(told(xid(62), xid(45, { pciBusId: null, gpuUuid: GPU0 }))).toBe(false);
    });

    it('is told where it came twice, once without another', () => {
      expect(told(xid(62), xid(45), xid(45, { at: NOW, seenAt: NOW }))).toBe(true);
    });
  });

  it('of a switch says whether it is fatal', () => {
    const sxid = (code: number, detail: string): SeenXid => xid(code, { kind: 'sxid', detail, pciBusId: '00000000:c1:00.0' });
    expect(briefly(findings([sxid(12028, 'Non-fatal, Link 1 x'), sxid(20034, 'Fatal, Link 30 x')]))).toEqual(['nvswitch.sxid.12028 info host', 'nvswitch.sxid.20034 critical host']);
    expect(briefly(findings([sxid(12028, 'Non-fatal, Fatal'), sxid(62, 'Non-fatal, x')]))).toEqual(['nvswitch.sxid.12028 info host', 'nvswitch.sxid.62 info host']);
  });
});

describe('an Xid is told', () => {
  const long = { at: NOW - 40 * 24 * HOUR, seenAt: NOW - 40 * 24 * HOUR };

  it('until the host is rebooted, where it concerns the board', () => {
    expect(briefly(findings([79, 62, 48, 54].map((code) => xid(code, long))))).toEqual([`gpu.xid.79 critical ${GPU0}`, `gpu.xid.62 critical ${GPU0}`, `gpu.xid.48 warning ${GPU0}`, `gpu.xid.54 critical ${GPU0}`]);
    expect(findings([xid(79, { bootId: OTHER_BOOT })])).toEqual([]);
  });

  it('until the board was reset successfully after it; a reset that failed, came before it or is of another board changes nothing', () => {
    const reset = (more: Partial<ResetRecord>): readonly ResetRecord[] => [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: true, ...more }];
    expect(findings([xid(62)], { resets: reset({}) })).toEqual([]);
    expect(findings([xid(62)], { resets: [...reset({ at: NOW - 30 * MINUTE }), ...reset({ succeeded: false })] })).toEqual([]);
    for (const at of [NOW, NOW - MINUTE]) expect(findings([xid(62, { at, seenAt: NOW })], { resets: reset({ at }) })).toEqual([]);
    for (const other of [reset({ succeeded: false }), reset({ gpuUuid: GPU1 }), reset({ at: NOW - 2 * HOUR }), reset({ at: NOW + HOUR })]) expect(findings([xid(62)], { resets: other })).toHaveLength(1);
  });

  it('no more where it was seen before the reset, though its clock says that it came after', () => {
    for (const at of [NOW - 30 * MINUTE, NOW - HOUR]) expect(findings([xid(62, { at: NOW - MINUTE, seenAt: NOW - HOUR })], { resets: [{ gpuUuid: GPU0, at, succeeded: true }] })).toEqual([]);
  });

  it('and no reset of a GPU ends it, where it is a switch\'s', () => {
    const inventory = [{ gpuUuid: GPU0, pciBusId: '00000000:c1:00.0', name: 'x', firstSeenAt: 0, missingSince: null }];
    expect(findings([xid(20034, { kind: 'sxid', pciBusId: '00000000:c1:00.0', detail: 'Fatal, x' })], { more: { inventory }, resets: [{ gpuUuid: GPU0, at: NOW, succeeded: true }] })).toHaveLength(1);
  });

  it('for a day, where it concerns a program or nobody, or where the driver asks for nothing', () => {
    const day = (ago: number): Partial<SeenXid> => ({ at: NOW - ago, seenAt: NOW - ago });
    for (const code of [31, 43, 45, 78, 165]) {
      expect(findings([xid(code, day(24 * HOUR - 1))])).toHaveLength(1);
      expect(findings([xid(code, day(24 * HOUR))])).toEqual([]);
    }
    expect(findings([xid(62, day(25 * HOUR))], { gpus: [calm] })).toEqual([]);
    expect(findings([xid(62, day(25 * HOUR))], { gpus: [{ ...calm, recovery: misread('Unknown Error') }] })).toHaveLength(1);
  });

  it('of a switch for a day, or until the host is rebooted where it calls itself fatal', () => {
    expect(briefly(findings([xid(62, { kind: 'sxid', detail: 'Non-fatal, x', ...long }), xid(20034, { kind: 'sxid', detail: 'Fatal, x', ...long })]))).toEqual(['nvswitch.sxid.20034 critical host']);
  });

  it('rather than forgotten, where the clock was put back', () => {
    expect(findings([xid(31, { at: NOW + 9 * HOUR })])).toHaveLength(1);
  });

  it('of this boot alone, and of none where the boot is not known', () => {
    const driver = complete({ driverVersion: null, attachedGpus: 0, gpus: [] });
    const snapshot = { driver, processes: failed('error', 'x'), takenAt: NOW };
    expect(currentXids(snapshot, memory(xid(79)))).toEqual([]);
    expect(currentXids({ ...snapshot, kernelLog: view() }, memory(xid(79), xid(62, { bootId: OTHER_BOOT })))).toMatchObject([{ code: 79 }]);
  });

  it('as seen by this look, where no look of this boot saw it before', () => {
    const { bootId: _boot, seenAt: _seen, ...event } = xid(79, { sequence: 5 });
    const snapshot = { processes: failed('error', 'x'), takenAt: NOW, kernelLog: view(event) };
    const otherBoot = { kernelLog: { cursor: { bootId: OTHER_BOOT, sequence: 1_000_000, bootUsec: 1_000_000, journal: null, readAt: NOW }, xids: [] } };
    for (const before of [{}, historyOf(), otherBoot]) expect(currentXids(snapshot, before)).toEqual([{ ...event, bootId: BOOT, seenAt: NOW }]);
    expect(currentXids({ ...snapshot, kernelLog: failed('error', 'x'), processes: judged(worldOf({})).snapshot.processes }, {})).toEqual([]);
  });

  it('once, whether the ledger knows it already or not', () => {
    const { bootId: _boot, seenAt: _seen, ...event } = xid(79, { sequence: 2_000_000 });
    const fresh = view(event);
    expect(findings([], { log: fresh })).toHaveLength(1);
    expect(findings([], { log: fresh, more: { kernelLog: { cursor: { bootId: BOOT, sequence: 2_000_000, bootUsec: 9, journal: null, readAt: NOW }, xids: [{ ...event, bootId: BOOT, seenAt: NOW }] } } })[0]?.message).not.toContain('times');
  });
});

describe('a reset is called for by the kernel log', () => {
  const wants = (gpu: Gpu, xids: readonly SeenXid[], resets: readonly ResetRecord[] = []) => xidWantsReset({ gpu, xids, resets, now: NOW });

  it('only where the driver has no recovery action of its own', () => {
    for (const recovery of [absent, unsupported]) expect(wants({ ...old, recovery }, [xid(62)])).toEqual({ code: 62, at: NOW - HOUR });
    const told: readonly Gpu['recovery'][] = [read('none'), read('reboot'), read('other'), misread('GPU is lost')];
    for (const recovery of told) expect(wants({ ...old, recovery }, [xid(62)])).toBeNull();
  });

  it('only by a code that the catalogue answers with a reset', () => {
    for (const code of [79, 151, 45, 48, 74, 154, 31, 13, 94, 54, 78, 43, 165]) expect(wants(old, [xid(code)])).toBeNull();
  });

  it('only for the board that it names, and not by a switch', () => {
    expect(wants({ ...board1, recovery: absent }, [xid(62)])).toBeNull();
    expect(wants(old, [xid(62, { kind: 'sxid' })])).toBeNull();
  });

  it('by the latest of them', () => {
    expect(wants(old, [xid(46), xid(62), xid(95, { at: NOW - MINUTE }), xid(31)])).toEqual({ code: 95, at: NOW - MINUTE });
  });

  it('only until a reset has succeeded since', () => {
    expect(wants(old, [xid(62)], [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: true }])).toBeNull();
    expect(wants(old, [xid(62)], [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: false }])).not.toBeNull();
    expect(wants(old, [xid(62, { at: NOW, seenAt: NOW })], [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: true }])).not.toBeNull();
  });

  it('and then the device is dirty, and for nothing where nobody read the log', () => {
    const facts = { gpu: old, ghosts: [], afterEnding: null, history: historyOf(), toleranceMiB: 1024, now: NOW };
    expect(decideDirt({ ...facts, xids: [xid(62)] })).toEqual({ kind: 'dirty', reason: 'xid-asked', evidence: { xid: 62, at: NOW - HOUR } });
    expect(decideDirt({ ...facts, xids: [xid(79)] }).kind).toBe('clean');
    expect(decideDirt({ ...facts, gpu: calm, xids: [xid(62)] }).kind).toBe('clean');
    expect(decideDirt(facts).kind).toBe('clean');
  });

  it('and a dry run exits as if the reset it plans were done', () => {
    const all = findings([xid(62), ...Array.from({ length: 5 }, (_, at) => xid(31, { pid: at }))]);
    const decision = { round: 1, verb: 'reset', target: { kind: 'gpu', uuid: GPU0, pciBusId: old.pciBusId, index: 0 }, verdict: 'act', reason: 'xid-asked', evidence: {} } as const;
    expect(leftAfterResets(all, [decision]).map(({ id }) => id)).toEqual(['gpu.xid.31.repeated']);
  });
});

describe('a reset settles', () => {
  it('what came before it, and nothing is to be settled twice', () => {
    const history = { ...memory(xid(62), xid(62, { at: NOW, seenAt: NOW }), xid(62, { pciBusId: board1.pciBusId })), resets: [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: true }, { gpuUuid: GPU0, at: NOW - 2 * HOUR, succeeded: true }] };
    expect(settlingResets([old, board1], history, NOW)).toEqual([{ gpu: old, at: NOW - MINUTE }]);
    expect(settlingResets([old, board1], { ...history, ...memory() }, NOW)).toEqual([]);
    expect(settlingResets([old, board1], { resets: history.resets }, NOW)).toEqual([]);
    expect(settlingResets([old], { ...history, ...memory(xid(62, { pciBusId: board1.pciBusId })) }, NOW)).toEqual([]);
  });

  it('once and for all by the last of several', () => {
    const resets = [NOW - 3 * MINUTE, NOW - MINUTE, NOW - 2 * MINUTE].map((at): ResetRecord => ({ gpuUuid: GPU0, at, succeeded: true }));
    expect(settlingResets([old], { ...memory(xid(62)), resets }, NOW)).toEqual([{ gpu: old, at: NOW - MINUTE }]);
  });
});

describe('what an earlier look of a pass lost of the kernel log', () => {
  const gap = (why: string) => ({ subject: 'kernel log', why });
  const lost = (...whys: readonly string[]) => ({ kernelLog: observed({ source: 'kmsg', bootId: BOOT, cursor: null, events: [] } as const, whys.map(gap)) });
  const whole = view();

  it('is lost to the later ones, each loss once, and what those read is kept', () => {
    const { bootId: _boot, seenAt: _seen, ...event } = xid(79);
    const kernelLog = view(event);
    expect(withGapsOf({ kernelLog }, lost('overwritten'))).toEqual({ kernelLog: { state: 'partial', value: seen(kernelLog), missing: [gap('overwritten')] } });
    expect(withGapsOf(lost('overwritten', 'too many'), lost('overwritten'))).toMatchObject(lost('overwritten', 'too many'));
  });

  it('is nothing where it was whole, was not read, or where the later one was not', () => {
    for (const before of [undefined, {}, { kernelLog: whole }, { kernelLog: failed('error', 'x') }]) expect(withGapsOf({ kernelLog: whole }, before)).toEqual({ kernelLog: whole });
    for (const now of [{}, { kernelLog: failed('error', 'x') }]) expect(withGapsOf(now, lost('overwritten'))).toEqual(now);
  });
});

describe('a kernel log that was not read', () => {
  it('is told, and is no reason to exit otherwise where it may not be read', () => {
    expect(briefly(findings([], { log: failed('not-permitted', '/dev/kmsg: EPERM') }))).toEqual(['source.kernel-log.failed info host']);
    expect(briefly(findings([], { log: failed('timeout', 'journalctl: timeout') }))).toEqual(['source.kernel-log.failed warning host']);
    const partial = { state: 'partial', value: { source: 'kmsg', bootId: BOOT, cursor: null, events: [] }, missing: [{ subject: 'kernel log', why: 'records were overwritten' }] } as const;
    expect(briefly(findings([], { log: partial }))).toEqual(['source.kernel-log.partial warning host']);
    expect(findings([])).toEqual([]);
  });

  it('takes nothing away from what the ledger remembers', () => {
    const { processes } = judged(worldOf({})).snapshot;
    const bootId = processes.state === 'failed' ? '' : processes.value.bootId;
    const driver = complete({ driverVersion: null, attachedGpus: 1, gpus: [old] });
    const kernelLog = { cursor: { bootId, sequence: 9, bootUsec: 9, journal: null, readAt: NOW }, xids: [xid(79, { bootId })] };
    const all = xidFindings({ snapshot: { driver, processes, takenAt: NOW }, history: historyOf({ kernelLog }), gpus: [old] });
    expect(briefly(all)).toEqual([`gpu.xid.79 critical ${GPU0}`]);
  });
});
