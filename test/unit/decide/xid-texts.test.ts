import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../../src/model/device.ts';
import type { SeenXid } from '../../../src/model/kernel-log.ts';
import { failed, observed } from '../../../src/model/observation.ts';
import { absent, misread, read, unsupported } from '../../../src/model/reading.ts';
import { xidEntry } from '../../../src/decide/xid-catalogue.ts';
import { remedyOf } from '../../../src/decide/xid-remedies.ts';
import { GPU0, HOUR, NOW } from './good-case.ts';
import { BOOT, type Case, calm, findings, old, xid } from './xid-facts.ts';

/** What an admin reads; the hour of the good case is 08:05. */
const message = (xids: readonly SeenXid[], given?: Case): string | undefined => findings(xids, given)[0]?.message;
const gone = { pciBusId: '00000000:f0:00.0' };

describe('what is said of an Xid', () => {
  it('is what happened, when, to whom, and what the driver said besides', () => {
    expect(findings([xid(13, { pid: 42, processName: 'python3', detail: 'Graphics Exception', lines: 3 })])).toEqual([{
      id: 'gpu.xid.13', severity: 'info', subject: { gpu: GPU0 },
      message: 'Xid 13 (the program made the GPU raise an exception) at 2026-11-22T08:05:00.000Z, process 42 ("python3"): Graphics Exception',
      remedy: 'restart the program that met it, and look for the fault there',
      evidence: { code: 13, action: 'restart', busId: old.pciBusId, at: '2026-11-22T08:05:00.000Z', events: 1, lines: 3 },
      source: 'NVIDIA Xid catalogue, 2025-10-29',
    }]);
  });

  it.each<[string, SeenXid, string]>([
    ['nothing more', xid(62), 'Xid 62 (an internal controller of the GPU halted) at 2026-11-22T08:05:00.000Z'],
    ['a code that nobody knows', xid(999), 'Xid 999 (a code that the catalogue does not classify) at 2026-11-22T08:05:00.000Z'],
    ['a pid alone', xid(43, { pid: 7 }), 'Xid 43 (a program\'s work was ended, by itself or by an earlier error) at 2026-11-22T08:05:00.000Z, process 7'],
    ['a name alone, which might be any text', xid(8, { processName: 'a": b' }), 'Xid 8 (the GPU stopped processing a channel) at 2026-11-22T08:05:00.000Z, process ? ("a\\": b")'],
    ['an instance', xid(62, { gpuInstanceId: 0 }), 'Xid 62 (an internal controller of the GPU halted), GPU instance 0 at 2026-11-22T08:05:00.000Z'],
    ['a bus id where there is no GPU', xid(62, gone), 'Xid 62 (an internal controller of the GPU halted) of a GPU at 00000000:f0:00.0, where nvidia-smi shows none at 2026-11-22T08:05:00.000Z'],
    ['an instance there', xid(62, { ...gone, gpuInstanceId: 3 }), 'Xid 62 (an internal controller of the GPU halted) of a GPU at 00000000:f0:00.0, GPU instance 3, where nvidia-smi shows none at 2026-11-22T08:05:00.000Z'],
    ['a UUID that no GPU has', xid(62, { pciBusId: null, gpuUuid: 'GPU-x' }), 'Xid 62 (an internal controller of the GPU halted) of a GPU at GPU-x, where nvidia-smi shows none at 2026-11-22T08:05:00.000Z'],
  ])('with %s', (_what, seen, said) => expect(message([seen])).toBe(said));

  it('does not claim that nvidia-smi lacks a GPU which the inventory knows there, or where nvidia-smi did not answer', () => {
    const said = 'Xid 62 (an internal controller of the GPU halted) of the GPU at 00000000:f0:00.0, GPU instance 3 at 2026-11-22T08:05:00.000Z';
    const inventory = [{ gpuUuid: 'GPU-f', pciBusId: gone.pciBusId, name: 'x', firstSeenAt: 0, missingSince: null }];
    expect(message([xid(62, { ...gone, gpuInstanceId: 3 })], { more: { inventory } })).toBe(said);
    expect(message([xid(62, { ...gone, gpuInstanceId: 3 })], { gpus: [], driver: failed('timeout', 'nvidia-smi: 60 s') })).toBe(said);
  });

  it('is of the latest, where it came several times, with the first and the last of them', () => {
    const [all] = [findings([xid(62, { at: NOW - 3 * HOUR, detail: 'one', lines: 2 }), xid(62, { detail: 'two', lines: 5 }), xid(62, { at: NOW - 2 * HOUR, detail: 'three' })])];
    expect(all).toMatchObject([{ message: 'Xid 62 (an internal controller of the GPU halted), 3 times between 2026-11-22T06:05:00.000Z and 2026-11-22T08:05:00.000Z: two', evidence: { at: '2026-11-22T08:05:00.000Z', events: 3, lines: 8 } }]);
    expect(message([xid(62, { detail: 'one' }), xid(62, { detail: 'two' })])).toMatch(/: two$/);
  });

  it('ends with the driver\'s own word, where the catalogue calls for more than that', () => {
    const outranked = '; the driver asks for no recovery action, which counts for more';
    expect([46, 79].map((code) => message([xid(code)], { gpus: [calm] })?.endsWith(outranked))).toEqual([true, true]);
    for (const code of [54, 48, 13, 999]) expect(message([xid(code)], { gpus: [calm] })).toMatch(/at 2026-11-22T08:05:00.000Z$/);
    expect(message([xid(46)], { gpus: [{ ...calm, recovery: read('reset') }] })).toMatch(/at 2026-11-22T08:05:00.000Z$/);
  });

  it('has no action in its evidence where the catalogue has none', () => {
    expect(findings([xid(999)])[0]?.evidence).toMatchObject({ code: 999, action: null });
  });
});

