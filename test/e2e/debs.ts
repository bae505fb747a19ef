import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** Of this checkout. */
export const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
/** Builds packages: of `--arch`, with `--fast` not compressed. */
export const PACKAGE = join(ROOT, 'tools', 'package.ts');
/** The package with the files that are published, but not compressed: what most tests are about, and seconds less at each installation. */
export const FAST_DEB = join(ROOT, 'dist', 'fast', `gpuctl_${VERSION}-1_amd64.deb`);

/** Builds FAST_DEB where it is not the one of the present build. */
export function buildFastDeb(): void {
  execFileSync(process.execPath, [PACKAGE, '--arch', 'amd64', '--fast'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The same package as version 99.0, with `change` made to its files, for as long as the test runs. */
export function laterDeb(change: (data: string) => void = () => undefined): string {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-later-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  const tree = join(folder, 'tree');
  execFileSync('dpkg-deb', ['-R', FAST_DEB, tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, 'Version: 99.0-1'));
  change(tree);
  execFileSync('dpkg-deb', ['-Znone', '--root-owner-group', '-b', tree, join(folder, 'later.deb')], { stdio: 'pipe' });
  rmSync(tree, { recursive: true });
  return join(folder, 'later.deb');
}
