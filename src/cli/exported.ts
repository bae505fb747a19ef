import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { FreeMig } from '../passes/free.ts';
import type { ContainerOutlook } from '../passes/container-outlook.ts';
import { printable } from '../model/text.ts';
import { publicFile, whyFile } from '../record/exports.ts';

/** Longer than any text in it. The texts are made printable again: root may look at what its user has exchanged. */
const MAX_TEXT = 4096;
/** More than any host has; what is larger was not written by gpuctl. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Three samples are missing: what was so then says nothing about now. */
export const TOO_OLD_MS = 15 * 60_000;

/** `public.json`, as far as it is read here. */
export interface PublicExport {
  readonly host: string;
  readonly at: string;
  /** Not given: written by an older gpuctl. */
  readonly pass?: string;
  /** Null: the pass did not know. */
  readonly free: readonly string[] | null;
  readonly free_mig: readonly FreeMig[] | null;
  readonly devices: readonly PublicDevice[];
}

export interface PublicDevice {
  readonly uuid: string;
  readonly index: number | null;
  readonly name: string;
  readonly verdict: string;
  readonly free: boolean | null;
  readonly held_by: number;
  readonly processes: number | null;
  readonly used_mib: number | null;
  readonly total_mib: number | null;
  readonly utilization_percent: number | null;
}

/** One `why/<uid>.json`. */
export interface WhyExport {
  readonly schema: 1;
  readonly host: string;
  readonly at: string;
  readonly pass?: string | null;
  readonly uid: number;
  readonly containers: readonly ContainerOutlook[];
  /** Of the last day; absent: written by an older gpuctl. */
  readonly keep_refused?: readonly { readonly at: string; readonly why: string }[];
}

/** What the last pass left for everybody; null: there is none. Throws GpuctlError for one that cannot be used. */
export function readPublicExport(stateDir: string): PublicExport | null {
  return readExport(publicFile(stateDir), (value): value is PublicExport => Array.isArray((value as PublicExport).devices));
}

/** What the last pass left for this user; null: there is none. Throws GpuctlError for one that cannot be used. */
export function readWhyExport(stateDir: string, uid: number): WhyExport | null {
  return readExport(whyFile(stateDir, uid), (value): value is WhyExport => Array.isArray((value as WhyExport).containers));
}

function readExport<T extends { readonly at: string }>(file: string, fits: (value: object) => value is T & object): T | null {
  const text = textOf(file);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text, (_, each: unknown) => (typeof each === 'string' ? printable(each, MAX_TEXT) : each));
    if (typeof value === 'object' && value !== null && 'schema' in value && value.schema === 1 && 'at' in value && !Number.isNaN(Date.parse(String(value.at))) && fits(value)) return value;
  } catch { /* said below */ }
  throw new GpuctlError(`${file} is not what gpuctl writes`, { code: 'export-unusable', exitCode: ExitCode.notObserved, hint: 'the next pass writes it anew' });
}

/** A user owns his own file and could have put anything in its content, but not another kind of file in its place. */
function textOf(file: string): string | null {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new GpuctlError(`${file} cannot be read: ${(error as Error).message}`, { code: 'export-unusable', exitCode: ExitCode.notObserved, cause: error });
  }
  try {
    return fstatSync(fd).size > MAX_BYTES ? '' : readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Milliseconds since it was written; a time to come is an age of 0. */
export function ageOf({ at }: { readonly at: string }, now: number): number {
  return Math.max(0, now - Date.parse(at));
}
