import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { putNotice } from '../../../../src/act/notify/container-file.ts';
import { openEngine } from '../../../../src/callout/engine.ts';
import { startFakeEngine } from '../../observe/docker/fake-engine.ts';

const ID = 'a'.repeat(64);
const TARGET = { kind: 'container', containerId: ID, containerName: 'train', startedAt: null, owner: 'alice' } as const;
const NOW = Date.UTC(2026, 10, 22, 10, 0, 0, 750);

/** An engine that knows one container and keeps what is put into it, or refuses it with this status. */
async function engineOf(inspection: unknown, status = 200): Promise<{ readonly put: () => ReturnType<typeof putNotice>; readonly asked: readonly string[]; readonly archive: () => Buffer }> {
  const chunks: Buffer[] = [];
  const { host, asked, close } = await startFakeEngine((request, response) => {
    request.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    request.on('end', () => {
      if (request.method === 'PUT') response.writeHead(status).end(status === 200 ? '' : '{"message":"no such folder"}');
      else response.writeHead(inspection === undefined ? 404 : 200).end(inspection === undefined ? '{"message":"no such container"}' : JSON.stringify(inspection));
    });
  });
  onTestFinished(close);
  return { put: () => putNotice(openEngine({ host, timeoutMs: 5000 }), TARGET, { message: 'it will be stopped', now: NOW }), asked, archive: () => Buffer.concat(chunks) };
}

it('a notice is one file for everybody to read in the /workspace of the container, which says when it was written and that it may go', async () => {
  const { put, asked, archive } = await engineOf({ HostConfig: {}, Mounts: [] });
  expect(await put()).toBeNull();
  expect(asked.at(-1)).toBe(`/v1.41/containers/${ID}/archive?noOverwriteDirNonDir=1&path=%2Fworkspace`);
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-notice-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  execFileSync('tar', ['-x', '-p', '-C', folder, '-f', '-'], { input: archive() });
  expect(readdirSync(folder)).toEqual(['GPUCTL-NOTICE.txt']);
  const file = join(folder, 'GPUCTL-NOTICE.txt');
  expect(readFileSync(file, 'utf8')).toBe('it will be stopped\n\n(gpuctl, 2026-11-22T10:00:00.750Z. This file replaces earlier notices; it may be deleted.)\n');
  expect([statSync(file).mode & 0o7777, statSync(file).mtimeMs]).toEqual([0o644, NOW - 750]);
});

describe('a notice that is not there', () => {
  it('since there is no such container was not sent', async () => {
    const { put, asked } = await engineOf(undefined);
    expect(await put()).toMatchObject({ ok: false, code: 'error', why: 'HTTP 404: no such container' });
    expect(asked.filter((path) => path.includes('archive'))).toEqual([]);
  });

  it('since the engine refused it says so', async () => {
    expect(await (await engineOf({}, 404)).put()).toMatchObject({ ok: false, code: 'error', why: 'HTTP 404: no such folder' });
  });
});

describe('a /workspace', () => {
  const bind = { Type: 'bind', Destination: '/data' };
  const tmpfs = { Type: 'tmpfs', Destination: '/workspace' };
  it.each<[string, unknown]>([
    ['of --tmpfs', { HostConfig: { Tmpfs: { '/workspace': 'size=64k' } }, Mounts: [] }],
    ['of --tmpfs beside another', { HostConfig: { Tmpfs: { '/run': '', '/workspace/': '' } } }],
    ['of --tmpfs with two slashes', { HostConfig: { Tmpfs: { '/workspace//': '' } } }],
    ['of --mount', { HostConfig: { Tmpfs: null }, Mounts: [tmpfs] }],
    ['of --mount beside a bind', { Mounts: [null, bind, tmpfs] }],
  ])('that is a tmpfs (%s) would hide the notice, which is not sent', async (_, inspection) => {
    const { put, asked } = await engineOf(inspection);
    expect(await put()).toEqual({ ok: false, why: '/workspace is a tmpfs, which the engine cannot write to from outside' });
    expect(asked.filter((path) => path.includes('archive'))).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['a bind', { HostConfig: { Tmpfs: null }, Mounts: [{ ...bind, Destination: '/workspace' }] }],
    ['beside a tmpfs', { HostConfig: { Tmpfs: { '/run': '', '/workspace/cache': '', '/x/workspace': '' } }, Mounts: [{ ...tmpfs, Destination: '/tmp' }] }],
    ['of which the engine says nothing', null],
    ['of which the engine says nothing that is known', { HostConfig: { Tmpfs: 'x' }, Mounts: { ...tmpfs } }],
    ['among mounts without a place', { Mounts: [null, { Type: 'tmpfs' }, { Type: 'tmpfs', Destination: 7 }] }],
  ])('that is none (%s) gets it', async (_, inspection) => {
    expect(await (await engineOf(inspection)).put()).toBeNull();
  });
});
