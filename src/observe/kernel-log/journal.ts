import { runChild } from '../../callout/child.ts';
import { complete, failed, type Observed } from '../../model/observation.ts';
import { printable } from '../../model/text.ts';

/** One line of the kernel, however it was read. */
export interface LogLine {
  /** Null: the journal has no numbers. */
  readonly sequence: number | null;
  readonly bootUsec: number;
  readonly text: string;
}

/** What the journal holds of this boot's kernel log, after the cursor where one was given. */
export interface JournalContent {
  /** Those of the kernel itself that hold what was wanted. */
  readonly lines: readonly LogLine[];
  /** Of the last record, whoever wrote it; null: there was none. */
  readonly last: { readonly cursor: string; readonly bootUsec: number } | null;
  /** More was there than is read in one go; what is missing is the older part. */
  readonly cut: boolean;
}

const DEADLINE_MS = 5000;
/** Some megabytes of JSON at most; the newest are read. */
const MAX_RECORDS = 10_000;
const FIELDS = 'MESSAGE,SYSLOG_FACILITY,_SOURCE_MONOTONIC_TIMESTAMP';
/** What journald makes: `s=…;i=…;b=…;m=…;t=…;x=…`. */
const CURSOR = /^[0-9a-z=;]{1,300}$/i;

/** Asks journalctl, one child process with a deadline. `after`: the journal's cursor of the last reading; null: the whole boot. */
export async function readJournal(journalctl: string, wanted: string, after: string | null): Promise<Observed<JournalContent>> {
  const since = after !== null && CURSOR.test(after) ? [`--after-cursor=${after}`] : [];
  const { exitCode, stdout, stderr, problem } = await runChild({
    file: journalctl, timeoutMs: DEADLINE_MS,
    args: ['--dmesg', '--boot', '--no-pager', '--output=json', `--output-fields=${FIELDS}`, `--lines=${MAX_RECORDS}`, ...since],
  });
  if (problem === 'too-much-output' || problem === 'signal') return failed('error', `journalctl was ended: ${problem}`);
  if (problem !== null) return failed(problem, `journalctl: ${problem}`);
  if (exitCode !== 0) return failed(/permission/i.test(stderr) ? 'not-permitted' : 'error', `journalctl exited with ${exitCode}: ${printable(stderr.trim())}`);
  const content = parseJournal(stdout, wanted);
  // To whom the journal may not be shown, it is shown as empty; a boot without a kernel's line there is not.
  return content.last === null && since.length === 0 ? failed('not-permitted', 'the journal shows no kernel log of this boot') : complete(content);
}

/** journalctl's JSON lines. What is not one, or lacks a time, says nothing. */
export function parseJournal(text: string, wanted: string): JournalContent {
  const entries = text.split('\n').flatMap((line) => { const entry = parseEntry(line); return entry === null ? [] : [entry]; });
  const last = entries.at(-1);
  return {
    lines: entries.filter((entry) => entry.kernel && entry.text.includes(wanted)).map(({ bootUsec, text: message }) => ({ sequence: null, bootUsec, text: message })),
    last: last === undefined ? null : { cursor: last.cursor, bootUsec: entries.reduce((most, { bootUsec }) => Math.max(most, bootUsec), 0) },
    cut: entries.length >= MAX_RECORDS,
  };
}

interface Entry {
  readonly cursor: string;
  readonly bootUsec: number;
  /** Written by the kernel, not by a program into its log. */
  readonly kernel: boolean;
  readonly text: string;
}

function parseEntry(line: string): Entry | null {
  const fields = parseObject(line);
  const { __CURSOR: cursor, _SOURCE_MONOTONIC_TIMESTAMP: source, __MONOTONIC_TIMESTAMP: received, SYSLOG_FACILITY: facility, MESSAGE: message } = fields;
  const bootUsec = numberIn(source) ?? numberIn(received);
  if (typeof cursor !== 'string' || !CURSOR.test(cursor) || bootUsec === null) return null;
  return { cursor, bootUsec, kernel: facility === '0', text: textOf(message) };
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  if (!line.startsWith('{')) return {};
  try {
    return { ...JSON.parse(line) as object };
  } catch {
    return {};
  }
}

function numberIn(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : null;
}

/** A message that is no UTF-8 comes as its bytes. */
function textOf(message: unknown): string {
  if (typeof message === 'string') return message;
  return Array.isArray(message) ? Buffer.from(message.filter((each): each is number => typeof each === 'number')).toString('latin1') : '';
}
