import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chalk } from 'chalk';
import { expect, it, onTestFinished } from 'vitest';
import { readWhyExport } from '../../../src/cli/exported.ts';
import { renderWhy } from '../../../src/cli/render/why.ts';
import { whyFile } from '../../../src/record/exports.ts';

const UID = 1000;
const EVIL = '\u001b]0;x\u0007\u001b[2J\n';

it('what a user wrote into his own export drives no terminal of the admin who looks at it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-exported-'));
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
  mkdirSync(join(dir, 'why'));
  const prospect = { what: 'idle-stop', at: EVIL, job: EVIL, due_at: EVIL, reason: EVIL, explanation: EVIL, limit: { key: EVIL, ms: 1, from: EVIL }, spent_ms: 1 };
  const container = { id: EVIL, name: EVIL, state: EVIL, devices: [EVIL], prospects: [prospect, { ...prospect, at: null }], warnings: [{ kind: EVIL, stage: EVIL, at: EVIL }], keep_alive_max_ms: 0 };
  for (const containers of [[], [container]]) {
    writeFileSync(whyFile(dir, UID), JSON.stringify({ schema: 1, host: EVIL, at: '2026-11-22T09:00:00Z', uid: EVIL, containers, keep_refused: [{ at: EVIL, why: EVIL }] }));
    const why = readWhyExport(dir, UID);
    expect(why).not.toBeNull();
    expect(why === null ? '' : renderWhy(why, 0, new Chalk({ level: 0 }))).not.toMatch(/[^\P{C}\n]/u);
  }
});
