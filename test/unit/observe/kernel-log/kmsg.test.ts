import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync, constants } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LogReader, openLog, type Read, readLog } from '../../../../src/observe/kernel-log/kmsg.ts';
import { parseRecord } from '../../../../src/observe/kernel-log/records.ts';
import { testFolder } from '../../record/folders.ts';

const XID = 'NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.';
const BOUNDS = { maxBytes: 1_000_000, maxMs: 5000, monotonicMs: () => performance.now() };

/** A log that gives these answers, one a read, and then its end for ever. */
function logOf(...answers: readonly (string | Exclude<Read, Buffer> | Error)[]): LogReader & { readonly reads: () => number } {
  let at = 0;
  return {
    reads: () => at,
    read() {
      const answer = answers[at];
      at += 1;
      if (answer instanceof Error) throw answer;
      if (answer === undefined) return 'end';
      return answer === 'end' || answer === 'lost' ? answer : Buffer.from(answer);
    },
    close: () => undefined,
  };
}

const records = async (log: LogReader) => (await readLog(log, 'Xid (', BOUNDS)).records.map(({ sequence, text }) => [sequence, text]);

describe('a record', () => {
  it('has a facility, a number, a time and a text; properties and later fields are passed over', () => {
    expect(parseRecord(`4,339,5140900,-,caller=T12;${XID}`)).toEqual({ facility: 0, sequence: 339, bootUsec: 5_140_900, fragment: false, text: XID });
    expect(parseRecord(`12,339,5140900,-;${XID}`)).toMatchObject({ facility: 1 });
    expect(parseRecord(`4,339,5140900,c;${XID}`)).toMatchObject({ fragment: true });
    for (const other of ['', ' SUBSYSTEM=pci', '4,339;x', 'a,b,c,-;x', `99999999999,1,1,-;${XID}`, '4,99999999999999999999,1,-;x']) expect(parseRecord(other)).toBeNull();
  });

  it('of any text is read without a fault', () => {
    let read = 0;
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\d,;\-c+=A-Z ]{0,60}$/), fc.stringMatching(/^\d{1,12},\d{1,18},\d{1,18},[-c+](,[a-z=T\d]{0,9})?;[\d,;A-Z ]{0,30}$/)), (text) => {
      const record = parseRecord(text);
      if (record === null) return;
      read += 1;
      expect(text.endsWith(record.text) && [record.facility, record.sequence, record.bootUsec].every(Number.isSafeInteger)).toBe(true);
    }), { numRuns: 3000 });
    expect(read).toBeGreaterThan(0);
  });
});

describe('reading the log', () => {
  it('gives the lines of the kernel that hold what is wanted, and the first and last of all', async () => {
    const content = await readLog(logOf(`6,10,100,-;boot\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n`, `4,11,200,-;${XID}\n`, '6,12,300,-;end\n'), 'Xid (', BOUNDS);
    expect(content).toMatchObject({ records: [{ sequence: 11, bootUsec: 200, text: XID }], first: { sequence: 10 }, last: { sequence: 12 }, missing: [] });
  });

  it('takes nothing that a program wrote, no piece of a line, and no property that looks like one', async () => {
    expect(await records(logOf(`12,1,1,-;${XID}\n`, `4,2,1,c;${XID}\n`, `4,3,1,+;${XID}\n`, `6,4,1,-;x\n 4,5,1,-;${XID}\n`, `4,6,1,-;python3[1]: \\x0a4,7,1,-;${XID}\n`))).toEqual([[6, `python3[1]: \\x0a4,7,1,-;${XID}`]]);
  });

  it('goes on where records were overwritten meanwhile, and says so', async () => {
    const content = await readLog(logOf(`4,1,1,-;${XID}\n`, 'lost', 'lost', `4,900,2,-;${XID}\n`), 'Xid (', BOUNDS);
    expect(content.records.map(({ sequence }) => sequence)).toEqual([1, 900]);
    expect(content.missing).toEqual(['records were overwritten before they could be read']);
  });

  it('keeps what it has where the log cannot be read any further', async () => {
    const content = await readLog(logOf(`4,1,1,-;${XID}\n`, Object.assign(new Error('no'), { code: 'EIO' })), 'Xid (', BOUNDS);
    expect([content.records.length, content.missing]).toEqual([1, ['it could not be read to its end: EIO']]);
  });

  it('ends at its bound of bytes and at its bound of time, whatever is still to come', async () => {
    const endless: LogReader = { read: () => Buffer.from(`4,1,1,-;${XID}\n`), close: () => undefined };
    expect((await readLog(endless, 'Xid (', { ...BOUNDS, maxBytes: 10_000 })).missing).toEqual(['it is too long to be read in one go']);
    let now = 0;
    const lost: LogReader = { read: () => 'lost', close: () => undefined };
    expect((await readLog(lost, 'Xid (', { ...BOUNDS, monotonicMs: () => (now += 1) })).missing).toContain('it is too long to be read in one go');
  });

  it('lets others have their turn', async () => {
    const log = logOf(...Array.from({ length: 1000 }, (_, n) => `6,${n},1,-;x\n`));
    let reads = 0;
    setImmediate(() => { reads = log.reads(); });
    await readLog(log, 'Xid (', BOUNDS);
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThan(1000);
  });
});

