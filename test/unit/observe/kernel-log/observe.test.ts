import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { KernelLogCursor, KernelLogView } from '../../../../src/model/kernel-log.ts';
import type { Observed } from '../../../../src/model/observation.ts';
import { type KernelLogParts, type LogHost, observeKernelLog } from '../../../../src/observe/kernel-log/index.ts';
import { parseJournal } from '../../../../src/observe/kernel-log/journal.ts';
import { openLog, type Read } from '../../../../src/observe/kernel-log/kmsg.ts';
import { testFolder } from '../../record/folders.ts';

const NOW = Date.UTC(2026, 10, 22, 9, 5);
const BOOT = '0b2f1c3d-0000-4000-8000-0123456789ab';
const UP_USEC = 3_600_000_000;

function line(sequence: number, code: number, more: { readonly usec?: number; readonly bus?: string; readonly pid?: number } = {}): string {
  return `4,${sequence},${more.usec ?? sequence * 1_000_000},-;NVRM: Xid (PCI:0000:${more.bus ?? '3b'}:00): ${code}, pid=${more.pid ?? sequence}, name=python3, x\n`;
}

const other = (sequence: number): string => `6,${sequence},${sequence * 1_000_000},-;usb 1-1: new device\n`;

function hostWith(...answers: readonly (string | Exclude<Read, Buffer>)[]): LogHost {
  let at = 0;
  const read = (): Read => { const answer = answers[at++] ?? 'end'; return answer === 'end' || answer === 'lost' ? answer : Buffer.from(answer); };
  return { open: () => ({ read, close: () => undefined }), bootId: () => BOOT, uptimeUsec: () => UP_USEC };
}

function refusing(code: string): LogHost {
  return { ...hostWith(), open: () => { throw Object.assign(new Error('refused'), { code }); } };
}

/** A journalctl of the test's: prints the file, tells its arguments. */
function journalctl(lines: readonly object[], { exit = 0, stderr = '' } = {}): string {
  const dir = testFolder();
  const program = join(dir, 'journalctl');
  writeFileSync(join(dir, 'out'), lines.map((each) => `${JSON.stringify(each)}\n`).join(''));
  writeFileSync(program, `#!/bin/sh\necho "$@" >>'${dir}/args'\ncat '${dir}/out'\nprintf '%s' '${stderr}' >&2\nexit ${exit}\n`);
  chmodSync(program, 0o755);
  return program;
}

function look(host: LogHost, since: KernelLogCursor | null = null, more: Partial<KernelLogParts> = {}): Promise<Observed<KernelLogView>> {
  return observeKernelLog({ path: '/dev/kmsg', journalctl: '/nonexistent/journalctl', since: () => since, now: () => NOW, host, ...more });
}

function cursor(sequence: number, more: Partial<KernelLogCursor> = {}): KernelLogCursor {
  return { bootId: BOOT, sequence, bootUsec: sequence * 1_000_000, journal: null, readAt: NOW - 600_000, ...more };
}

const codes = (seen: Observed<KernelLogView>): readonly number[] => (seen.state === 'failed' ? [] : seen.value.events.map(({ code }) => code));

