import fc, { type Arbitrary } from 'fast-check';
import type { SmiAnswer } from './smi-answers.ts';

/*
 * What can become of a program's answer on its way. Some damage only breaks a text; some makes another good text of it, which
 * nobody who has this answer alone can tell.
 */

/** They add or take what no answer has, or put another answer in its place. */
const BREAKING = ['cut', 'empty', 'twice', 'nul', 'not-utf8', 'control', 'markup', 'bom', 'utf16', 'exit-code', 'another-answer', 'error-before', 'error-after', 'crlf'] as const;
/** What comes out may be as good as what went in. */
const CHANGING = ['piece-lost', 'line-lost', 'line-twice', 'lines-swapped', 'block-lost', 'block-twice', 'blocks-swapped', 'text-replaced', 'texts-swapped', 'number-changed', 'digit-changed', 'case-changed'] as const;
export type DamageKind = (typeof BREAKING)[number] | (typeof CHANGING)[number];

export interface Damage {
  readonly kind: DamageKind;
  /** Where: parts of the length, or of the number of lines, blocks, texts. */
  readonly at: number;
  readonly to: number;
  readonly pick: number;
}

function damageOf(kinds: readonly DamageKind[]): Arbitrary<Damage> {
  return fc.record({ kind: fc.constantFrom(...kinds), at: fc.nat(9999), to: fc.nat(9999), pick: fc.nat(9999) });
}

export const breaking: Arbitrary<Damage> = damageOf(BREAKING);
export const changing: Arbitrary<Damage> = damageOf(CHANGING);

export function isChanging({ kind }: Damage): boolean {
  return CHANGING.some((each) => each === kind);
}

/** NVML's error texts, what stands for "not supported", and what no field ever holds. */
const TEXTS = [
  '', 'N/A', '[N/A]', 'Not Supported', '[Not Supported]', 'Unknown Error', '[Unknown Error]', 'Insufficient Permissions', '[Insufficient Permissions]', 'GPU is lost', 'GPU requires reset',
  'Not Found', 'None', 'Yes', 'No', 'Enabled', 'Disabled', '0', '-1', '00', '1e3', '0x10', '99999999999999999999', '4194305', 'NaN', '1 MiB', '1 GiB', '16 %', 'C', 'G', 'M+C', 'é', '１２',
  '</process_info>', '<processes/>', '<a>', '&amp;', '&#x30;', '&lt;', '__proto__', 'Reset', '\u202e', '\u2028',
];
const MARKUP = ['<', '>', '&', '<!--', '-->', '<![CDATA[', ']]>', '<?x?>', '<!DOCTYPE a>', '</gpu>', '<gpu id="00000000:10:00.0">', '<processes>', '</processes>', '<processes/>', '</nvidia_smi_log>', '</process_info>', '"', ','];
const CONTROL = ['\u0001', '\u0007', '\u001b[31m', '\u007f', '\u0085', '\u200b', '\u202e', '\u2028', '\uffff', '\ud800', '\r', '\v', '\t\n'];
const ERRORS: readonly SmiAnswer[] = [
  { stdout: 'Failed to initialize NVML: Unknown Error\n', exitCode: 255 },
  { stdout: 'No devices were found\n', exitCode: 6 },
  { stdout: 'Unable to determine the device handle for GPU0000:10:00.0: GPU is lost.  Reboot the system to recover this GPU\n\n\n', exitCode: 15 },
  { stdout: 'Unable to determine the device handle for GPU0: 0000:11:00.0: Unknown Error\n', exitCode: 0 },
  { stdout: 'Segmentation fault\n', exitCode: 139 },
  { stdout: '\n', exitCode: 0 },
  { stdout: 'WARNING: infoROM is corrupted at gpu 0000:10:00.0\n', exitCode: 0 },
];

/** The answer after it. `others`: what may come in its place. */
export function damage(answer: SmiAnswer, { kind, at, to, pick }: Damage, others: readonly SmiAnswer[]): SmiAnswer {
  const { stdout: text } = answer;
  const place = (n: number): number => Math.floor((n / 10_000) * (text.length + 1));
  const insert = (piece: string): SmiAnswer => ({ ...answer, stdout: text.slice(0, place(at)) + piece + text.slice(place(at)) });
  const among = <T>(list: readonly T[]): T => list[pick % list.length] as T;
  const changed = (stdout: string): SmiAnswer => ({ ...answer, stdout });
  const error = among(ERRORS);
  switch (kind) {
    case 'cut': return changed(Buffer.from(text).subarray(0, Math.floor((at / 10_000) * Buffer.byteLength(text))).toString('utf8'));
    case 'empty': return changed('');
    case 'twice': return changed(text + text);
    case 'nul': return insert('\0'.repeat(1 + (pick % 3)));
    case 'not-utf8': return changed(withoutUtf8(text, at, pick));
    case 'control': return insert(among(CONTROL));
    case 'markup': return insert(among(MARKUP));
    case 'bom': return changed(`\ufeff${text}`);
    case 'utf16': return changed(Buffer.from(text, 'utf16le').toString('utf8'));
    case 'crlf': return changed(text.replaceAll('\n', '\r\n'));
    case 'exit-code': return { ...answer, exitCode: among([1, 2, 4, 6, 9, 15, 139, 255]) };
    case 'another-answer': return among([...others, ...ERRORS]);
    case 'error-before': return { stdout: error.stdout + text, exitCode: to % 2 === 0 ? answer.exitCode : error.exitCode };
    case 'error-after': return { stdout: text + error.stdout, exitCode: to % 2 === 0 ? answer.exitCode : error.exitCode };
    case 'piece-lost': return changed(text.slice(0, Math.min(place(at), place(to))) + text.slice(Math.max(place(at), place(to))));
    case 'line-lost': return changed(onParts(text.split(/(?<=\n)/), at, (parts, n) => parts.toSpliced(n, 1)));
    case 'line-twice': return changed(onParts(text.split(/(?<=\n)/), at, (parts, n) => parts.toSpliced(n, 0, parts[n] ?? '')));
    case 'lines-swapped': return changed(onParts(text.split(/(?<=\n)/), at, (parts, n) => swapped(parts, n, partOf(parts, to))));
    case 'block-lost': return changed(onBlocks(text, at, pick, (parts, n) => parts.toSpliced(n, 1, '')));
    case 'block-twice': return changed(onBlocks(text, at, pick, (parts, n) => parts.toSpliced(n, 0, parts[n] ?? '')));
    case 'blocks-swapped': return changed(onBlocks(text, at, pick, (parts, n) => swapped(parts, n, (2 * Math.floor(to / 2) + 1) % (parts.length - 1 || 1))));
    case 'text-replaced': return changed(onTexts(text, at, (parts, n) => parts.with(n, among(TEXTS))));
    case 'texts-swapped': return changed(onTexts(text, at, (parts, n) => swapped(parts, n, 2 * Math.floor((to % parts.length) / 2) + 1)));
    case 'number-changed': return changed(onNumbers(text, at, (number, all) => among([...all, `${Number(number) + 1}`, `${number}0`, `-${number}`, `0${number}`, `${number}.5`, `1${number}`, '9'.repeat(400)])));
    case 'digit-changed': return changed(onNumbers(text, at, (number) => number.slice(0, -1) + String((Number(number.slice(-1)) + 1 + (pick % 9)) % 10)));
    case 'case-changed': return changed(text.slice(0, place(at)) + text.slice(place(at)).replace(/[a-z]/i, (letter) => (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase())));
  }
}

