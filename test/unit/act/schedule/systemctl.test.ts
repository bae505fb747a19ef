import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { applySystemctl } from '../../../../src/act/schedule/systemctl.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpuctl-systemctl-'));
  vi.stubEnv('PATH', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** The systemctl of this host is this shell script. */
function put(script: string): void {
  writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'systemctl'), 0o755);
}

describe('systemctl', () => {
  it('gets its arguments as they are, and may say what it likes where it succeeds', async () => {
    put(`for each in "$@"; do echo "<$each>"; done > '${folder}/args'; echo 'Created symlink' >&2`);
    await applySystemctl(['enable', '--now', 'a.timer', 'b c.timer'], '');
    expect(readFileSync(join(folder, 'args'), 'utf8')).toBe('<enable>\n<--now>\n<a.timer>\n<b c.timer>\n');
  });

  it.each([
    ['says why in its last line', 'printf "Warning: x\\nWarning: y\\nFailed to enable unit: it is masked\\n" >&2; exit 1', 'Failed to enable unit: it is masked'],
    ['says nothing', 'exit 5', 'exit 5'],
    ['is killed', 'kill -KILL $$', 'signal'],
    ['is not there', null, 'not-installed'],
  ])('that %s fails the run, with what the reader can do', async (_, script, why) => {
    if (script !== null) put(script);
    await expect(applySystemctl(['enable', '--now', 'a.timer'], 'no file was changed')).rejects.toMatchObject({
      name: 'GpuctlError', code: 'systemctl-failed', exitCode: 4, message: `systemctl enable --now a.timer failed: ${why}`, hint: 'no file was changed',
    });
  });
});
