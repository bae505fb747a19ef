import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyFileChange } from '../../../../src/act/schedule/files.ts';
import { GpuctlError } from '../../../../src/model/errors.ts';
import type { FileChange } from '../../../../src/model/schedule.ts';

const PATH = '/etc/cron.d/gpuctl';
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gpuctl-files-'));
  mkdirSync(join(root, dirname(PATH)), { recursive: true });
});
afterEach(() => { rmSync(root, { recursive: true }); });

const creation: FileChange = { path: PATH, before: { state: 'absent' }, text: 'new\n' };
const replacement: FileChange = { path: PATH, before: { state: 'text', text: 'für old\n' }, text: 'new\n' };
const removal: FileChange = { ...replacement, text: null };

const place = (): string => join(root, PATH);
const names = (): readonly string[] => readdirSync(join(root, dirname(PATH)));

function failureOf(change: FileChange): GpuctlError {
  try {
    applyFileChange(change, root);
  } catch (error) {
    if (error instanceof GpuctlError) return error;
    throw error;
  }
  return expect.fail('it was carried out');
}

describe('a file', () => {
  it.each([['written where none was', null, creation], ['written in the place of what was seen', 'für old\n', replacement]])('is %s, whole and for everybody to read', (_, old, change) => {
    if (old !== null) writeFileSync(place(), old, { mode: 0o600 });
    applyFileChange(change, root);
    expect([names(), readFileSync(place(), 'utf8'), lstatSync(place()).mode & 0o7777]).toEqual([['gpuctl'], 'new\n', 0o644]);
  });

  it('is never half written: who has the old one open goes on with it', () => {
    writeFileSync(place(), 'für old\n');
    const { ino } = lstatSync(place());
    applyFileChange(replacement, root);
    expect(lstatSync(place()).ino).not.toBe(ino);
  });

  it('is removed where it is what was seen', () => {
    writeFileSync(place(), 'für old\n');
    applyFileChange(removal, root);
    expect(names()).toEqual([]);
  });

  it('is left open by nothing', () => {
    for (const change of [creation, { ...replacement, before: { state: 'text', text: 'new\n' } }, { ...removal, before: { state: 'text', text: 'new\n' } }] as const) applyFileChange(change, root);
    expect(openBelow(root)).toEqual([]);
  });
});

/** Files below a folder that this process has open. */
function openBelow(folder: string): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  }).filter((path) => path.startsWith(folder));
}

describe('what is not what was seen', () => {
  it.each<[string, string, FileChange]>([
    ['a file that came', 'somebody’s\n', creation],
    ['a file that changed', 'somebody’s\n', replacement],
    ['a file that changed and was to go', 'somebody’s\n', removal],
  ])('is left as it is: %s', (_, text, change) => {
    writeFileSync(place(), text);
    expect(failureOf(change)).toMatchObject({ code: 'changed-meanwhile', exitCode: 4, message: `${PATH} has changed since it was looked at; it was left as it is`, hint: 'run it again' });
    expect([names(), readFileSync(place(), 'utf8')]).toEqual([['gpuctl'], text]);
  });

  it.each([['written', replacement], ['removed', removal]])('is left as it is: a file that has gone and was to be %s', (_, change) => {
    expect(failureOf(change)).toMatchObject({ code: 'changed-meanwhile' });
    expect(names()).toEqual([]);
  });

  it.each([['a link', () => { symlinkSync('elsewhere', place()); }], ['a folder', () => { mkdirSync(place()); }], ['a pipe', () => { execFileSync('mkfifo', [place()]); }]])('is left as it is, and not waited for: %s', (_, put) => {
    put();
    const { ino } = lstatSync(place());
    for (const change of [creation, replacement, removal]) expect(failureOf(change).exitCode).toBe(4);
    expect([names(), lstatSync(place()).ino]).toEqual([['gpuctl'], ino]);
  });
});

describe('a change that fails', () => {
  it.each([['written', { ...creation, path: '/nowhere/gpuctl' }], ['removed', { ...removal, path: '/nowhere/gpuctl', before: { state: 'other', why: 'x' } }]] as const)('says so: it could not be %s', (verb, change) => {
    const error = failureOf(change);
    expect(error).toMatchObject({ code: 'not-written', exitCode: 4, message: expect.stringMatching(new RegExp(`^/nowhere/gpuctl could not be ${verb}: ENOENT`)) });
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  it('after it was written to a file of its own leaves nothing of that behind', () => {
    // A name that only a folder can have.
    expect(failureOf({ ...creation, path: `${PATH}/` })).toMatchObject({ code: 'not-written', message: expect.stringContaining('ENOTDIR') });
    expect(names()).toEqual([]);
    expect(openBelow(root)).toEqual([]);
  });
});
