import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyFileChange } from '../../../src/act/schedule/files.ts';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { InstalledSchedule } from '../../../src/model/schedule.ts';
import { observeInstalled } from '../../../src/observe/schedule/installed.ts';
import { renderChange } from '../../../src/schedule/diff.ts';
import { activeOf, isPredecessor, judgeInstalled, startedByHand } from '../../../src/schedule/judge.ts';
import { CRON_FILE, DAEMON_UNIT, MARKER, OWN_PATHS, PACKAGED_FOLDER, PACKAGED_PATHS, TIMERS } from '../../../src/schedule/own-files.ts';
import { planInstall, planUninstall, type Starter, wantedFiles, wantedOn } from '../../../src/schedule/plan.ts';
import { renderUnits } from '../../../src/schedule/units.ts';

const config = defaultConfig();
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gpuctl-schedule-'));
  for (const folder of ['/etc/cron.d', '/etc/systemd/system']) mkdirSync(join(root, folder), { recursive: true });
});
afterEach(() => { rmSync(root, { recursive: true }); });

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const look = (): InstalledSchedule => observeInstalled({ root, ownPaths: [...OWN_PATHS, ...PACKAGED_PATHS] });
const judge = (asked = config): readonly string[] => judgeInstalled(look(), wantedOn(look(), asked)).map(({ id, message }) => `${id}: ${message}`);
/** With a sink that the defaults do not reach. */
const posting: typeof config = { ...config, notify: { ...config.notify, admin: [{ kind: 'webhook', url: 'https://example.org/', format: 'generic' }] } };

function install(starter: Starter, asked = config): number {
  const changes = planInstall(look(), asked, starter);
  for (const change of changes) applyFileChange(change, root);
  return changes.length;
}

function enable(...units: readonly string[]): void {
  for (const unit of units) {
    const wants = join(root, '/etc/systemd/system', unit.endsWith('.timer') ? 'timers.target.wants' : 'multi-user.target.wants');
    mkdirSync(wants, { recursive: true });
    symlinkSync(`/etc/systemd/system/${unit}`, join(wants, unit));
  }
}