describe('a file in the place of the device', () => {
  it('is read line by line, wherever its pieces end, with or without a last line feed', async () => {
    const file = join(testFolder(), 'kmsg');
    writeFileSync(file, [...Array.from({ length: 2000 }, (_, n) => `4,${n},${n},-;${XID} ${n}`), `4,2000,2000,-;${XID} last`].join('\n'));
    const log = openLog(file);
    const found = await records(log);
    log.close();
    expect(found).toEqual([...Array.from({ length: 2000 }, (_, n) => [n, `${XID} ${n}`]), [2000, `${XID} last`]]);
  });

  it('that is a pipe with nothing in it holds nobody up', async () => {
    const pipe = join(testFolder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    const log = openLog(pipe);
    const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(writer, `4,1,1,-;${XID}\n`);
    expect(await records(log)).toEqual([[1, XID]]);
    closeSync(writer);
    log.close();
  });

  it('that cannot be opened is told as the file system tells it', () => {
    expect(() => openLog(join(testFolder(), 'none'))).toThrow('ENOENT');
  });
});

/** Root's, where there is a kernel log that may be read. */
const readable = ((): boolean => { try { openLog('/dev/kmsg').close(); return true; } catch { return false; } })();

describe.runIf(readable)('the log of this host', () => {
  it('is read to its end, in order and complete', async () => {
    const log = openLog('/dev/kmsg');
    const content = await readLog(log, '', { ...BOUNDS, maxBytes: 64_000_000 });
    log.close();
    const numbers = content.records.map(({ sequence }) => sequence);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(content.last?.bootUsec ?? 0).toBeLessThanOrEqual(Number(process.hrtime.bigint() / 1000n) + 5_000_000);
    expect(content.missing).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0 && existsSync('/proc/sys/kernel/printk_devkmsg') && readFileSync('/proc/sys/kernel/printk_devkmsg', 'utf8').trim() !== 'off')('holds a line that root wrote into it, and takes it for no line of the kernel', async () => {
    const mark = `NVRM: Xid (PCI:0000:3b:00): 79, a program's test ${process.hrtime.bigint()}`;
    writeFileSync('/dev/kmsg', `<3>${mark}\n`);
    const written = readLines(mark);
    expect(written.map((line) => parseRecord(line)?.facility)).toEqual([1]);
    const log = openLog('/dev/kmsg');
    const content = await readLog(log, mark, { ...BOUNDS, maxBytes: 64_000_000 });
    log.close();
    expect(content.records).toEqual([]);
  });
});

/** What the device says, without the reader. */
function readLines(mark: string): readonly string[] {
  const log = openLog('/dev/kmsg');
  const lines: string[] = [];
  for (let read = log.read(); read !== 'end'; read = log.read()) if (read !== 'lost' && read.includes(mark)) lines.push(read.toString('latin1').split('\n')[0] ?? '');
  log.close();
  return lines;
}