/** Some byte of it becomes one that UTF-8 does not have there; decoded as a child's answer is. */
function withoutUtf8(text: string, at: number, pick: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length > 0) bytes[Math.floor((at / 10_000) * bytes.length)] = [0xff, 0x80, 0xc3, 0xe2, 0xf0][pick % 5] ?? 0xff;
  return bytes.toString('utf8');
}

function partOf(parts: readonly string[], at: number): number {
  return parts.length === 0 ? 0 : at % parts.length;
}

function onParts(parts: readonly string[], at: number, change: (parts: readonly string[], n: number) => readonly string[]): string {
  return change(parts, partOf(parts, at)).join('');
}

function swapped(parts: readonly string[], a: number, b: number): readonly string[] {
  const [one, other] = [parts[a], parts[b]];
  return one === undefined || other === undefined ? parts : parts.with(a, other).with(b, one);
}

const BLOCKS = ['gpu', 'process_info', 'process_info', 'processes', 'mig_device', 'mig_mode', 'fb_memory_usage', 'pci'];

/** The blocks of one element stand at the odd places; a text that has none is taken line by line. */
function onBlocks(text: string, at: number, pick: number, change: (parts: readonly string[], n: number) => readonly string[]): string {
  const name = BLOCKS[pick % BLOCKS.length] ?? 'gpu';
  const blocks = text.split(new RegExp(`(<${name}[ >][^]*?</${name}>)`));
  const parts = blocks.length > 1 ? blocks : text.split(/^(.*\n)/m).filter((part) => part !== '').flatMap((part) => ['', part]);
  const count = Math.floor(parts.length / 2);
  return count === 0 ? text : change(parts, 2 * (at % count) + 1).join('');
}

/** Texts of elements, or cells, at the odd places. */
function onTexts(text: string, at: number, change: (parts: readonly string[], n: number) => readonly string[]): string {
  const parts = text.split(text.includes('<?xml') ? /(?<=<\w+>)([^<>\n]*)(?=<\/)/ : /(?<=^|, |\(UUID: |GPU )([^,()\n:]+)/m);
  const count = Math.floor(parts.length / 2);
  return count === 0 ? text : change(parts, 2 * (at % count) + 1).join('');
}

function onNumbers(text: string, at: number, change: (number: string, all: readonly string[]) => string): string {
  const parts = text.split(/(\d+)/);
  const count = Math.floor(parts.length / 2);
  if (count === 0) return text;
  const n = 2 * (at % count) + 1;
  const all = Array.from({ length: 4 }, (_, each) => parts[2 * ((at * 7 + each * 31) % count) + 1] ?? '0');
  return parts.with(n, change(parts[n] ?? '0', all)).join('');
}

/** The other numbers that a reader of processes could mistake for one: all pids are four digits long here. */
export const HUGE = ['name', 'lines', 'deep', 'attributes', 'spaces', 'numbers'] as const;
export type Huge = (typeof HUGE)[number];

/** The answer with something in it that is larger than any driver writes. */
export function huge(answer: SmiAnswer, kind: Huge, size: number, at: number): SmiAnswer {
  const { stdout: text } = answer;
  const open = [...text.matchAll(/<\/?[a-z_]+>/g)].map(({ index }) => index);
  const where = open.length === 0 ? Math.floor((at / 10_000) * text.length) : (open[at % open.length] ?? 0);
  const pieces: Record<Huge, () => string> = {
    name: () => 'x'.repeat(8 * size),
    lines: () => 'GPU 99: no such line\n'.repeat(size),
    deep: () => `${'<a>'.repeat(size)}${'</a>'.repeat(size)}`,
    attributes: () => `<a${' b="c"'.repeat(size)}/>`,
    spaces: () => `${' '.repeat(4 * size)}<`,
    numbers: () => '9'.repeat(4 * size),
  };
  return { ...answer, stdout: text.slice(0, where) + pieces[kind]() + text.slice(where) };
}
