import { describe, expect, it } from 'vitest';
import { runChild } from '../../../src/callout/child.ts';

const sh = (script: string, timeoutMs = 60_000): ReturnType<typeof runChild> => runChild({ file: '/bin/sh', args: ['-c', script], timeoutMs });

describe('what a child says', () => {
  it('is whole, with its exit code, on both streams, whatever the bytes are', async () => {
    expect(await sh("printf 'a\\303\\251\\377\\n'; printf 'b\\n' >&2; exit 3")).toEqual({ exitCode: 3, stdout: 'a\u00e9\ufffd\n', stderr: 'b\n', problem: null });
  });

  it('is kept where a signal ended it, and where it was given up at its deadline', async () => {
    expect(await sh('echo so far; kill -SEGV $$')).toMatchObject({ exitCode: null, stdout: 'so far\n', problem: 'signal' });
    expect(await sh('echo so far; exec sleep 60', 500)).toMatchObject({ exitCode: null, stdout: 'so far\n', problem: 'timeout' });
  });

  it('may be nothing, of a program that is not there', async () => {
    expect(await runChild({ file: '/no/such/program', args: [], timeoutMs: 1000 })).toMatchObject({ exitCode: null, stdout: '', stderr: '', problem: 'not-installed' });
  });

  it('without an end is cut, and is not pored over', async () => {
    const before = process.cpuUsage();
    const { problem, stdout } = await sh('head -c 300000000 /dev/zero & exec head -c 300000000 /dev/zero');
    const { user } = process.cpuUsage(before);
    expect([problem, stdout.length <= 64 * 1024 * 1024]).toEqual(['too-much-output', true]);
    expect(user / 1000).toBeLessThan(3000);
  });
});