describe('what is installed', () => {
  it('is nothing on a bare host, which is said', () => {
    expect(judge()).toEqual(['schedule.not-installed: nothing starts the jobs of this host']);
  });

  it('is in order where cron has what the configuration asks for', () => {
    install('cron');
    expect(judge()).toEqual([]);
    expect(activeOf(look())).toEqual({ cron: true, timers: false, daemon: false });
  });

  it('is in order where all timers are enabled', () => {
    install('systemd');
    enable(...TIMERS);
    expect(judge()).toEqual([]);
    expect(activeOf(look())).toEqual({ cron: false, timers: true, daemon: false });
  });

  it('is stale where the configuration asks for something else by now', () => {
    put(CRON_FILE, `${MARKER}\n5 * * * * root /usr/bin/gpuctl release-stale\n`);
    expect(judge()).toEqual(['schedule.stale: /etc/cron.d/gpuctl is not what the configuration asks for']);
  });

  it('is twice where cron and timers, or the daemon, are active at once', () => {
    install('cron');
    for (const [path, text] of wantedFiles(config, 'systemd')) put(path, text);
    enable(...TIMERS, DAEMON_UNIT);
    expect(judge()).toEqual(['schedule.twice: cron and systemd timers and the daemon are active at once: every job starts more than once']);
  });

  it('is incomplete where some timers are not enabled', () => {
    install('systemd');
    enable(...TIMERS.slice(1));
    expect(judge()).toEqual(['schedule.incomplete: some timers are not enabled: gpuctl-release-stale.timer']);
  });

  it('includes gpuctl lines in other crontabs, by file and line', () => {
    install('cron');
    put('/etc/crontab', '# m h\nSHELL=/bin/sh\n*/10 * * * * root /usr/bin/gpuctl check-idle --quiet\n');
    put('/var/spool/cron/crontabs/root', '@hourly cd / && /usr/bin/gpuctl run-all\n30 6 * * * /usr/bin/gpuctl status\n');
    expect(judge()).toEqual([
      'schedule.foreign: /etc/crontab:3 starts gpuctl check-idle besides the schedule: */10 * * * * /usr/bin/gpuctl check-idle --quiet',
      'schedule.foreign: /var/spool/cron/crontabs/root:1 starts gpuctl run-all besides the schedule: @hourly cd / && /usr/bin/gpuctl run-all',
    ]);
  });

  it('may be what an admin wrote himself: then it is not said that nothing starts the jobs, but which are left out', () => {
    put('/etc/crontab', '5 * * * * root /usr/bin/gpuctl run-all\n');
    const line = 'schedule.foreign: /etc/crontab:1 starts gpuctl run-all, which gpuctl did not install: 5 * * * * /usr/bin/gpuctl run-all';
    expect(judge()).toEqual(['schedule.not-installed: nothing on this host starts sample', line]);
    expect([...startedByHand(look())]).not.toContain('sample');
    put('/etc/cron.d/site', '*/5 * * * * root /usr/bin/gpuctl sample\n');
    expect(judge().filter((each) => each.startsWith('schedule.not-installed'))).toEqual([]);
    expect(judge()).toContain(line);
  });

  it('includes what a timer of somebody else starts', () => {
    install('cron');
    put('/etc/systemd/system/nightly.timer', '[Timer]\nOnCalendar=daily\nUnit=clean.service\n');
    put('/etc/systemd/system/clean.service', '[Service]\nExecStart=-/opt/scripts/cleanup-stale-containers.sh --now\n');
    enable('nightly.timer');
    expect(judge()).toEqual(['schedule.predecessor: /etc/systemd/system/nightly.timer starts a script that gpuctl replaces: daily /opt/scripts/cleanup-stale-containers.sh --now']);
  });

  it('includes the scripts that gpuctl replaces', () => {
    install('cron');
    put('/var/spool/cron/crontabs/root', [
      '5 * * * * /opt/ds01/scripts/cleanup-stale-gpu-allocations.sh >> /var/log/x.log 2>&1',
      '20 * * * * bash /opt/ds01/scripts/check-idle-containers.sh',
      '35 * * * * /usr/bin/python3 /opt/ds01/scripts/enforce-max-runtime-containers.py',
      '50 * * * * /opt/ds01/scripts/cleanup-stale-containers.sh',
      '0 3 * * * /usr/local/bin/backup-containers.sh', '',
    ].join('\n'));
    expect(judge().map((each) => each.split(' ').slice(0, 2).join(' '))).toEqual([1, 2, 3, 4].map((line) => `schedule.predecessor: /var/spool/cron/crontabs/root:${line}`));
  });

  it('passes over files that cron passes over', () => {
    install('cron');
    put('/etc/cron.d/gpuctl.dpkg-old', '5 * * * * root /usr/bin/gpuctl release-stale\n');
    expect(judge()).toEqual([]);
  });

  it('is not known where something could not be read', () => {
    install('cron');
    mkdirSync(join(root, '/var/spool/cron/crontabs/odd'), { recursive: true });
    expect(judge()).toEqual(['schedule.unread: /var/spool/cron/crontabs/odd could not be read (is not a regular file): what it starts is not known']);
  });

  it('is data: a crontab cannot drive the terminal that shows it', () => {
    install('cron');
    put('/etc/crontab', '5 * * * * root /usr/bin/gpuctl run-all \u001b[2J\n');
    expect(judge().join('')).not.toContain('\u001b');
  });
});

describe('a unit of the package', () => {
  /** As `dpkg` leaves them, and somebody enables them. */
  function unpack(...enabled: readonly string[]): void {
    for (const [name, text] of Object.entries(renderUnits(config))) put(`${PACKAGED_FOLDER}/${name}`, text);
    enable(...enabled);
  }

  it('is in order where it is enabled and does what the configuration asks for, and nobody’s business where it is not enabled', () => {
    unpack(DAEMON_UNIT);
    expect([judge(), activeOf(look())]).toEqual([[], { cron: false, timers: false, daemon: true }]);
    expect(judgeInstalled(look(), wantedOn(look(), posting)).map(({ message, remedy }) => [message, remedy])).toEqual([[`${PACKAGED_FOLDER}/gpuctl-daemon.service is not what the configuration asks for`, 'gpuctl schedule install --daemon']]);
  });

  it('that is a timer brings its service with it', () => {
    unpack(...TIMERS);
    expect(judge()).toEqual([]);
    const later = { ...config, schedule: { ...config.schedule, sample: '4-59/5 * * * *' } };
    expect(judge(later)).toEqual([`schedule.stale: ${PACKAGED_FOLDER}/gpuctl-sample.timer is not what the configuration asks for`]);
    expect(judge(posting).toSorted()).toEqual(TIMERS.map((name) => `schedule.stale: ${PACKAGED_FOLDER}/${name.replace('.timer', '.service')} is not what the configuration asks for`).toSorted());
  });

  it('counts no more where another lies before it', () => {
    unpack(DAEMON_UNIT);
    expect(install('daemon', posting)).toBe(2);
    expect([judge(posting), judge()]).toEqual([[], ['schedule.stale: /etc/systemd/system/gpuctl-daemon.service is not what the configuration asks for']]);
    expect(readdirSync(join(root, '/etc/systemd/system')).toSorted()).toEqual([DAEMON_UNIT, 'gpuctl.slice', 'multi-user.target.wants']);
  });
});