describe('the kernel log', () => {
  it('gives every Xid of the boot where it was never read, with its time, and how far it was read', async () => {
    expect(await look(hostWith(other(1), line(2, 79), other(3)))).toEqual({ state: 'complete', value: {
      source: 'kmsg', bootId: BOOT, cursor: { bootId: BOOT, sequence: 3, bootUsec: 3_000_000, journal: null, readAt: NOW },
      events: [{ kind: 'xid', code: 79, pciBusId: '00000000:3b:00.0', gpuUuid: null, gpuInstanceId: null, pid: 2, processName: 'python3', detail: 'x', at: NOW - 3_600_000 + 2000, bootUsec: 2_000_000, sequence: 2, lines: 1 }],
    } });
  });

  it('gives what is new since it was read last, and nothing twice', async () => {
    const log = (): LogHost => hostWith(line(1, 31), line(2, 48), other(3), line(4, 79));
    expect(codes(await look(log(), cursor(2)))).toEqual([79]);
    expect(codes(await look(log(), cursor(4)))).toEqual([]);
  });

  it('of another boot is read from its beginning', async () => {
    for (const sequence of [1, 900]) {
      const seen = await look(hostWith(line(1, 31), line(9, 79)), cursor(sequence, { bootId: 'ffffffff-0000-4000-8000-0123456789ab' }));
      expect([seen.state, codes(seen)]).toEqual(['complete', [31, 79]]);
    }
  });

  it('is partial where records were overwritten, between two readings or during one', async () => {
    const between = await look(hostWith(line(8, 31)), cursor(5));
    expect(between).toMatchObject({ state: 'partial', missing: [{ why: 'records were overwritten since it was last read' }] });
    expect(codes(between)).toEqual([31]);
    expect(await look(hostWith(line(6, 31)), cursor(5))).toMatchObject({ state: 'complete' });
    expect(await look(hostWith(line(6, 31), 'lost', line(90, 79)), cursor(5))).toMatchObject({ state: 'partial', value: { cursor: { sequence: 90 } } });
  });

  it('of a host that was taken back to an earlier state counts anew', async () => {
    const seen = await look(hostWith(line(1, 31), line(2, 79)), cursor(900));
    expect([seen.state, codes(seen)]).toEqual(['complete', [31, 79]]);
  });

  it('that is empty is complete and moves no cursor', async () => {
    expect(await look(hostWith())).toMatchObject({ state: 'complete', value: { cursor: null, events: [] } });
    expect(await look(hostWith(), cursor(4))).toMatchObject({ value: { cursor: { sequence: 4 } } });
  });

  it('says of what it did not hold at the last reading that it came after it, and of nothing that it comes from the future', async () => {
    const drifted = await look(hostWith(line(3000, 31, { usec: UP_USEC - 700_000_000 }), line(3001, 79, { usec: UP_USEC + 9_000_000 })), cursor(2999));
    expect(drifted.state !== 'failed' && drifted.value.events.map(({ at }) => at)).toEqual([NOW - 600_000, NOW]);
  });

  it('makes one of the lines that one failure wrote, and keeps the newest fifty of each kind, whatever floods it', async () => {
    const flood = Array.from({ length: 20_000 }, (_, n) => line(n + 10, 31, { usec: 100_000_000 + n * 20_000, pid: n }));
    const seen = await look(hostWith(line(1, 79), line(2, 13, { usec: 5_000_000, pid: 7 }), line(3, 13, { usec: 5_000_001, pid: 7 }), line(4, 13, { usec: 5_000_002, pid: 7, bus: '5e' }), ...flood));
    if (seen.state === 'failed') throw new Error(seen.why);
    expect(seen.value.events.slice(0, 3).map(({ code, lines, sequence, pciBusId }) => [code, lines, sequence, pciBusId])).toEqual([[79, 1, 1, '00000000:3b:00.0'], [13, 2, 3, '00000000:3b:00.0'], [13, 1, 4, '00000000:5e:00.0']]);
    expect(seen.value.events.slice(3).map(({ sequence }) => sequence)).toEqual(Array.from({ length: 50 }, (_, n) => 20_009 - 49 + n));
  });

  it('is not read where the boot is not known', async () => {
    expect(await look({ ...hostWith(line(1, 79)), bootId: () => null })).toMatchObject({ state: 'failed', code: 'error' });
  });
});

const entry = (n: number, message: unknown, more: object = {}): object => ({ __CURSOR: `s=a;i=${n}`, _BOOT_ID: BOOT.replaceAll('-', ''), __MONOTONIC_TIMESTAMP: '1', _SOURCE_MONOTONIC_TIMESTAMP: `${n}000000`, SYSLOG_FACILITY: '0', MESSAGE: message, ...more });
const XID = 'NVRM: Xid (PCI:0000:3b:00): 79, pid=1, x';

