import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { renderTar, type TarFile } from '../../../../src/act/notify/tar.ts';

const notice: TarFile = { name: 'NOTICE.txt', mode: 0o644, content: 'it will be stopped\n', modifiedS: 1_795_000_000.75 };

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'gpuctl-tar-'));
  onTestFinished(() => { rmSync(path, { recursive: true }); });
  return path;
}

describe('an archive', () => {
  it.each([['nothing', ''], ['a line', notice.content], ['almost a block', 'x'.repeat(511)], ['a block', 'x'.repeat(512)], ['a little more', 'x'.repeat(513)], ['letters of two and three bytes', 'für → '.repeat(99)]])('with %s is unpacked as it was meant', (_, content) => {
    const at = folder();
    execFileSync('tar', ['-x', '-p', '-C', at, '-f', '-'], { input: renderTar({ ...notice, content }) });
    const { mode, mtimeMs } = statSync(join(at, notice.name));
    expect([mode & 0o7777, mtimeMs]).toEqual([0o644, 1_795_000_000_000]);
    expect(readFileSync(join(at, notice.name), 'utf8')).toBe(content);
  });

  it.each([[{}], [{ content: '' }], [{ content: 'x'.repeat(512) }], [{ name: 'n'.repeat(99), mode: 0o600, content: 'für → '.repeat(999), modifiedS: 0 }]])('is what GNU tar itself would make of that file of root: %#', (changed) => {
    const file = { ...notice, ...changed };
    const at = folder();
    writeFileSync(join(at, file.name), file.content);
    chmodSync(join(at, file.name), file.mode);
    utimesSync(join(at, file.name), Math.floor(file.modifiedS), Math.floor(file.modifiedS));
    const theirs = execFileSync('tar', ['-c', '-b1', '--format=ustar', '--numeric-owner', '--owner=0', '--group=0', '-C', at, file.name], { maxBuffer: 1 << 20 });
    expect(renderTar(file).toString('latin1')).toBe(theirs.toString('latin1'));
  });
});
