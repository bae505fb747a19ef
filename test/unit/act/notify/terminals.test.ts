import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, constants, mkdtempSync, openSync, readdirSync, readlinkSync, readSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createNotifier } from '../../../../src/act/notify/notifier.ts';
import { isTerminal, placesOfTerminals, writeToTerminals } from '../../../../src/act/notify/terminals.ts';
import { login } from '../../../hostsim/login.ts';

/** Nobody else’s on this host, another run of these tests beside this one included. */
const USER = 1_100_000_000 + process.pid * 10;

/** What this descriptor of ours stands for; null: it is closed again. */
function openAt(fd: string): string | null {
  try { return readlinkSync(`/proc/self/fd/${fd}`); } catch { return null; }
}

describe('a message to a user', () => {
  it('appears on every terminal of his that takes messages, and on nobody else’s', async () => {
    const [one, two, closed, other] = [await login(USER, 'y'), await login(USER, 'y'), await login(USER, 'n'), await login(USER + 1, 'y')];
    expect(writeToTerminals(USER, 'gpuctl: your container')).toEqual({ written: 2, failed: 0 });
    for (const each of [one, two]) while (!each.shown().includes('your container')) await once(each.child.stdout ?? each.child, 'data');
    expect(writeToTerminals(USER + 1, 'the end')).toEqual({ written: 1, failed: 0 });
    while (!other.shown().includes('the end')) await once(other.child.stdout ?? other.child, 'data');
    expect(other.shown()).not.toContain('your container');
    expect(closed.shown()).not.toContain('your container');
  });

  it('drives no terminal, whatever the name of his container, and is never for root’s, whoever says that he is root', async () => {
    const notify = (uid: number): Promise<readonly unknown[]> => createNotifier({
      owner: ['tty'], sinks: [], ledger: null, cooldownMs: 0, host: 'gpu01', job: 'check-idle', now: Date.now, uidOf: () => uid, render: () => '', distrust: () => null,
      engine: { inspect: async () => ({ ok: false, why: '' }), putArchive: async () => ({ ok: false, why: '' }) },
    }).notifyOwner({ kind: 'idle', stage: 'warned', message: 'container \u001b[2J\u009b31m\u202e\nroot: come here will be stopped', target: { kind: 'container', containerId: 'a'.repeat(64), containerName: 'x', startedAt: null, owner: 'root' } });
    const [his, roots] = [await login(USER + 3, 'y'), await login(0, 'y')];
    expect([await notify(USER + 3), await notify(0)]).toEqual([[], []]);
    expect(writeToTerminals(0, 'the end').written).toBeGreaterThan(0);
    while (!his.shown().includes('will be stopped')) await once(his.child.stdout ?? his.child, 'data');
    while (!roots.shown().includes('the end')) await once(roots.child.stdout ?? roots.child, 'data');
    expect(his.shown()).toContain('gpuctl: container \\u{1b}[2J\\u{9b}31m\\u{202e}\\u{a}root: come here');
    expect(roots.shown()).not.toContain('come here');
  });

  it('reaches nobody where he is not logged in, which is no fault', () => {
    expect(writeToTerminals(USER + 2, 'gpuctl: x')).toEqual({ written: 0, failed: 0 });
  });

  it('waits for no terminal whose reader has stopped', async () => {
    const { child } = await login(USER, 'y');
    process.kill(child.pid ?? 0, 'SIGSTOP');
    const before = performance.now();
    // The first one that fails may still take a part of it; the next ones nothing at all.
    let [failures, last] = [0, { written: 1, failed: 0 }];
    for (let n = 0; n < 200 && failures < 3; n += 1) {
      last = writeToTerminals(USER, 'x'.repeat(4000));
      failures = last.failed === 0 ? 0 : failures + 1;
    }
    process.kill(child.pid ?? 0, 'SIGCONT');
    expect([failures, last]).toEqual([3, { written: 0, failed: 1 }]);
    expect(performance.now() - before).toBeLessThan(5000);
  });

  it('has its lines below one another, and leaves no terminal open', async () => {
    const { tty, shown, child } = await login(USER + 4, 'y');
    writeToTerminals(USER + 4, 'first\nsecond\nthe end');
    while (!shown().includes('the end')) await once(child.stdout ?? child, 'data');
    expect(shown()).toMatch(/\r\n\r*first\r+\nsecond\r+\nthe end/);
    expect(readdirSync('/proc/self/fd').filter((fd) => openAt(fd) === tty)).toEqual([]);
  });

  it('of a user with very many terminals appears on thirty-two of them', async () => {
    await Promise.all(Array.from({ length: 33 }, () => login(USER + 5, 'y')));
    expect(writeToTerminals(USER + 5, 'gpuctl: x')).toEqual({ written: 32, failed: 0 });
  });

  it('goes to pseudo-terminals and virtual consoles, and to no other place', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpuctl-pts-'));
    onTestFinished(() => { rmSync(folder, { recursive: true }); });
    for (const name of ['7', '123', 'ptmx', '7a', 'a7']) writeFileSync(join(folder, name), '');
    const consoles = ['/dev/tty1', '/dev/tty2', '/dev/tty3', '/dev/tty4', '/dev/tty5', '/dev/tty6', '/dev/tty7', '/dev/tty8', '/dev/tty9', '/dev/tty10', '/dev/tty11', '/dev/tty12'];
    expect(placesOfTerminals(folder).toSorted()).toEqual([join(folder, '123'), join(folder, '7'), ...consoles].toSorted());
    expect(placesOfTerminals(join(folder, 'none'))).toEqual([]);
    expect([0, 1, 3, 4, 5, 135, 136, 143, 144, 195].filter(isTerminal)).toEqual([4, 136, 143]);
  });

  it('is never written to a file, a link or a FIFO that lies in the place of a terminal', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpuctl-pts-'));
    onTestFinished(() => { rmSync(folder, { recursive: true }); });
    const { tty } = await login(0, 'y');
    writeFileSync(join(folder, '0'), '');
    chmodSync(join(folder, '0'), 0o620);
    symlinkSync(tty, join(folder, '1'));
    symlinkSync('/dev/null', join(folder, '2'));
    // Somebody waits at its other end, so that it can be opened.
    execFileSync('mkfifo', ['-m', '620', join(folder, '3')]);
    const end = openSync(join(folder, '3'), constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => { closeSync(end); });
    expect(writeToTerminals(0, 'x', folder)).toEqual({ written: 0, failed: 0 });
    expect(statSync(join(folder, '0')).size).toBe(0);
    expect(readSync(end, Buffer.alloc(8))).toBe(0);
  });
});