describe('the journal', () => {
  it('is asked only where the log itself cannot be opened', async () => {
    const program = journalctl([entry(1, 'boot'), entry(2, XID)]);
    const seen = await look(refusing('EPERM'), null, { journalctl: program });
    expect(seen).toMatchObject({ state: 'complete', value: { source: 'journal', cursor: { sequence: null, bootUsec: 2_000_000, journal: 's=a;i=2' }, events: [{ code: 79, sequence: null, bootUsec: 2_000_000 }] } });
    const unread = journalctl([entry(1, XID)]);
    await look(hostWith(), null, { journalctl: unread });
    expect(() => openLog(join(unread, '..', 'args'))).toThrow('ENOENT');
  });

  it('is asked for what came after its own cursor', async () => {
    const program = journalctl([entry(9, XID)]);
    const seen = await look(refusing('ENOENT'), cursor(5, { sequence: null, journal: 's=a;i=5' }), { journalctl: program });
    expect(codes(seen)).toEqual([79]);
    const log = openLog(join(program, '..', 'args'));
    expect(String(log.read())).toContain('--after-cursor=s=a;i=5');
    log.close();
  });

  it('is asked from the beginning of the boot where its cursor is damaged', async () => {
    const program = journalctl([entry(9, XID)]);
    await look(refusing('ENOENT'), cursor(5, { sequence: null, journal: 's=a --output=cat' }), { journalctl: program });
    const log = openLog(join(program, '..', 'args'));
    expect(String(log.read())).not.toContain('cursor');
    log.close();
  });

  it('that is asked after the kernel was tells nothing twice', async () => {
    const seen = await look(refusing('EPERM'), cursor(2), { journalctl: journalctl([entry(1, 'boot'), entry(2, XID), entry(3, XID.replace('79', '62'))]) });
    expect(codes(seen)).toEqual([62]);
  });

  it.each([
    ['there is no such program', refusing('EPERM'), '/nonexistent/journalctl', 'not-permitted'],
    ['neither the log nor the program is there', refusing('ENOENT'), '/nonexistent/journalctl', 'not-installed'],
    ['it shows nothing at all, as to whom it may not be shown', refusing('ENOENT'), null, 'not-permitted'],
  ])('is no answer where %s', async (_, host, program, code) => {
    expect(await look(host, null, { journalctl: program ?? journalctl([]) })).toMatchObject({ state: 'failed', code });
  });

  it('that refuses is told in its words', async () => {
    const refused = journalctl([], { exit: 1, stderr: 'No journal files were opened due to insufficient permissions.' });
    expect(await look(refusing('ENOENT'), null, { journalctl: refused })).toMatchObject({ state: 'failed', code: 'not-permitted', why: expect.stringContaining('insufficient permissions') });
  });

  it('holds lines of programs in the kernel\'s log and lines that are damaged: neither says anything', () => {
    const lines = [entry(1, XID, { SYSLOG_FACILITY: '1' }), entry(2, XID, { SYSLOG_FACILITY: undefined }), entry(3, null), entry(4, [...Buffer.from(XID)]), entry(5, XID, { _SOURCE_MONOTONIC_TIMESTAMP: '-1', __MONOTONIC_TIMESTAMP: 'x' }), entry(6, XID, { __CURSOR: 's=a --output=cat' })];
    expect(parseJournal(`not json\n{"broken\n[1]\n{}\n${lines.map((each) => JSON.stringify(each)).join('\n')}`, 'Xid (')).toEqual({ lines: [{ sequence: null, bootUsec: 4_000_000, text: XID }], last: { cursor: 's=a;i=4', bootUsec: 4_000_000 }, cut: false });
  });
});
