import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { renderDefaultConfig } from '../../src/config/template.ts';
import type { PassReport } from '../../src/passes/report.ts';
import { MARKER } from '../../src/schedule/own-files.ts';
import { renderMan } from '../../tools/generate-man.ts';
import { strippedElf } from '../../tools/package/strip.ts';
import { startHost } from '../hostsim/host.ts';
import { type CleanRoot, ensureBase, makeCleanRoot } from './clean-root.ts';
import { buildFastDeb, FAST_DEB, laterDeb, PACKAGE, VERSION } from './debs.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });

const ROOT = join(import.meta.dirname, '..', '..');
const PUBLISHED = join(ROOT, 'dist', `gpuctl_${VERSION}-1_amd64.deb`);

/** Compressing takes a minute of one processor: it goes on while the other tests run, and gives way to them. */
let publishing: ChildProcess | null = null;
let printed = '';

beforeAll(() => {
  buildFastDeb();
  ensureBase();
});
afterAll(() => {
  if (publishing === null || publishing.exitCode !== null) return;
  // Not all tests were to run, or one failed to wait: what it had laid out stays behind.
  publishing.kill('SIGKILL');
  for (const left of globSync(join(ROOT, 'dist', 'stage-*'))) rmSync(left, { recursive: true });
});

const fieldsOf = (...args: readonly string[]): string => execFileSync('dpkg-deb', args, { encoding: 'utf8' });

function useRoot(): CleanRoot {
  const root = makeCleanRoot();
  onTestFinished(() => { root.dispose(); });
  return root;
}

/** Installs this .deb, as an admin would with dpkg. */
function install(root: CleanRoot, deb = FAST_DEB, ...options: readonly string[]): string {
  cpSync(deb, root.at('tmp/gpuctl.deb'));
  const { exitCode, stdout, stderr } = root.run('dpkg', ...options, '-i', '/tmp/gpuctl.deb');
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  return `${stdout}${stderr}`;
}

function useInstalled(): CleanRoot {
  const root = useRoot();
  install(root);
  return root;
}

/** Every path of a root but dpkg's own notes. */
const everything = (root: CleanRoot): readonly string[] => root.run('find', '/', '-xdev', '-not', '-path', '/var/lib/dpkg/*', '-not', '-path', '/var/log/*', '-not', '-path', '/tmp/*').stdout.split('\n').toSorted();

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

// First, as long as nothing is packed meanwhile.
describe('the start-up of what is installed', () => {
  it('starts in no more than 1.6 times the time of its bare runtime', () => {
    const root = useInstalled();
    // Alternately, and the fastest of each: what else the machine does only ever adds. Where it never rests, processor time tells.
    const loop = 'TIMEFORMAT="%3R %3U %3S"; n=0; while [ $n -lt 25 ]; do time /usr/lib/gpuctl/node -e 0; time gpuctl --version >/dev/null; n=$((n + 1)); done';
    const runs = root.run('bash', '-c', loop).stderr.trim().split('\n').map((line) => line.split(' ').map(Number) as [number, number, number]);
    expect(runs).toHaveLength(50);
    const fastest = (of: 0 | 1, ms: (run: [number, number, number]) => number): number => Math.min(...runs.filter((_, n) => n % 2 === of).map(ms));
    const ratio = (ms: (run: [number, number, number]) => number): number => fastest(1, ms) / fastest(0, ms);
    expect(Math.min(ratio(([wall]) => wall), ratio(([, user, system]) => user + system))).toBeLessThanOrEqual(1.6);
  });
});

