import { absent, known, misread, read, unsupported, type Reading } from '../../model/reading.ts';
import type { XmlNode } from './xml.ts';
import { quote } from './text.ts';

/**
 * What NVML's error strings look like in place of a value (nvmlErrorString, NVML 590). `Not Supported` and deprecated
 * functionality are no faults: they say that there is nothing to read.
 */
const FAULTS = new Set([
  'Uninitialized', 'Insufficient Permissions', 'Not Found', 'Insufficient External Power', 'Driver Not Loaded', 'Timeout',
  'Interrupt Request Issue', 'NVML Shared Library Not Found', 'Corrupted infoROM', 'GPU is lost', 'GPU requires reset',
  'GPU access blocked by the operating system', 'Driver/library version mismatch', 'In use by another client',
  'Insufficient Memory', 'No data', 'Insufficient Resources', 'System is not in ready state', 'Unknown Error', 'ERR!',
]);
const UNSUPPORTED = new Set(['N/A', '[N/A]', 'Not Supported', '[Not Supported]', 'Function Not Found', 'Requested functionality has been deprecated']);

/** What no driver puts into a value: anything but plain ASCII, and `?`, `&` and `"`. Something broke this text, and nobody knows what it was. */
const BROKEN = /[^ !#-%'->@-~]/;

/** An error text as NVML words it. */
export function isErrorText(text: string): boolean {
  return FAULTS.has(text);
}

/** An error text in place of a value, or one that is broken: it may have been an error. */
export function isFault(text: string): boolean {
  return isErrorText(text) || BROKEN.test(text) || (text.includes(',') && isErrorText(text.replaceAll(',', '')));
}

/**
 * The text at a path below `node`. A bare text that stands where a group of elements is expected counts for all of the
 * group (`<remapped_rows>N/A</remapped_rows>`).
 */
export function readText(node: XmlNode, ...path: readonly string[]): Reading<string> {
  const [name, ...rest] = path;
  if (name === undefined) return typeof node === 'string' ? readLeaf(node) : misread('elements where a text is expected');
  if (typeof node === 'string') return node === '' ? absent : noValue(node);
  const child = node[name];
  if (child === undefined) return absent;
  return isOne(child) ? readText(child, ...rest) : misread(`more than one <${name}>`);
}

function isOne(child: XmlNode | readonly XmlNode[]): child is XmlNode {
  return !Array.isArray(child);
}

function readLeaf(text: string): Reading<string> {
  if (text === '') return absent;
  return UNSUPPORTED.has(text) || isFault(text) ? noValue(text) : read(text);
}

function noValue(text: string): Reading<never> {
  return UNSUPPORTED.has(text) ? unsupported : misread(quote(text));
}

/** A number in `unit`, or without any: never a number in another unit, never 0 for a text. */
export function asNumber(reading: Reading<string>, unit: string): Reading<number> {
  if (reading.kind !== 'value') return reading;
  const match = /^(-?\d+(?:\.\d+)?)(?: (\S+))?$/.exec(reading.value);
  return match !== null && (match[2] ?? unit) === unit ? read(Number(match[1])) : misread(quote(reading.value));
}

const FLAGS: Readonly<Record<string, boolean>> = { Enabled: true, Disabled: false, Yes: true, No: false, On: true, Off: false };

export function asFlag(reading: Reading<string>): Reading<boolean> {
  if (reading.kind !== 'value') return reading;
  const flag = FLAGS[reading.value];
  return flag === undefined ? misread(quote(reading.value)) : read(flag);
}

/** A whole number without sign or unit; null: there is none. */
export function asCount(reading: Reading<string>): number | null {
  const text = known(reading);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** True if any is; false if any is and none could be misread; otherwise as much as is known. */
export function anyOf(...readings: readonly Reading<boolean>[]): Reading<boolean> {
  return readings.find((reading) => reading.kind === 'value' && reading.value)
    ?? readings.find(({ kind }) => kind === 'error')
    ?? readings.find(({ kind }) => kind === 'value')
    ?? readings.find(({ kind }) => kind === 'unsupported')
    ?? absent;
}

/** The first that the document has at all. */
export function firstOf<T>(...readings: readonly Reading<T>[]): Reading<T> {
  return readings.find(({ kind }) => kind !== 'absent') ?? absent;
}
