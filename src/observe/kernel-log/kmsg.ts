import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type KernelRecord, parseRecord } from './records.ts';

/** One read: what it gave (one record of the device, or a piece of a file), nothing more for now, or records lost before they could be read. */
export type Read = Buffer | 'end' | 'lost';

/** The kernel's log, opened at its oldest record. */
export interface LogReader {
  /** Never waits. Throws what the file system says of anything else. */
  read(): Read;
  close(): void;
}

/** What one pass may read, so that no log can hold it up: far more than a ring of the kernel's largest usual size. */
export interface LogBounds {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** What was read of a log. */
export interface LogContent {
  /** The records of the kernel itself that are whole lines and hold `wanted`. */
  readonly records: readonly KernelRecord[];
  /** Of any record; null: there was none. */
  readonly first: KernelRecord | null;
  readonly last: KernelRecord | null;
  /** Why something is missing, each once. */
  readonly missing: readonly string[];
}

/** Larger than the longest record (8 KiB with its properties). */
const BUFFER_BYTES = 16 * 1024;

/** Opens the log, or throws what the file system says: who may not read the kernel's log (kernel.dmesg_restrict) may not open it. */
export function openLog(path: string): LogReader {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  const ring = fstatSync(fd).isCharacterDevice();
  return {
    read() {
      try {
        const size = readSync(fd, buffer, 0, buffer.length, null);
        return size === 0 ? 'end' : Buffer.from(buffer.subarray(0, size));
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : '';
        if (code === 'EAGAIN') return 'end';
        // EPIPE: overwritten before they were read. EINVAL: longer than the buffer, and already passed over.
        if (ring && (code === 'EPIPE' || code === 'EINVAL')) return 'lost';
        throw error;
      }
    },
    close: () => { closeSync(fd); },
  };
}

/** Lets whatever else waits have its turn after so many reads: somebody is listening to nvidia-smi meanwhile. */
const READS_A_TURN = 256;

/** Reads a log from its beginning to its end or its bounds. `monotonicMs` measures durations. Never throws for what a log can do. */
export async function readLog(reader: LogReader, wanted: string, { maxBytes, maxMs, monotonicMs }: LogBounds & { readonly monotonicMs: () => number }): Promise<LogContent> {
  const lines = collectLines(wanted);
  const until = monotonicMs() + maxMs;
  const missing = new Set<string>();
  try {
    for (let bytes = 0, reads = 1; ; reads += 1) {
      const read = reader.read();
      if (read === 'end') break;
      if (read === 'lost') missing.add('records were overwritten before they could be read');
      else { bytes += read.length; lines.take(read); }
      if (bytes > maxBytes || monotonicMs() > until) { missing.add('it is too long to be read in one go'); break; }
      if (reads % READS_A_TURN === 0) await new Promise((resolve) => { setImmediate(resolve); });
    }
  } catch (error) {
    missing.add(`it could not be read to its end: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`);
  }
  return { ...lines.content(), missing: [...missing] };
}

const LINE_FEED = 10;

/** A file in the place of the device gives lines as its pieces happen to end; the device gives one record a read. */
function collectLines(wanted: string): { take(piece: Buffer): void; content(): Omit<LogContent, 'missing'> } {
  const records: KernelRecord[] = [];
  let [first, last]: readonly [KernelRecord | null, KernelRecord | null] = [null, null];
  let open = '';
  /** Whole records that hold nothing wanted: nearly all. Only the last of them tells something, how far the log goes. */
  let quiet: Buffer | null = null;
  const takeLine = (line: string): void => {
    const record = parseRecord(line);
    if (record === null) return;
    first ??= record;
    last = record;
    if (record.facility === 0 && !record.fragment && record.text.includes(wanted)) records.push(record);
  };
  return {
    take(piece) {
      if (first !== null && open === '' && piece.at(-1) === LINE_FEED && !piece.includes(wanted)) { quiet = piece; return; }
      quiet = null;
      const lines = (open + piece.toString('latin1')).split('\n');
      open = (lines.pop() ?? '').slice(0, BUFFER_BYTES);
      for (const line of lines) takeLine(line);
    },
    content: () => {
      for (const line of quiet?.toString('latin1').split('\n') ?? []) takeLine(line);
      if (open !== '') takeLine(open);
      return { records, first, last };
    },
  };
}
