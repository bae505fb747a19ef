import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { Mistake } from './types.ts';

/** Longest piece of somebody's text that a message quotes. */
const QUOTED = 60;
/** What a message lists; the error itself carries all. */
const SHOWN = 100;

/** The configuration cannot be used: every mistake in every file, by file and line. Exit 2, code `config-invalid`. */
export class ConfigError extends GpuctlError {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[]) {
    const sorted = mistakes.toSorted(byPlace);
    super(renderMistakes(sorted), {
      code: 'config-invalid',
      exitCode: ExitCode.usage,
      hint: 'nothing was done; correct the configuration and try it with: gpuctl config check',
    });
    this.name = 'ConfigError';
    this.mistakes = sorted;
  }
}

function renderMistakes(mistakes: readonly Mistake[]): string {
  const more = mistakes.length - SHOWN;
  return [...mistakes.slice(0, SHOWN).map(renderMistake), ...(more > 0 ? [`… and ${more} more`] : [])].join('\n');
}

/** `file:line:column: key: message`, one line whatever the texts hold. */
export function renderMistake({ file, line, column, key, message }: Mistake): string {
  const place = line === null ? printable(file) : `${printable(file)}:${line}:${column ?? 1}`;
  return key === '' ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}

/** A mistake about a file as a whole. */
export function fileMistake(file: string, message: string): Mistake {
  return { file, line: null, column: null, key: '', message };
}

/** A value as a message may show it: quoted, escaped, clipped. */
export function quote(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value !== 'string') return String(value);
  return printable(JSON.stringify(value.length > QUOTED ? `${value.slice(0, QUOTED)}…` : value));
}

/** The path of a key as text; segments that are not plain words are quoted, so that two paths never look the same. */
export function keyText(path: readonly (string | number)[]): string {
  return path.map(segmentText).join('').replace(/^\./, '');
}

function segmentText(segment: string | number): string {
  if (typeof segment === 'number') return `[${segment}]`;
  return /^[\w-]{1,64}$/.test(segment) ? `.${segment}` : `.${quote(segment)}`;
}

/** Control, format and separator characters escaped: what a terminal may be shown. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function byPlace(a: Mistake, b: Mistake): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
