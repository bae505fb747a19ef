import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseXidLine, type XidLine } from '../../../../src/observe/kernel-log/xid-line.ts';

const BUS = '00000000:3b:00.0';

function xid(more: Partial<XidLine>): XidLine {
  return { kind: 'xid', code: 79, pciBusId: BUS, gpuUuid: null, gpuInstanceId: null, pid: null, processName: null, detail: '', ...more };
}

describe('an Xid line', () => {
  it.each<[string, XidLine]>([
    ["NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", xid({ detail: 'GPU has fallen off the bus.' })],
    ['NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.', xid({ pid: 1234, detail: 'GPU has fallen off the bus.' })],
    ['NVRM: Xid (PCI:0000:3b:00): 31, pid=1234, name=python3, Ch 00000008, intr 00000000. MMU Fault', xid({ code: 31, pid: 1234, processName: 'python3', detail: 'Ch 00000008, intr 00000000. MMU Fault' })],
    ['NVRM: Xid (PCI:0000:3b:00): 109, name=game.exe, errorString CTX SWITCH TIMEOUT', xid({ code: 109, processName: 'game.exe', detail: 'errorString CTX SWITCH TIMEOUT' })],
    ['NVRM: Xid (PCI:0000:3B:00): 32, Channel ID 00000000 intr 00004000', xid({ code: 32, detail: 'Channel ID 00000000 intr 00004000' })],
    ['NVRM: Xid (0000:3b:00): 13, 0001 00000000', xid({ code: 13, detail: '0001 00000000' })],
    ['NVRM: Xid (PCI:00000019:01:00.0): 145, RLW_RXPIPE Nonfatal', xid({ code: 145, pciBusId: '00000019:01:00.0', detail: 'RLW_RXPIPE Nonfatal' })],
    ['NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 94, pid=7194, Contained: CE User Channel', xid({ code: 94, gpuInstanceId: 5, pid: 7194, detail: 'Contained: CE User Channel' })],
    ['NVRM: Xid (GPU-0B2F1C3D-0000-4000-8000-0123456789ab): 48, pid=1, name=x', xid({ code: 48, pciBusId: null, gpuUuid: 'GPU-0b2f1c3d-0000-4000-8000-0123456789ab', pid: 1, processName: 'x' })],
    ['NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)', xid({ code: 154, detail: 'GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)' })],
    ['NVRM: Xid (PCI:0000:3b:00): 45', xid({ code: 45 })],
    ['nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 32 egress error', xid({ kind: 'sxid', code: 12028, pciBusId: '00000000:c1:00.0', detail: 'Non-fatal, Link 32 egress error' })],
  ])('%s', (text, expected) => {
    expect(parseXidLine(text)).toEqual(expected);
  });

  it.each([
    ' NVRM: Xid (PCI:0000:3b:00): 79, pid=1', 'python3[12]: NVRM: Xid (PCI:0000:3b:00): 79, x', 'hello\nNVRM: Xid (PCI:0000:3b:00): 79, x', 'NVRM: Xid (PCI:0000:3b:00): -79, x',
    'NVRM: Xid (PCI:0000:3b:00): 79x', 'NVRM: Xid (PCI:0000:3b:00): 1234567, x', 'NVRM: Xid (PCI:3b:00): 79, x', 'NVRM: Xid (GPU-0b2f1c3d): 48, x', 'NVRM: Xid (GPU-------------------------------------): 48, x',
    'NVRM: Xid (PCI:[1234]: segfault at 0 ip 0', 'nvidia-nvswitch: SXid (PCI:0000:c1:00.0): 1, Fatal', 'NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.', '',
  ])('is not seen in %j', (text) => {
    expect(parseXidLine(text)).toBeNull();
  });

  it('shows a name and a detail that drive no terminal and have an end, and ends a name at a comma', () => {
    const line = parseXidLine(`NVRM: Xid (PCI:0000:3b:00): 13, pid=9, name=\u001b[2Jx${'y'.repeat(300)}, \u202e${'z'.repeat(3000)}`);
    expect(JSON.stringify(line)).not.toMatch(/\\u001b|\u202e/u);
    expect(line?.processName).toContain('[2Jx');
    expect((line?.detail ?? '').length).toBeLessThanOrEqual(200);
    expect(parseXidLine('NVRM: Xid (PCI:0000:3b:00): 13, pid=9, name=a, 79, b')).toMatchObject({ code: 13, processName: 'a', detail: '79, b' });
  });
});

/** What a user could want a line to say, among anything else. */
const hostile = fc.array(fc.oneof(fc.constantFrom('NVRM: Xid (PCI:0000:3b:00): 79', 'NVRM: ', 'Xid (', 'PCI:0000:3b:00', '): ', '79', ', ', 'pid=', "'<unknown>'", 'name=', 'GPU-I:05', '\n', '\\x0a', 'SXid (', 'nvidia-nvswitch0: '), fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 12 }).map((parts) => parts.join(''));

describe('whatever a program calls itself', () => {
  it('changes neither the code nor the device of its line', () => {
    fc.assert(fc.property(hostile, fc.integer({ min: 0, max: 99_999 }), (name, code) => {
      expect(parseXidLine(`NVRM: Xid (PCI:0000:3b:00): ${code}, pid=1, name=${name}, Ch 1`)).toMatchObject({ kind: 'xid', code, pciBusId: BUS, pid: 1 });
    }), { numRuns: 2000 });
  });

  it('makes no line of another kind one: text that begins otherwise is never an Xid', () => {
    fc.assert(fc.property(hostile, fc.constantFrom('a', ' ', '[', '\u0000', 'audit: ', 'usb 1-1: Product: '), (text, before) => {
      expect(parseXidLine(before + text)).toBeNull();
    }), { numRuns: 2000 });
  });

  it('is read in bounded time, and any text gives a line of bounded size or none', () => {
    const begun = performance.now();
    for (const part of ['NVRM: Xid (PCI:0000:3b:00): 79, name=', 'NVRM: Xid (PCI:0000:3b:00): 79, pid=1, ', '0', ',', ' ', 'GPU-', '\u001b']) {
      for (const before of ['', 'NVRM: Xid (PCI:0000:3b:00): 13, pid=1, name=']) parseXidLine(before + part.repeat(20_000));
    }
    expect(performance.now() - begun).toBeLessThan(500);
    fc.assert(fc.property(hostile, (text) => {
      expect(JSON.stringify(parseXidLine(text)).length).toBeLessThan(2500);
    }), { numRuns: 2000 });
  });
});