describe('what is said of a switch', () => {
  const sxid = (detail: string, more: Partial<SeenXid> = {}): SeenXid => xid(12028, { kind: 'sxid', pciBusId: '00000000:c1:00.0', detail, ...more });

  it('depends on whether it says that it is fatal', () => {
    expect(findings([sxid('Fatal, Link 30')])).toEqual([{
      id: 'nvswitch.sxid.12028', severity: 'critical', subject: {},
      message: 'SXid 12028 of the NVSwitch at 00000000:c1:00.0 at 2026-11-22T08:05:00.000Z: Fatal, Link 30',
      remedy: 'drain the host, then reset the switches and all GPUs behind them together, or reboot it; see the log of nvidia-fabricmanager',
    }]);
    expect(findings([sxid('Non-fatal, Link 1'), sxid('Non-fatal, Link 2', { at: NOW })])).toEqual([{
      id: 'nvswitch.sxid.12028', severity: 'info', subject: {},
      message: 'SXid 12028 of the NVSwitch at 00000000:c1:00.0, 2 times between 2026-11-22T08:05:00.000Z and 2026-11-22T09:05:00.000Z: Non-fatal, Link 2',
      remedy: 'nothing; see the log of nvidia-fabricmanager if it comes again',
    }]);
  });

  it('does not depend on its bus id being known', () => {
    expect(message([sxid('', { pciBusId: null })])).toBe('SXid 12028 of the NVSwitch at ? at 2026-11-22T08:05:00.000Z');
  });
});

describe('what is said of the kernel log', () => {
  it('is why it was not read, and what would help', () => {
    for (const code of ['not-permitted', 'not-installed', 'error'] as const) {
      expect(findings([], { log: failed(code, '/dev/kmsg: EPERM') })).toEqual([{
        id: 'source.kernel-log.failed', severity: code === 'error' ? 'warning' : 'info', subject: {},
        message: 'kernel log: /dev/kmsg: EPERM; Xids are not seen', remedy: 'run as root, where /dev/kmsg or the journal can be read',
      }]);
    }
  });

  it('is each part of it that was lost', () => {
    const log = observed({ source: 'kmsg', bootId: BOOT, cursor: null, events: [] } as const, [{ subject: 'kernel log', why: '40 records were overwritten' }, { subject: 'kernel log', why: 'too many lines' }]);
    expect(findings([], { log }).map((each) => each.message)).toEqual(['kernel log: 40 records were overwritten; Xids may have been missed', 'kernel log: too many lines; Xids may have been missed']);
    expect(findings([], { log })[0]).toMatchObject({ id: 'source.kernel-log.partial', severity: 'warning', subject: {}, remedy: 'a larger ring (log_buf_len on the kernel\'s command line) holds more; journalctl -k -g Xid may still show them' });
  });
});

describe('what to do about an Xid', () => {
  const NVLINK = 'see nvidia-smi nvlink --errorcounters; reset the GPUs at both ends of the link once they are idle; if it comes again, have the link checked';
  const none: Gpu['recovery'] = read('none');

  it.each<[number, Gpu['recovery'] | null, string]>([
    // A code that nobody knows, whatever the driver asks for.
    [999, none, 'look the code up in NVIDIA\'s Xid catalogue'],
    // Reset the GPU: the driver's own word comes first.
    [62, absent, 'gpuctl resets it at the next moment when nothing refers to it'],
    [62, unsupported, 'gpuctl resets it at the next moment when nothing refers to it'],
    [62, misread('Unknown Error'), 'see the finding about what the driver reports'],
    [62, null, 'reset it once nvidia-smi shows it again; otherwise reboot the host'],
    [62, none, 'nothing now; if it comes again, have the board checked'],
    [62, read('reset'), 'do what the driver\'s recovery action says; see the finding about it'],
    // Reboot the host: likewise.
    [79, absent, 'drain the host and reboot it; if it comes again, have the board and its slot checked'],
    [79, null, 'drain the host and reboot it; if it comes again, have the board and its slot checked'],
    [79, misread('Unknown Error'), 'drain the host and reboot it; if it comes again, have the board and its slot checked'],
    [79, none, 'nothing now; if it comes again, have the board checked'],
    [79, read('drain-p2p'), 'do what the driver\'s recovery action says; see the finding about it'],
    [151, absent, 'reboot the virtual machine'],
    // All others: the driver's word is not about them.
    [45, absent, 'nothing after a program that was ended; where the host has NVSwitches and it comes by itself again and again, restart nvidia-fabricmanager'],
    [48, none, 'look at the board\'s ECC counters and remapped rows: the findings about them say what is called for'],
    [74, read('reset'), NVLINK],
    [150, null, NVLINK],
    [154, absent, 'read gpu_recovery_action in nvidia-smi -q and do what it says'],
    [159, absent, 'if it comes again, have the board and its link to the processor checked'],
    [13, read('reset'), 'restart the program that met it, and look for the fault there'],
    [43, misread('Unknown Error'), 'nothing'],
    [54, none, 'check the power cables of the board'],
    [78, absent, 'update the virtual GPU software of host and guest to versions that belong together'],
  ])('%d, where the driver\'s recovery action is %j', (code, recovery, remedy) => {
    expect(remedyOf(code, xidEntry(code), recovery)).toBe(remedy);
  });

  it('is told with it: of a board that nvidia-smi shows, by what the driver asks for, of any other, that it is not shown', () => {
    expect(findings([xid(62)], { gpus: [{ ...old, recovery: read('reset') }] })[0]?.remedy).toMatch(/recovery action/);
    expect(findings([xid(62, gone)])[0]?.remedy).toMatch(/once nvidia-smi shows it again/);
  });
});
