import { XMLParser } from 'fast-xml-parser';
import { classifyFailure, malformed, Refusal } from './failure.ts';
import { isHarmless } from './remarks.ts';
import { cleanXml, quote } from './text.ts';
import { brokenTags } from './well-formed.ts';

/** An element: its text where it holds only text, else its children by name. */
export type XmlNode = string | XmlElement;
export interface XmlElement {
  readonly [name: string]: XmlNode | readonly XmlNode[];
}

/** The document of `-q -x`, and the lines around it. */
export interface SmiXml {
  readonly root: XmlElement;
  readonly lines: readonly string[];
}

const PROLOGUE = /<\?xml [^<>]*\?>\s*(?:<!DOCTYPE nvidia_smi_log SYSTEM "[\w.-]*">\s*)?(?=<nvidia_smi_log>)/y;
const END = '</nvidia_smi_log>';
const LISTS = new Set(['gpu', 'processes', 'process_info', 'mig_device']);

/**
 * Blocks of no use here that make up most of a document, up to megabytes of it where accounting is on: their name, and any
 * tag that does not belong in them. A block is cut only if it holds its own elements and nothing else, so that no text,
 * whoever chose it, can make anything else disappear.
 */
const BULK: readonly (readonly [string, RegExp])[] = [
  ['supported_clocks', /<(?!\/?(?:supported_mem_clock|supported_graphics_clock|value)>)/],
  ['accounted_processes', /<(?!\/?(?:accounted_process_info|gpu_instance_id|compute_instance_id|pid|gpu_util|memory_util|max_memory_usage|time|is_running)>)/],
];

/**
 * Groups that nothing here is read from: half of an ordinary document, and the parser is most of what a look costs. Such a
 * group is cut only if it holds measurements and nothing else, so that no text, whoever chose it, can make anything else
 * disappear; one with an error text in place of a value stays, for that tells of the board. Whoever comes to read one of
 * them takes it off this list.
 */
export const UNREAD: readonly string[] = [
  'driver_model', 'inforom_version', 'inforom_bbx_flush', 'gpu_operation_mode', 'ibmnpu', 'bar1_memory_usage', 'cc_protected_memory_usage',
  'encoder_stats', 'fbc_stats', 'supported_gpu_target_temp', 'gpu_memory_power_readings', 'module_power_readings', 'clocks', 'applications_clocks',
  'default_applications_clocks', 'deferred_clocks', 'max_clocks', 'max_customer_boost_clocks', 'clock_policy', 'voltage',
];
const UNREAD_GROUP = new RegExp(`<(${UNREAD.join('|')})>\\s*(?:<(\\w+)>(?:N/A|-?\\d[^<&]*)</\\2>\\s*)+</\\1>`, 'g');

/** Entities are left alone: only names need them, and those are resolved once, where they are read. */
const parser = new XMLParser({
  parseTagValue: false,
  parseAttributeValue: false,
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  processEntities: false,
  jPath: false,
  isArray: (name) => LISTS.has(name),
});

/**
 * The one document in what nvidia-smi printed. It is taken whole or not at all: between the declaration and the one end
 * tag of the root, with nothing after it but remarks that are known. Comments, CDATA, processing instructions and
 * inner DOCTYPEs, none of which nvidia-smi writes, are refused before anything is parsed.
 * @throws {Refusal} where there is no document, or it is not complete and well-formed.
 */
export function readXml(stdout: string): SmiXml {
  const start = stdout.indexOf('<?xml');
  if (start < 0) throw new Refusal(classifyFailure(0, stdout, null));
  const body = bodyStart(stdout, start);
  const end = stdout.indexOf(END, body);
  if (end < 0) malformed('the XML document is cut off: it does not end in </nvidia_smi_log>');
  const after = stdout.slice(end + END.length).split('\n').filter((line) => line.trim() !== '');
  const foreign = after.find((line) => !isHarmless(line));
  if (foreign !== undefined) malformed(`there is text after the XML document: ${quote(foreign)}`);
  return { root: parseBody(stdout.slice(body, end + END.length)), lines: [...stdout.slice(0, start).split('\n'), ...after] };
}

function bodyStart(stdout: string, start: number): number {
  PROLOGUE.lastIndex = start;
  if (!PROLOGUE.test(stdout)) malformed('the XML document does not begin as nvidia-smi begins it (root nvidia_smi_log)');
  return PROLOGUE.lastIndex;
}

function parseBody(body: string): XmlElement {
  if (/<[!?]/.test(body)) malformed('the XML document holds markup that nvidia-smi does not write');
  const whole = BULK.reduce((rest, [name, foreign]) => cutBlocks(rest, name, foreign), cleanXml(body));
  // White space between tags has no meaning here, and the parser takes it character by character.
  const text = whole.replace(UNREAD_GROUP, '').replace(/>\s+</g, '><');
  const broken = brokenTags(text);
  if (broken !== null) malformed(`the XML document is not well-formed: ${quote(broken)}`);
  const root = parseValid(text)['nvidia_smi_log'];
  return typeof root === 'object' ? root : malformed('the XML document is empty');
}

function cutBlocks(text: string, name: string, foreign: RegExp): string {
  const [open, close] = [`<${name}>`, `</${name}>`];
  const [first = '', ...parts] = text.split(open);
  return first + parts.map((part) => {
    const end = part.indexOf(close);
    const block = part.slice(0, Math.max(end, 0));
    // A block without elements may hold an error text, which is of use.
    return open + (block.includes('<') && !foreign.test(block) ? part.slice(end) : part);
  }).join('');
}

function parseValid(text: string): Readonly<Record<string, XmlNode | undefined>> {
  try {
    return parser.parse(text) as Record<string, XmlNode | undefined>;
  } catch (error) {
    return malformed(`the XML document cannot be parsed: ${quote(String(error))}`);
  }
}