describe('the package', () => {
  beforeAll(() => {
    publishing = spawn('nice', [process.execPath, PACKAGE, '--arch', 'amd64'], { stdio: ['ignore', 'pipe', 'inherit'] });
    publishing.stdout?.on('data', (chunk: Buffer) => { printed += chunk.toString(); });
  });

  it('depends on what its runtime is linked with, and on nothing that has a Node.js of its own', () => {
    const needed = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
    const depends = fieldsOf('-f', FAST_DEB, 'Depends');
    for (const [library, name] of [['libatomic.so.1', 'libatomic1'], ['libstdc++.so.6', 'libstdc++6'], ['libgcc_s.so.1', 'libgcc-s1'], ['libc.so.6', 'libc6']]) {
      expect(needed).toContain(library);
      expect(depends).toMatch(new RegExp(`(?:^|, )${name?.replaceAll('+', '\\+')} \\(>=`));
    }
    expect(depends).not.toMatch(/node/);
  });

  it('holds files of root alone, that nobody else may write to', () => {
    const lines = fieldsOf('-c', FAST_DEB).trim().split('\n');
    for (const line of lines) expect(line).toMatch(/^(?:-rw-r--r--|[d-]rwxr-xr-x) root\/root /);
  });

  it('is the same, byte by byte, when it is built again', () => {
    const before = readFileSync(FAST_DEB);
    rmSync(`${FAST_DEB}.inputs`);
    buildFastDeb();
    expect(readFileSync(FAST_DEB).equals(before)).toBe(true);
  });

  it('has a runtime of which only a debugger misses something: what is loaded is what was published', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpuctl-runtime-'));
    onTestFinished(() => { rmSync(folder, { recursive: true }); });
    const [published, packed] = [readFileSync(process.execPath), strippedElf(readFileSync(process.execPath))];
    const file = join(folder, 'node');
    writeFileSync(file, packed, { mode: 0o755 });
    const read = (what: string, of: string): string => execFileSync('readelf', ['--wide', what, of], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    const loaded = (of: string): readonly string[] => read('--program-headers', of).split('\n').filter((line) => /^ {2}[A-Z_]+ +0x/.test(line));
    expect(loaded(file)).toHaveLength(12);
    expect(loaded(file)).toEqual(loaded(process.execPath));
    const end = Math.max(...loaded(file).map((line) => line.trim().split(/ +/)).map(([, at, , , length]) => Number(at) + Number(length)));
    // Of the file's own header (64 bytes) only the place and the number of its sections differ.
    expect(packed.subarray(64, end).equals(published.subarray(64, end))).toBe(true);
    expect(read('--sections', process.execPath)).toMatch(/ \.debug_info .* \.symtab /s);
    expect(read('--sections', file)).not.toMatch(/\.debug_|\.symtab/);
    expect(packed.length).toBeLessThan(published.length * 0.8);
    expect(execFileSync(file, ['-p', '6 * 7'], { encoding: 'utf8' })).toBe('42\n');
  });
});

