import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const OXLINT = join(ROOT, 'node_modules', '.bin', 'oxlint');

/** A violation in each direction that the lint rule forbids; every one must be found. */
const PLANTED: readonly (readonly [file: string, line: string])[] = [
  ['src/model/a.ts', "import { GpuctlError } from '../config/load.ts'; export const x = GpuctlError;"],
  ['src/model/b.ts', "import { z } from 'valibot'; export const x = z;"],
  ['src/callout/a.ts', "import { x } from '../observe/host.ts'; export const y = x;"],
  ['src/config/a.ts', "import { x } from '../decide/reset.ts'; export const y = x;"],
  ['src/decide/a.ts', "import { x } from '../observe/host.ts'; export const y = x;"],
  ['src/decide/b.ts', "import { readFileSync } from 'node:fs'; export const y = readFileSync;"],
  ['src/decide/c.ts', 'export const now = Date.now();'],
  ['src/decide/d.ts', 'export const luck = Math.random();'],
  ['src/decide/e.ts', 'export const me = process.pid;'],
  ['src/observe/docker/a.ts', "import { x } from '../../decide/reset.ts'; export const y = x;"],
  ['src/observe/docker/b.ts', "import { x } from '../../passes/pass.ts'; export const y = x;"],
  ['src/act/a.ts', "import { x } from '../observe/host.ts'; export const y = x;"],
  ['src/act/b.ts', "import { x } from '../record/lock.ts'; export const y = x;"],
  ['src/record/ledger/a.ts', "import { x } from '../../act/actor.ts'; export const y = x;"],
  ['src/passes/a.ts', "import { x } from '../record/lock.ts'; export const y = x;"],
  ['src/schedule/a.ts', "import { x } from '../observe/host.ts'; export const y = x;"],
  ['src/schedule/b.ts', "import { readFileSync } from 'node:fs'; export const y = readFileSync;"],
  ['src/schedule/c.ts', 'export const now = Date.now();'],
  ['src/decide/f.ts', "import { x } from '../schedule/slots.ts'; export const y = x;"],
  ['src/passes/b.ts', "import { x } from '../observe/host.ts'; export const y = x;"],
];

describe('the direction of imports', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'gpuctl-lint-'));
    copyFileSync(join(ROOT, '.oxlintrc.json'), join(dir, '.oxlintrc.json'));
  });
  afterEach(() => { rmSync(dir, { recursive: true }); });

  function lint(): string {
    const { stdout } = spawnSync(OXLINT, ['--format=unix'], { cwd: dir, encoding: 'utf8' });
    return stdout;
  }

  function plant(file: string, line: string): void {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), `${line}\n`);
  }

  it.each(PLANTED)('is held by lint: a violation in %s is found', (file, line) => {
    plant(file, line);
    expect(lint()).toMatch(new RegExp(`^${file}.*no-restricted-(?:imports|globals|properties)`, 'm'));
  });

  it('allows what the design allows', () => {
    plant('src/decide/ok.ts', "import type { Gpu } from '../model/device.ts'; export type Y = Gpu;");
    plant('src/act/ok.ts', "import type { Actor } from '../passes/ports.ts'; export type Y = Actor;");
    plant('src/cli/ok.ts', "import { x } from '../record/lock.ts'; export const y = x;");
    expect(lint()).not.toMatch(/no-restricted/);
  });

  it('is kept by the whole source', () => {
    expect(execFileSync(OXLINT, ['--format=unix', 'src'], { cwd: ROOT, encoding: 'utf8' })).not.toMatch(/no-restricted/);
  });
});

describe('docs/architecture.md', () => {
  it('begins the description of every folder of src with a sentence of its own', () => {
    const text = readFileSync(join(ROOT, 'docs', 'architecture.md'), 'utf8');
    for (const { name } of readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
      expect(text).toMatch(new RegExp(`^### \`src/${name}/\`\\n\\n[A-Z]`, 'm'));
    }
  });
});
