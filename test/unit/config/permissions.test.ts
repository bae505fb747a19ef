import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { folderWith, loadFolder, refusal } from './helpers.ts';

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;
const text = 'version: 1\n';

const whatIsWrong = async (folder: string) => (await refusal(folder, () => loadFolder(folder))).map(({ file, message }) => `${file}: ${message}`.replaceAll(folder, ''));

describe('a file that others than root may write is refused', () => {
  it.each([0o664, 0o646, 0o666])('mode %o', async (mode) => {
    const folder = folderWith({ 'config.yaml': text });
    chmodSync(join(folder, 'config.yaml'), mode);
    expect(await whatIsWrong(folder)).toEqual(['config.yaml: others than root may write (chmod go-w)']);
  });

  it.each(['conf.d', '.'])('a folder: %s', async (name) => {
    const folder = folderWith({ 'conf.d/a.yaml': text });
    chmodSync(join(folder, name), 0o777);
    expect(await whatIsWrong(folder)).toEqual([expect.stringContaining('others than root may write')]);
  });

  it('a sticky conf.d that anybody may fill', async () => {
    const folder = folderWith({ 'conf.d/a.yaml': text });
    chmodSync(join(folder, 'conf.d'), 0o1777);
    expect(await whatIsWrong(folder)).toEqual([expect.stringContaining('others than root may write')]);
  });

  it('the target of a link, and a folder that a link leads through', async () => {
    const folder = folderWith({ 'elsewhere/a.yaml': text, 'open/b.yaml': text });
    mkdirSync(join(folder, 'conf.d'));
    symlinkSync('../elsewhere/a.yaml', join(folder, 'conf.d/a.yaml'));
    symlinkSync(join(folder, 'open/../open/b.yaml'), join(folder, 'conf.d/b.yaml'));
    chmodSync(join(folder, 'elsewhere/a.yaml'), 0o666);
    chmodSync(join(folder, 'open'), 0o777);
    expect(await whatIsWrong(folder)).toEqual([
      'conf.d/a.yaml: is reached through /elsewhere/a.yaml, which others than root may write (chmod go-w)',
      'conf.d/b.yaml: is reached through /open, which others than root may write (chmod go-w)',
    ]);
  });

  it('a members file', async () => {
    const folder = folderWith({ 'config.yaml': `${text}limits:\n  groups: { r: { members_file: r.members } }\n`, 'r.members': 'bob\n' });
    chmodSync(join(folder, 'r.members'), 0o666);
    expect(await refusal(folder, () => loadFolder(folder))).toEqual([expect.objectContaining({ file: 'config.yaml', line: 3, key: 'limits.groups.r.members_file', message: expect.stringContaining('others than root may write') })]);
  });

  it('the file of --config', async () => {
    const folder = folderWith({ 'mine.yaml': text });
    chmodSync(join(folder, 'mine.yaml'), 0o622);
    expect(await refusal(folder, () => loadConfig({ file: join(folder, 'mine.yaml') }))).toEqual([expect.objectContaining({ file: 'mine.yaml' })]);
  });
});

it('links in a circle are refused', async () => {
  const folder = folderWith({});
  symlinkSync('b.yaml', join(folder, 'config.yaml'));
  symlinkSync('config.yaml', join(folder, 'b.yaml'));
  expect(await whatIsWrong(folder)).toEqual([expect.stringContaining('too many links')]);
});

it('a FIFO is refused at once, not waited for', async () => {
  const folder = folderWith({});
  execFileSync('mkfifo', ['-m', '600', join(folder, 'config.yaml')]);
  expect(await whatIsWrong(folder)).toEqual(['config.yaml: is not a regular file']);
});

it('a link that only root can have made, to a file that only root can have written, is read', async () => {
  const folder = folderWith({ 'real/a.yaml': `${text}dirty: { memory: 3GiB }\n` });
  mkdirSync(join(folder, 'conf.d'));
  symlinkSync('../real/a.yaml', join(folder, 'conf.d/a.yaml'));
  expect((await loadFolder(folder)).config.dirty.memoryMiB).toBe(3072);
});

describe.skipIf(!isRoot)('as root, only what root owns counts', () => {
  it.each(['config.yaml', 'conf.d', 'conf.d/a.yaml', '.'])('%s of another user is refused', async (name) => {
    const folder = folderWith({ 'config.yaml': text, 'conf.d/a.yaml': text });
    chownSync(join(folder, name), 1234, 0);
    expect((await whatIsWrong(folder)).join()).toContain('belongs to uid 1234, not to root');
  });

  it('a sticky folder of another user is refused, as its owner may rename what is in it', async () => {
    const folder = folderWith({ 'config.yaml': text });
    chmodSync(folder, 0o1777);
    chownSync(folder, 1234, 0);
    expect((await whatIsWrong(folder)).join()).toContain('belongs to uid 1234');
  });

  it('another user trusts root and itself, nobody else', () => {
    const folder = folderWith({ 'own.yaml': text, 'root.yaml': text, 'other.yaml': text, 'secret.yaml': text });
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'secret.yaml'), 0o600);
    chownSync(join(folder, 'own.yaml'), NOBODY, NOBODY);
    chownSync(join(folder, 'other.yaml'), 1234, 1234);
    const code = `
      const { loadConfig } = await import(${JSON.stringify(new URL('../../../src/config/load.ts', import.meta.url).href)});
      for (const name of ['own', 'root', 'other', 'secret']) {
        await loadConfig({ file: ${JSON.stringify(folder)} + '/' + name + '.yaml' }).then(() => console.log(name, 'read'), (error) => console.log(name, error.mistakes[0].message));
      }`;
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', code], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' });
    expect(said.trim().split('\n')).toEqual(['own read', 'root read', 'other belongs to uid 1234, not to root (chown root)', 'secret may not be read by this user']);
  });
});