describe('installed in a clean Debian', () => {
  it('works without any Node.js of the system, with the configuration that it brings, and starts nothing', () => {
    const root = useInstalled();
    expect(root.run('sh', '-c', 'command -v node nodejs').exitCode).not.toBe(0);
    expect(root.run('gpuctl', '--version')).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n`, stderr: '' });
    expect(root.run('gpuctl', 'config', 'check')).toMatchObject({ exitCode: 0, stdout: '/etc/gpuctl/config.yaml: no mistakes\n' });
    expect(readFileSync(root.at('etc/gpuctl/config.yaml'), 'utf8')).toBe(renderDefaultConfig());
    expect([modeOf(root.at('var/lib/gpuctl')), modeOf(root.at('var/log/gpuctl'))]).toEqual(['755', '750']);
    expect(existsSync(root.at('etc/cron.d/gpuctl'))).toBe(false);
    expect(root.run('sh', '-c', 'ls /etc/systemd/system/*.wants/gpuctl* 2>/dev/null').stdout).toBe('');
  });

  it('looks at every GPU of an nvidia-smi that answers, and does not take the missing engine for an empty one', () => {
    const root = useInstalled();
    const host = startHost({ gpus: 3 });
    onTestFinished(() => host.dispose());
    host.makeSmiInstant();
    cpSync(host.dir, root.at(host.dir), { recursive: true });
    symlinkSync(host.smiPath, root.at('usr/bin/nvidia-smi'));
    // The shell of that nvidia-smi.
    cpSync('/bin/busybox', root.at('bin/busybox'));
    const result = root.run('gpuctl', 'health-check', '--json');
    const { observed, devices } = JSON.parse(result.stdout) as PassReport;
    expect(devices.map(({ uuid }) => uuid)).toEqual(host.world().gpus.map(({ uuid }) => uuid));
    expect({ observed, exit: result.exitCode }).toMatchObject({ observed: { nvidia_smi: 'complete', engine: 'failed' }, exit: 3 });
  });

  it('runs from the code that was compiled at its installation, and without it where that is damaged or of another bundle', () => {
    const root = useInstalled();
    const cache = root.at('usr/lib/gpuctl/gpuctl.cache');
    const bundle = readFileSync(root.at('usr/lib/gpuctl/gpuctl.cjs'), 'latin1');
    expect(readFileSync(cache, 'latin1').slice(0, 64)).toBe(bundle.slice(-65, -1));
    const good = readFileSync(cache);
    const works = (content: Buffer): void => {
      writeFileSync(cache, content);
      expect(root.run('gpuctl', 'config', 'check')).toMatchObject({ exitCode: 0, stdout: '/etc/gpuctl/config.yaml: no mistakes\n', stderr: '' });
    };
    works(good.subarray(0, 5000));
    works(Buffer.concat([good.subarray(0, 9000), Buffer.from([good.readUInt8(9000) ^ 0xff]), good.subarray(9001)]));
    works(Buffer.concat([Buffer.from('0'.repeat(64)), good.subarray(64)]));
  });

  it('has logrotate rotate its events', () => {
    const root = useInstalled();
    const events = root.at('var/log/gpuctl/events.jsonl');
    writeFileSync(events, '{}\n');
    expect(root.run('logrotate', '--force', '/etc/logrotate.d/gpuctl')).toMatchObject({ exitCode: 0, stderr: '' });
    expect([readFileSync(`${events}.1`, 'utf8'), readFileSync(events, 'utf8'), modeOf(events)]).toEqual(['{}\n', '', '640']);
  });

  it('an upgrade keeps a configuration that was edited, brings a new one where it was not, and keeps the ledger', () => {
    const root = useInstalled();
    const config = root.at('etc/gpuctl/config.yaml');
    appendFileSync(config, '# mine\n');
    writeFileSync(root.at('var/lib/gpuctl/ledger.db'), 'remembered');
    const rotation = root.at('etc/logrotate.d/gpuctl');
    install(root, laterDeb((data) => {
      appendFileSync(join(data, 'etc/gpuctl/config.yaml'), '# theirs\n');
      appendFileSync(join(data, 'etc/logrotate.d/gpuctl'), '# newer\n');
    }), '--force-confdef', '--force-confold');
    expect(readFileSync(config, 'utf8')).toBe(`${renderDefaultConfig()}# mine\n`);
    expect(readFileSync(rotation, 'utf8')).toContain('# newer');
    expect(readFileSync(root.at('var/lib/gpuctl/ledger.db'), 'utf8')).toBe('remembered');
    expect(root.run('dpkg-query', '-W', '-f', '${Version} ${Status}', 'gpuctl').stdout).toBe('99.0-1 install ok installed');
  });

  it('an upgrade over a configuration that is not valid says so, and goes on: passes refuse it by themselves', () => {
    const root = useInstalled();
    appendFileSync(root.at('etc/gpuctl/config.yaml'), 'nonsense: true\n');
    expect(install(root, laterDeb())).toContain('/etc/gpuctl needs attention (exit 2)');
    expect(root.run('gpuctl', 'release-stale')).toMatchObject({ exitCode: 2 });
  });

  /** Everything of the schedule as if it had been installed, and files of others beside it. */
  function schedule(root: CleanRoot): void {
    for (const path of ['etc/cron.d', 'etc/systemd/system/timers.target.wants']) mkdirSync(root.at(path), { recursive: true });
    writeFileSync(root.at('etc/cron.d/gpuctl'), `${MARKER}\n`);
    writeFileSync(root.at('etc/systemd/system/gpuctl-sample.timer'), `${MARKER}\n`);
    symlinkSync('/etc/systemd/system/gpuctl-sample.timer', root.at('etc/systemd/system/timers.target.wants/gpuctl-sample.timer'));
    writeFileSync(root.at('etc/cron.d/others'), '# somebody else\n');
    writeFileSync(root.at('etc/systemd/system/gpuctl-exporter.service'), '# of another program\n');
  }

  it('removed, nothing starts it any more; ledger, events and configuration stay, and so does all that is not ours', () => {
    const root = useInstalled();
    schedule(root);
    writeFileSync(root.at('var/lib/gpuctl/ledger.db'), 'remembered');
    writeFileSync(root.at('var/log/gpuctl/events.jsonl'), '{}\n');
    expect(root.run('dpkg', '-r', 'gpuctl')).toMatchObject({ exitCode: 0, stderr: '' });
    for (const gone of ['usr/bin/gpuctl', 'usr/lib/gpuctl', 'etc/cron.d/gpuctl', 'etc/systemd/system/gpuctl-sample.timer', 'etc/systemd/system/timers.target.wants/gpuctl-sample.timer']) {
      expect({ gone, there: root.run('test', '-e', `/${gone}`).exitCode === 0 || root.run('test', '-L', `/${gone}`).exitCode === 0 }).toEqual({ gone, there: false });
    }
    for (const kept of ['var/lib/gpuctl/ledger.db', 'var/log/gpuctl/events.jsonl', 'etc/gpuctl/config.yaml', 'etc/cron.d/others', 'etc/systemd/system/gpuctl-exporter.service']) expect({ kept, there: existsSync(root.at(kept)) }).toEqual({ kept, there: true });
  });

  it('a cron file of that name that gpuctl did not write is left alone', () => {
    const root = useInstalled();
    mkdirSync(root.at('etc/cron.d'), { recursive: true });
    writeFileSync(root.at('etc/cron.d/gpuctl'), '# written by hand\n');
    expect(root.run('dpkg', '-r', 'gpuctl').exitCode).toBe(0);
    expect(readFileSync(root.at('etc/cron.d/gpuctl'), 'utf8')).toBe('# written by hand\n');
  });

  it('purged, its three folders go; a folder elsewhere that the configuration or a link points to stays', () => {
    const root = useRoot();
    mkdirSync(root.at('srv/state'));
    writeFileSync(root.at('srv/state/ledger.db'), 'elsewhere');
    const before = everything(root);
    install(root);
    rmSync(root.at('var/lib/gpuctl'), { recursive: true });
    symlinkSync('/srv/state', root.at('var/lib/gpuctl'));
    writeFileSync(root.at('etc/gpuctl/conf.d/local.yaml'), 'version: 1\n');
    expect(root.run('dpkg', '--purge', 'gpuctl')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(everything(root)).toEqual(before);
    expect(readFileSync(root.at('srv/state/ledger.db'), 'utf8')).toBe('elsewhere');
    expect(existsSync(root.at('var/log/gpuctl'))).toBe(false);
  });
});

describe('completion', () => {
  const script = (shell: string): string => execFileSync(join(ROOT, 'bin', 'gpuctl'), ['completion', shell], { encoding: 'utf8' });

  it.each(['bash', 'zsh', 'fish'])('the script for %s is one that it can parse', (shell) => {
    const folder = mkdtempSync(join(tmpdir(), 'gpuctl-completion-'));
    onTestFinished(() => { rmSync(folder, { recursive: true }); });
    writeFileSync(join(folder, 'script'), script(shell));
    const { status, stderr } = spawnSync(shell, ['-n', join(folder, 'script')], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('bash offers commands, their own commands, options, words and files', () => {
    const offered = (...words: readonly string[]): readonly string[] => {
      const line = words.map((word) => `'${word}'`).join(' ');
      const call = `${script('bash')}\nCOMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _gpuctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync('bash', ['-c', call], { encoding: 'utf8' }).trim().split('\n');
    };
    expect(offered('gpuctl', 'heal')).toEqual(['health-check']);
    expect(offered('gpuctl', 'config', 'sh')).toEqual(['show']);
    expect(offered('gpuctl', '--json', 'health-check', '--repa')).toEqual(['--repair']);
    expect(offered('gpuctl', 'completion', 'f')).toEqual(['fish']);
    expect(offered('gpuctl', '--config', '/etc/hostnam')).toEqual(['/etc/hostname']);
  });

  it('fish offers the same, each with its meaning', () => {
    const offered = (line: string): string => execFileSync('fish', ['--no-config', '-c', `source (${join(ROOT, 'bin', 'gpuctl')} completion fish | psub); complete -C '${line}'`], { encoding: 'utf8' });
    expect(offered('gpuctl config s')).toBe('show\tthe effective configuration and where each value comes from\n');
    expect(offered('gpuctl completion z')).toBe('zsh\n');
  });
});

describe('the manual page', () => {
  it('renders without a warning, and names every command', () => {
    const page = renderMan({ version: VERSION, date: '2026-11-22' });
    const { status, stdout, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8', '-P-cbou'], { input: page, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const help = execFileSync(join(ROOT, 'bin', 'gpuctl'), ['--help'], { encoding: 'utf8' });
    const names = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z][a-z-]+)/gm)].map(([, name]) => name ?? '').filter((name) => name !== 'help');
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) expect(stdout).toMatch(new RegExp(`gpuctl ${name.replaceAll('-', '[-‐]')}`));
  });
});

describe('the package as it is published', () => {
  beforeAll(async () => {
    if (publishing?.exitCode === null) await once(publishing, 'exit');
  });

  it('is no larger than 30 MB, which its build tells, with what it takes when it is installed', () => {
    const size = statSync(PUBLISHED).size;
    expect(size).toBeLessThanOrEqual(30_000_000);
    expect(printed).toContain(`${PUBLISHED}: ${(size / 1e6).toFixed(1)} MB (${size} bytes), `);
    expect(printed).toMatch(/ 1\d\d\.\d MB installed\n$/);
    expect(publishing?.exitCode).toBe(0);
  });

  it('passes lintian without errors and warnings', () => {
    const { status, stdout } = spawnSync('lintian', ['--allow-root', '--fail-on', 'error,warning', PUBLISHED], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('holds the same files as the one of these tests, and installs', () => {
    const filesIn = (deb: string): string => execFileSync('sh', ['-c', 'dpkg-deb --fsys-tarfile "$0" | sha256sum', deb], { encoding: 'utf8' });
    expect(filesIn(PUBLISHED)).toBe(filesIn(FAST_DEB));
    const root = useRoot();
    install(root, PUBLISHED);
    expect(root.run('gpuctl', '--version')).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n`, stderr: '' });
  });
});
