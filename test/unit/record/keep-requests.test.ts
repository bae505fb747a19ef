import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { keepFolder, openKeepRequests, renderKeepRequest } from '../../../src/record/keep-requests.ts';

const USER = 64_555;
const isUser = (uid: number): boolean => uid <= USER + 1;

function useState(): { readonly dir: string; readonly at: (name: string) => string; readonly take: () => ReturnType<ReturnType<typeof openKeepRequests>['take']> } {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-keep-'));
  chmodSync(dir, 0o755);
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
  const requests = openKeepRequests(dir, isUser);
  requests.take();
  return { dir, at: (name) => join(keepFolder(dir), name), take: () => requests.take() };
}

function drop(path: string, text: string, uid = USER): void {
  writeFileSync(path, text, { mode: 0o600 });
  chownSync(path, uid, uid);
}

const wish = (container = 'train', forMs = 3_600_000): string => renderKeepRequest({ container, forMs });

describe('the drop folder', () => {
  it('is one that anybody may put into and nobody may list, made where it is missing and put right where it is not', () => {
    const { dir, take } = useState();
    expect(statSync(keepFolder(dir)).mode & 0o7777).toBe(0o1733);
    chmodSync(keepFolder(dir), 0o777);
    take();
    expect(statSync(keepFolder(dir)).mode & 0o7777).toBe(0o1733);
    const as = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', 'sh', '-c', 'echo x > "$0/a" && ! ls "$0" 2>/dev/null && ! rm -f "$0/other" 2>/dev/null', keepFolder(dir)] as const;
    drop(join(keepFolder(dir), 'other'), wish(), 0);
    expect(() => execFileSync(as[0], as.slice(1))).not.toThrow();
  });

  it('gives each good wish once, with the uid of its file, and is empty then', () => {
    const { at, take } = useState();
    drop(at('a'), wish('train', 5000));
    drop(at('b'), wish('other'), 0);
    expect(take()).toEqual({ requests: expect.arrayContaining([{ uid: USER, container: 'train', forMs: 5000 }, { uid: 0, container: 'other', forMs: 3_600_000 }]), refused: [] });
    expect(take()).toEqual({ requests: [], refused: [] });
  });

  it.each<readonly [string, string]>([
    ['no JSON', 'train'], ['nothing but null', 'null'], ['a list', '[]'],
    ['a key too many', '{"schema":1,"container":"a","for_ms":1,"uid":0}'], ['another schema', '{"schema":2,"container":"a","for_ms":1}'],
    ['a name with a newline', '{"schema":1,"container":"a\\nb","for_ms":1}'], ['a name that climbs', '{"schema":1,"container":"../a","for_ms":1}'],
    ['a negative time', '{"schema":1,"container":"a","for_ms":-1}'], ['an endless time', '{"schema":1,"container":"a","for_ms":1e300}'],
    ['a time in words', '{"schema":1,"container":"a","for_ms":"24h"}'], ['a prototype', '{"__proto__":1,"container":"a","for_ms":1}'],
  ])('throws away a file with %s', (_, text) => {
    const { at, take } = useState();
    drop(at('a'), text);
    expect(take()).toEqual({ requests: [], refused: [{ uid: USER, why: expect.any(String) }] });
    expect(existsSync(at('a'))).toBe(false);
  });

  it('never follows, opens or waits for what is no plain file with one name, and throws it away', () => {
    const { dir, at, take } = useState();
    drop(join(dir, 'secret'), wish('root-only'), 0);
    symlinkSync(join(dir, 'secret'), at('link'));
    linkSync(join(dir, 'secret'), at('hard'));
    execFileSync('mkfifo', [at('fifo')]);
    execFileSync('mknod', [at('zero'), 'c', '1', '5']);
    mkdirSync(at('empty'));
    drop(at('huge'), '');
    truncateSync(at('huge'), 1e9);
    const { requests, refused } = take();
    expect(requests).toEqual([]);
    expect(refused.map(({ why }) => why).toSorted()).toEqual(['it has several names', 'it is larger than 4096 bytes', ...Array.from({ length: 4 }, () => 'it is not a regular file')]);
    expect(readdirSync(keepFolder(dir))).toEqual([]);
    expect(existsSync(join(dir, 'secret'))).toBe(true);
  });

  it('moves a folder that holds something to where users cannot reach it', () => {
    const { dir, at, take } = useState();
    mkdirSync(at('full'));
    writeFileSync(join(at('full'), 'x'), '');
    expect(take().refused).toContainEqual({ uid: 0, why: expect.stringContaining('moved to') });
    expect(readdirSync(keepFolder(dir))).toEqual([]);
    expect(statSync(join(dir, 'keep-refused')).mode & 0o777).toBe(0o700);
  });

  it('removes names that are no text', () => {
    const { dir, take } = useState();
    const name = Buffer.concat([Buffer.from(`${keepFolder(dir)}/`), Buffer.from([0xff, 0x0a, 0xfe])]);
    writeFileSync(name, wish());
    chownSync(name, USER, USER);
    expect(take().requests).toHaveLength(1);
    expect(readdirSync(keepFolder(dir))).toEqual([]);
  });

  it('of a user who drops thousands takes a few, throws the rest away, and still hears the others', () => {
    const { dir, at, take } = useState();
    for (let n = 0; n < 3000; n += 1) drop(at(`n${n}`), wish());
    drop(at('mine'), wish('mine'), USER + 1);
    const { requests, refused } = take();
    expect(requests.filter(({ uid }) => uid === USER)).toHaveLength(16);
    expect(requests).toContainEqual({ uid: USER + 1, container: 'mine', forMs: 3_600_000 });
    expect(refused).toEqual([{ uid: USER, why: expect.stringContaining('2984 more than 16') }]);
    expect(readdirSync(keepFolder(dir))).toEqual([]);
  });

  it('leaves a file in peace that was made but not written yet, whatever age its user gives it', () => {
    const { at, take } = useState();
    drop(at('new'), '');
    utimesSync(at('new'), 0, 0);
    expect(take()).toEqual({ requests: [], refused: [] });
    drop(at('new'), wish());
    expect(take().requests).toHaveLength(1);
  });

  it('waits for no more than a few empty files of one user, however often he touches them', () => {
    const { dir, at, take } = useState();
    for (let n = 0; n < 40; n += 1) drop(at(`n${n}`), '');
    drop(at('other'), '', USER + 1);
    expect(take()).toEqual({ requests: [], refused: [...Array.from({ length: 16 }, () => ({ uid: USER, why: 'it is not JSON' })), { uid: USER, why: expect.stringContaining('8 more than 16') }] });
    expect(readdirSync(keepFolder(dir))).toHaveLength(17);
    expect(existsSync(at('other'))).toBe(true);
  });

  it('takes all uids that the host does not know for one user, of whom it takes a few', () => {
    const { dir, at, take } = useState();
    for (let n = 0; n < 200; n += 1) drop(at(`n${n}`), wish(), 100_000 + n);
    for (let n = 0; n < 200; n += 1) drop(at(`empty${n}`), '', 300_000 + n);
    drop(at('mine'), wish('mine'));
    const { requests, refused } = take();
    expect(requests).toContainEqual({ uid: USER, container: 'mine', forMs: 3_600_000 });
    expect(requests.length + refused.length).toBe(1 + 16 + 1);
    expect(readdirSync(keepFolder(dir))).toHaveLength(16);
  });

  it('asks nothing of what a user mounted into it, and still hears the others', () => {
    const { dir, at, take } = useState();
    mkdirSync(at('my mount'));
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at('my mount')]);
    onTestFinished(() => { execFileSync('umount', [join(dir, 'keep', 'my mount')]); });
    drop(at('mine'), wish());
    expect(take()).toEqual({ requests: [expect.objectContaining({ uid: USER })], refused: [] });
    expect(readdirSync(keepFolder(dir))).toEqual(['my mount']);
  });

  it('leaves out what it may not even look at, and still hears the others', () => {
    const base = mkdtempSync(join(tmpdir(), 'gpuctl-keep-'));
    onTestFinished(() => { execFileSync('rm', ['-rf', base]); });
    const dir = join(base, ...Array.from({ length: 19 }, () => 'd'.repeat(200)), 'd'.repeat(3850 - base.length - 19 * 201));
    const requests = openKeepRequests(dir, isUser);
    requests.take();
    // Its path is longer than any call takes.
    execFileSync('sh', ['-c', 'cd "$0" && : > "$1"', keepFolder(dir), 'n'.repeat(255)]);
    drop(join(keepFolder(dir), 'mine'), wish());
    expect(requests.take()).toEqual({ requests: [expect.objectContaining({ uid: USER })], refused: [] });
  });

  it('is not used where something else lies in its place', () => {
    const dir = mkdtempSync(join(tmpdir(), 'gpuctl-keep-'));
    onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
    symlinkSync('/etc', keepFolder(dir));
    expect(() => openKeepRequests(dir, isUser).take()).toThrow();
    expect(statSync('/etc').mode & 0o7777).not.toBe(0o1733);
  });
});