describe('a script that gpuctl replaces', () => {
  it.each(['/opt/x/check-idle-containers.sh', 'bash /srv/cleanup-stale-gpu-allocations', 'python3 gpu_idle_check.py', 'cd /x && ./container-runtime-limit.py'])('is recognised: %s', (command) => {
    expect(isPredecessor(command)).toBe(true);
  });
  it.each(['/usr/bin/gpuctl check-idle', '/usr/bin/gpuctl cleanup-containers', 'docker container prune', '/usr/sbin/logrotate /etc/logrotate.conf', 'dcgm-gpu-metrics.sh', 'run-parts /etc/cron.hourly'])('is not anything else: %s', (command) => {
    expect(isPredecessor(command)).toBe(false);
  });
});

describe('an installation', () => {
  it('writes what root and cron can read, and a second one has nothing to do', () => {
    expect(install('cron')).toBe(1);
    expect(lstatSync(join(root, CRON_FILE)).mode & 0o777).toBe(0o644);
    expect(readdirSync(join(root, '/etc/cron.d'))).toEqual(['gpuctl']);
    expect(install('cron')).toBe(0);
  });

  it('is readable for cron whatever the umask is', () => {
    const before = process.umask(0o077);
    try {
      install('cron');
    } finally {
      process.umask(before);
    }
    expect(lstatSync(join(root, CRON_FILE)).mode & 0o777).toBe(0o644);
  });

  it('replaces a file of an earlier format', () => {
    put(CRON_FILE, '# Managed by gpuctl (format 0): old\n');
    expect(install('cron')).toBe(1);
  });

  it('refuses to leave two starters active', () => {
    install('cron');
    expect(() => planInstall(look(), config, 'systemd')).toThrow('the jobs are started by cron (/etc/cron.d/gpuctl) already');
    rmSync(join(root, CRON_FILE));
    enable(DAEMON_UNIT);
    expect(() => planInstall(look(), config, 'cron')).toThrow('the jobs are started by the daemon already');
    expect(() => planInstall(look(), config, 'systemd')).toThrow('the jobs are started by the daemon already');
    enable(...TIMERS);
    expect(() => planInstall(look(), config, 'daemon')).toThrow('the jobs are started by systemd timers already');
  });

  it('leaves a file that gpuctl did not write', () => {
    put(CRON_FILE, '# mine\n');
    expect(() => planInstall(look(), config, 'cron')).toThrow('was not written by gpuctl: it is left alone');
    rmSync(join(root, CRON_FILE));
    symlinkSync('/etc/passwd', join(root, CRON_FILE));
    expect(() => planInstall(look(), config, 'cron')).toThrow('is a link: it is left alone');
  });

  it('writes nothing where somebody else has changed the file since it was shown', () => {
    const [change] = planInstall(look(), config, 'cron');
    put(CRON_FILE, '# quicker than you\n');
    expect(() => { applyFileChange(change!, root); }).toThrow('has changed since it was looked at');
    expect(readFileSync(join(root, CRON_FILE), 'utf8')).toBe('# quicker than you\n');
  });
});

describe('the removal', () => {
  it('takes away what gpuctl wrote and leaves the rest', () => {
    install('cron');
    put('/etc/systemd/system/gpuctl-sample.timer', '# somebody else\'s\n');
    const { changes, left } = planUninstall(look());
    for (const change of changes) applyFileChange(change, root);
    expect(changes.map(({ path }) => path)).toEqual([CRON_FILE]);
    expect(left).toEqual(['/etc/systemd/system/gpuctl-sample.timer']);
    expect(readdirSync(join(root, '/etc/cron.d'))).toEqual([]);
  });
});

describe('the diff', () => {
  it('shows what goes, what comes and what stays', () => {
    expect(renderChange({ path: '/x', before: { state: 'text', text: 'a\nb\nc\n' }, text: 'a\nB\nc\nd\n' })).toBe('--- /x\n+++ /x\n a\n-b\n+B\n c\n+d\n');
    expect(renderChange({ path: '/x', before: { state: 'absent' }, text: 'a\n' })).toBe('--- /dev/null\n+++ /x\n+a\n');
    expect(renderChange({ path: '/x', before: { state: 'text', text: 'a\u001b[2J\n' }, text: null })).toBe('--- /x\n+++ /dev/null\n-a\\u{1b}[2J\n');
  });
});
