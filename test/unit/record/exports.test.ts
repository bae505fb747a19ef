import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openUserExports, publicFile, whyFile } from '../../../src/record/exports.ts';

const [ALICE, BOB] = [64_601, 64_602];
const ROOT = new URL('../../../', import.meta.url);
const UNITS = new URL('systemd/', ROOT);

function useState(): string {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-exports-'));
  chmodSync(dir, 0o755);
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }); });
  return dir;
}

/** What a user without any right gets of a file; null: nothing. */
function readAs(uid: number, file: string): string | null {
  const { status, stdout } = spawnSync('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'cat', file], { encoding: 'utf8' });
  return status === 0 ? stdout : null;
}

describe('what users may read', () => {
  it('is public.json for everybody, and for each user his own file and no other', () => {
    const dir = useState();
    const before = process.umask(0o077);
    openUserExports(dir).writePublic({ a: 1 });
    openUserExports(dir).writeWhys(new Map([[ALICE, { who: 'alice' }], [BOB, { who: 'bob' }]]));
    process.umask(before);
    expect([readAs(ALICE, publicFile(dir)), readAs(BOB, publicFile(dir))]).toEqual(['{"a":1}\n', '{"a":1}\n']);
    expect([readAs(ALICE, whyFile(dir, ALICE)), readAs(BOB, whyFile(dir, BOB))]).toEqual(['{"who":"alice"}\n', '{"who":"bob"}\n']);
    expect([readAs(ALICE, whyFile(dir, BOB)), readAs(BOB, whyFile(dir, ALICE))]).toEqual([null, null]);
    const modeOf = (path: string): number => statSync(path).mode & 0o7777;
    expect([modeOf(publicFile(dir)), modeOf(join(dir, 'why')), modeOf(whyFile(dir, ALICE))]).toEqual([0o644, 0o711, 0o400]);
    expect(statSync(whyFile(dir, ALICE)).uid).toBe(ALICE);
    expect(spawnSync('setpriv', [`--reuid=${ALICE}`, `--regid=${ALICE}`, '--clear-groups', 'ls', join(dir, 'why')]).status).not.toBe(0);
  });

  it('is replaced as a whole: who has the old file open keeps the old one', () => {
    const dir = useState();
    const exports = openUserExports(dir);
    exports.writePublic({ n: 1 });
    const old = statSync(publicFile(dir)).ino;
    const held = execFileSync('sh', ['-c', 'exec 3<"$0"; echo "$0"; cat <&3', publicFile(dir)], { encoding: 'utf8' });
    exports.writePublic({ n: 2 });
    expect(held).toContain('{"n":1}');
    expect(statSync(publicFile(dir)).ino).not.toBe(old);
    expect(readdirSync(dir)).toEqual(['public.json']);
  });

  it('loses the file of a user who has no container any more, and what a killed pass left', () => {
    const dir = useState();
    const exports = openUserExports(dir);
    exports.writeWhys(new Map([[ALICE, {}], [BOB, {}]]));
    writeFileSync(join(dir, 'why', '.new'), 'half');
    exports.writeWhys(new Map([[BOB, { n: 2 }]]));
    expect(readdirSync(join(dir, 'why'))).toEqual([`${BOB}.json`]);
    exports.writeWhys(new Map());
    expect(readdirSync(join(dir, 'why'))).toEqual([]);
  });

  it('of one user that cannot be written costs the others nothing, and is told', () => {
    const dir = useState();
    const exports = openUserExports(dir);
    mkdirSync(join(whyFile(dir, ALICE), 'x'), { recursive: true });
    expect(() => { exports.writeWhys(new Map([[ALICE, {}], [BOB, { n: 1 }]])); }).toThrow(`${ALICE}.json`);
    expect(readAs(BOB, whyFile(dir, BOB))).toBe('{"n":1}\n');
    expect(() => { exports.writeWhys(new Map([[BOB, { n: 2 }]])); }).toThrow(`${ALICE}.json`);
    expect(readAs(BOB, whyFile(dir, BOB))).toBe('{"n":2}\n');
  });

  it.each(readdirSync(UNITS).filter((name) => name.endsWith('.service')))('is given to its user with no more capabilities than %s leaves root', (name) => {
    const dir = useState();
    const unit = readFileSync(new URL(name, UNITS), 'utf8');
    const left = (/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? '').split(' ').map((each) => `,+${each.slice('CAP_'.length).toLowerCase()}`).join('');
    const script = `import { openUserExports } from ${JSON.stringify(new URL('src/record/exports.ts', ROOT).href)}; openUserExports(process.argv[1]).writeWhys(new Map([[${ALICE}, { n: 1 }]]));`;
    execFileSync('setpriv', [`--bounding-set=-all${left}`, '--inh-caps=-all', process.execPath, '--input-type=module', '-e', script, dir]);
    expect(readAs(ALICE, whyFile(dir, ALICE))).toBe('{"n":1}\n');
    // Whatever forbids the privileged calls must allow these again.
    expect(/@privileged/.test(unit)).toBe(/^SystemCallFilter=@chown$/m.test(unit));
  });

  it('never goes through a link that lies in its place', () => {
    const dir = useState();
    const target = join(dir, 'target');
    writeFileSync(target, 'precious');
    symlinkSync(target, publicFile(dir));
    symlinkSync(target, join(dir, '.new'));
    openUserExports(dir).writePublic({});
    expect(readFileSync(target, 'utf8')).toBe('precious');
    expect(statSync(publicFile(dir)).ino).not.toBe(statSync(target).ino);
    const elsewhere = mkdtempSync(join(tmpdir(), 'gpuctl-elsewhere-'));
    onTestFinished(() => { rmSync(elsewhere, { recursive: true }); });
    symlinkSync(elsewhere, join(dir, 'why'));
    expect(() => { openUserExports(dir).writeWhys(new Map([[ALICE, {}]])); }).toThrow('is not a folder');
    expect(existsSync(join(elsewhere, `${ALICE}.json`))).toBe(false);
  });
});
