import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { NOTICE_NAME } from '../../src/act/notify/container-file.ts';
import { createNotifier } from '../../src/act/notify/notifier.ts';
import { openEngine } from '../../src/callout/engine.ts';
import type { Notifier } from '../../src/passes/ports.ts';
import type { ContainerOptions } from '../hostsim/dockerd.ts';
import { useEngine } from './scene.ts';

const engine = useEngine();
let folders = 0;

/** A folder of the host that a container has as its /workspace. */
function workspace(): string {
  const folder = join(engine().sandbox.dir, `workspace${folders += 1}`);
  mkdirSync(folder);
  return folder;
}

async function useContainer(options: ContainerOptions): Promise<string> {
  const id = await engine().run(options);
  onTestFinished(() => engine().rm(id));
  return id;
}

function notifier(timeoutMs = 5000): Notifier {
  return createNotifier({
    owner: ['container-file'], sinks: [], ledger: null, cooldownMs: 0, host: 'gpu01', job: 'check-idle', now: Date.now,
    uidOf: () => null, render: () => '', distrust: () => null, engine: openEngine({ host: engine().host, timeoutMs }),
  });
}

const notice = (containerId: string, message = 'your container will be stopped') =>
  ({ kind: 'idle', stage: 'warned', message, target: { kind: 'container', containerId, containerName: 'train', startedAt: null, owner: 'alice' } }) as const;

describe('a notice in the container', () => {
  it('lies in its /workspace, readable for everybody, and replaces the one before', async () => {
    const folder = workspace();
    const id = await useContainer({ binds: [`${folder}:/workspace`] });
    expect(await notifier().notifyOwner(notice(id))).toEqual([]);
    expect(await notifier().notifyOwner(notice(id, `the second\u001b[2J\n${'long '.repeat(200)}`))).toEqual([]);
    const file = join(folder, NOTICE_NAME);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^the second\\u\{1b\}\[2J\\u\{a\}long/);
    expect(text).not.toContain('will be stopped');
    expect(lstatSync(file).mode & 0o7777).toBe(0o644);
    expect(Math.abs(lstatSync(file).mtimeMs - Date.now())).toBeLessThan(60_000);
    expect(readdirSync(folder)).toEqual([NOTICE_NAME]);
  });

  it('reaches a paused one as well', async () => {
    const folder = workspace();
    const id = await useContainer({ binds: [`${folder}:/workspace`] });
    await engine().pause(id);
    expect(await notifier().notifyOwner(notice(id))).toEqual([]);
    await engine().unpause(id);
    expect(existsSync(join(folder, NOTICE_NAME))).toBe(true);
  });

  it('takes the place of a link and leaves alone what the link points to', async () => {
    const folder = workspace();
    writeFileSync(join(folder, 'work'), 'a week of training');
    symlinkSync('/workspace/work', join(folder, NOTICE_NAME));
    const id = await useContainer({ binds: [`${folder}:/workspace`] });
    expect(await notifier().notifyOwner(notice(id))).toEqual([]);
    expect(readFileSync(join(folder, 'work'), 'utf8')).toBe('a week of training');
    expect(lstatSync(join(folder, NOTICE_NAME)).isSymbolicLink()).toBe(false);
  });

  it('stays in the container where its /workspace is a link, wherever that leads, and is not written to what is mounted read-only', async () => {
    const [outside, readOnly] = [workspace(), workspace()];
    const linkTo = async (target: string): Promise<string> => {
      const id = await useContainer({ binds: [`${readOnly}:/kept:ro`], cmd: ['sh', '-c', 'rmdir /workspace; ln -s "$1" /workspace; sleep 100000', 'sh', target] });
      const root = `/proc/${await engine().initPid(id)}/root`;
      await vi.waitUntil(() => lstatSync(join(root, 'workspace'), { throwIfNoEntry: false })?.isSymbolicLink() === true, { timeout: 20_000 });
      return id;
    };
    // There is no such folder in the container; on the host there is.
    expect(await notifier().notifyOwner(notice(await linkTo(`../../../../../../../..${outside}`)))).toMatchObject([{ action: 'notify.failed' }]);
    expect(await notifier().notifyOwner(notice(await linkTo('/kept')))).toMatchObject([{ action: 'notify.failed' }]);
    expect([readdirSync(outside), readdirSync(readOnly)]).toEqual([[], []]);
    const inside = await linkTo('/etc');
    expect(await notifier().notifyOwner(notice(inside))).toEqual([]);
    expect([existsSync(join(`/proc/${await engine().initPid(inside)}/root/etc`, NOTICE_NAME)), existsSync(join('/etc', NOTICE_NAME))]).toEqual([true, false]);
  });

  const failures: readonly (readonly [string, () => ContainerOptions, RegExp])[] = [
    ['on a full disk', () => ({ binds: [`${fullDisk()}:/workspace`] }), /no space left on device/],
    ['with a read-only file system', () => ({ hostConfig: { ReadonlyRootfs: true } }), /HTTP (?:403|404|500)/],
    ['with a /workspace that may not be written', () => ({ binds: [`${workspace()}:/workspace:ro`] }), /HTTP 403|read-only/],
    ['with a tmpfs for its /workspace, which the engine would write below', () => ({ hostConfig: { Tmpfs: { '/workspace': 'size=64k' } } }), /is a tmpfs/],
    ['with a folder in the place of the file', () => { const folder = workspace(); mkdirSync(join(folder, NOTICE_NAME, 'x'), { recursive: true }); return { binds: [`${folder}:/workspace`] }; }, /HTTP [45]\d\d/],
  ];
  it.each(failures)('for a container %s is an event that says why', async (_, options, why) => {
    const id = await useContainer(options());
    const [event, ...more] = await notifier().notifyOwner(notice(id));
    expect(more).toEqual([]);
    expect(event).toMatchObject({ action: 'notify.failed', outcome: 'failure', reason: 'container-file', user: 'alice', container: { id }, message: expect.stringMatching(why) });
  });

  it('for a container without a /workspace is an event, and makes none', async () => {
    const id = await useContainer({ cmd: ['/bin/busybox', 'rmdir', '/workspace'] });
    await engine().wait(id);
    for (const _ of [1, 2]) expect(await notifier().notifyOwner(notice(id))).toMatchObject([{ action: 'notify.failed', message: expect.stringContaining('HTTP 404') }]);
  });

  it('for a container that has gone is an event', async () => {
    expect(await notifier().notifyOwner(notice('f'.repeat(64)))).toMatchObject([{ action: 'notify.failed', message: expect.stringContaining('HTTP 404') }]);
  });

  describe('of an engine that does not answer', () => {
    afterEach(() => { engine().resume(); });
    it('is given up at its deadline, and the next ones of the pass at once', async () => {
      const id = await useContainer({ binds: [`${workspace()}:/workspace`] });
      engine().hang();
      const one = notifier(1000);
      const before = performance.now();
      expect(await one.notifyOwner(notice(id))).toMatchObject([{ message: expect.stringContaining('no whole answer') }]);
      expect(performance.now() - before).toBeLessThan(3000);
      const again = performance.now();
      expect(await one.notifyOwner(notice(id))).toMatchObject([{ message: expect.stringContaining('did not answer the notice before') }]);
      expect(performance.now() - again).toBeLessThan(100);
      engine().resume();
    });
  });
});

/** A file system of 16 KiB with nothing left on it. */
function fullDisk(): string {
  const folder = workspace();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
  onTestFinished(() => { execFileSync('umount', ['-l', folder]); });
  try {
    writeFileSync(join(folder, 'data'), Buffer.alloc(1 << 20));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  }
  return folder;
}
