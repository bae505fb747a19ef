import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asUser, expectValidEvents, GPUCTL, REPOSITORY } from '../cli/workbench.ts';
import { readLines } from '../hostsim/gpuctl-call.ts';
import { makeRoom, type Room } from './room.ts';

const SHIPPED = readFileSync(join(REPOSITORY, 'config', 'cron.d', 'gpuctl'), 'utf8');

/** A systemctl that says what it was asked, on a host where systemd runs. */
const SYSTEMD = 'mkdir -p /run/systemd/system; printf \'#!/bin/sh\\necho "$@" >>%s/asked\\n\' "$1" >/usr/bin/systemctl; chmod 755 /usr/bin/systemctl; shift; exec "$@"';
const withSystemd = (room: Room, ...command: readonly string[]): ReturnType<Room['run']> => room.run('sh', '-c', SYSTEMD, 'sh', room.dir, ...command);
const events = (room: Room): ReturnType<typeof readLines> => readLines(join(room.dir, 'log', 'events.jsonl'));

describe('gpuctl schedule install --cron', () => {
  it('shows what it writes, writes the shipped file, and has nothing to do a second time', () => {
    const room = makeRoom();
    const dry = room.run(GPUCTL, 'schedule', 'install', '--cron', '--dry-run');
    expect(dry.stdout).toContain('+5 * * * * root /usr/bin/gpuctl release-stale --scheduled');
    expect(readdirSync(room.cronFolder)).toEqual([]);
    expect(room.run(GPUCTL, 'schedule', 'install', '--cron')).toMatchObject({ status: 0, stdout: dry.stdout });
    expect(room.read('cron.d/gpuctl')).toBe(SHIPPED);
    expect(room.run(GPUCTL, 'schedule', 'install', '--cron')).toMatchObject({ status: 0, stdout: 'Nothing to do.\n' });
    expect(room.run(GPUCTL, 'schedule', 'check')).toMatchObject({ status: 0 });
  });

  it('writes the schedule of the configuration, and check tells when that has changed since', () => {
    const room = makeRoom();
    room.config('version: 1\nschedule: { check-idle: "22 * * * *" }\n');
    expect(room.run(GPUCTL, 'schedule', 'install', '--cron').status).toBe(0);
    expect(room.read('cron.d/gpuctl')).toContain('22 * * * * root /usr/bin/gpuctl check-idle');
    room.config('version: 1\n');
    const check = room.run(GPUCTL, 'schedule', 'check');
    expect(check).toMatchObject({ status: 1 });
    expect(check.stdout).toContain('schedule.stale: /etc/cron.d/gpuctl');
  });

  it('refuses a schedule that collides, with the two jobs, the minute and the date, and tells the event stream', () => {
    const room = makeRoom();
    room.config('version: 1\nschedule:\n  check-idle: "35 4 29 2 *"\n');
    for (const command of [['schedule', 'install', '--cron'], ['config', 'check'], ['schedule', 'check']]) {
      const { status, stderr } = room.run(GPUCTL, ...command);
      expect(status).toBe(2);
      expect(stderr).toMatch(/config\.yaml:3:1: schedule\.enforce-runtime|schedule\.enforce-runtime: check-idle and enforce-runtime start in the same minute: first at \d{4}-02-29 04:35/);
    }
    expect(readdirSync(room.cronFolder)).toEqual([]);
    expectValidEvents(events(room));
    expect(events(room).map((event) => [event['event.action'], event['event.reason'], event['gpuctl.jobs']])).toEqual(Array.from({ length: 3 }, () => ['schedule.collision', 'same-minute', ['check-idle', 'enforce-runtime']]));
  });

  it('leaves a file of somebody else, and so does the removal', () => {
    const room = makeRoom();
    writeFileSync(join(room.cronFolder, 'gpuctl'), '# mine\n');
    expect(room.run(GPUCTL, 'schedule', 'install', '--cron')).toMatchObject({ status: 2 });
    expect(room.run(GPUCTL, 'schedule', 'uninstall').stderr).toContain('/etc/cron.d/gpuctl was not written by gpuctl; it is left alone');
    expect(room.read('cron.d/gpuctl')).toBe('# mine\n');
  });

  it('is for root alone; anybody may see what it would do', () => {
    const room = makeRoom();
    // Where the checkout lies a user may not look: in the room it lies where he may.
    const install = 'cp -L "$1/node_modules/.bin/node" /dev/shm/node; cp "$1"/dist/*.cjs /dev/shm/; shift; exec "$@"';
    const asNobody = (...args: readonly string[]): ReturnType<Room['run']> => room.run('sh', '-c', install, 'sh', REPOSITORY, ...asUser('/dev/shm/node', '/dev/shm/gpuctl.cjs', ...args));
    expect(asNobody('schedule', 'install', '--cron')).toMatchObject({ status: 2, stderr: expect.stringContaining('only root may change') });
    expect(asNobody('schedule', 'install', '--cron', '--dry-run')).toMatchObject({ status: 0, stdout: expect.stringContaining('+5 * * * * root') });
    expect(readdirSync(room.cronFolder)).toEqual([]);
  });
});

describe('gpuctl schedule install --systemd', () => {
  it('writes the shipped units, makes systemd read them and enables the timers; uninstall undoes it', () => {
    const room = makeRoom();
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--systemd')).toMatchObject({ status: 0, stderr: '' });
    expect(readdirSync(room.unitFolder).toSorted()).toEqual(readdirSync(join(REPOSITORY, 'systemd')).toSorted());
    for (const name of readdirSync(room.unitFolder)) expect(room.read(`system/${name}`)).toBe(readFileSync(join(REPOSITORY, 'systemd', name), 'utf8'));
    const timers = 'gpuctl-release-stale.timer gpuctl-check-idle.timer gpuctl-enforce-runtime.timer gpuctl-cleanup-containers.timer gpuctl-sample.timer';
    expect(room.read('asked')).toBe(`daemon-reload\nenable --now ${timers}\n`);
    expect(withSystemd(room, GPUCTL, 'schedule', 'uninstall')).toMatchObject({ status: 0 });
    expect(readdirSync(room.unitFolder)).toEqual([]);
  });

  it('that systemd does not go along with says what is left to do, as another run finds nothing to change', () => {
    const room = makeRoom();
    const failing = SYSTEMD.replace('echo "$@"', 'case "$1" in enable) exit 1;; esac; echo "$@"');
    const { status, stderr } = room.run('sh', '-c', failing, 'sh', room.dir, GPUCTL, 'schedule', 'install', '--systemd');
    expect({ status, stderr }).toMatchObject({ status: 4, stderr: expect.stringMatching(/enable --now .* failed: exit 1[^]*the files are changed; left to do by hand: systemctl enable --now gpuctl-release-stale\.timer/) });
    expect(readdirSync(room.unitFolder).toSorted()).toEqual(readdirSync(join(REPOSITORY, 'systemd')).toSorted());
  });

  it('is refused where cron has the schedule, and where systemd does not run', () => {
    const room = makeRoom();
    expect(room.run(GPUCTL, 'schedule', 'install', '--systemd')).toMatchObject({ status: 2, stderr: expect.stringContaining('systemd does not run') });
    expect(room.run(GPUCTL, 'schedule', 'install', '--cron')).toMatchObject({ status: 0 });
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--systemd')).toMatchObject({ status: 2, stderr: expect.stringContaining('started by cron') });
    expect(readdirSync(room.unitFolder)).toEqual([]);
  });
});

describe('gpuctl schedule install --daemon', () => {
  it('writes and starts the daemon alone, and again where the configuration asks for something else', () => {
    const room = makeRoom();
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--daemon')).toMatchObject({ status: 0, stderr: '' });
    expect(readdirSync(room.unitFolder).toSorted()).toEqual(['gpuctl-daemon.service', 'gpuctl.slice']);
    expect(room.read('system/gpuctl-daemon.service')).toBe(readFileSync(join(REPOSITORY, 'systemd', 'gpuctl-daemon.service'), 'utf8'));
    mkdirSync(join(room.unitFolder, 'multi-user.target.wants'));
    symlinkSync('/etc/systemd/system/gpuctl-daemon.service', join(room.unitFolder, 'multi-user.target.wants', 'gpuctl-daemon.service'));
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--daemon')).toMatchObject({ status: 0, stdout: 'Nothing to do.\n' });
    room.config('version: 1\nnotify: { admin: [{ webhook: "https://example.org/hook" }] }\n');
    expect(room.run(GPUCTL, 'schedule', 'check').stdout).toContain('gpuctl schedule install --daemon');
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--daemon')).toMatchObject({ status: 0, stdout: expect.stringContaining('+RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6') });
    expect(room.read('asked')).toBe('daemon-reload\nenable --now gpuctl-daemon.service\ndaemon-reload\nrestart gpuctl-daemon.service\n');
    expect(withSystemd(room, GPUCTL, 'schedule', 'install', '--systemd')).toMatchObject({ status: 2, stderr: expect.stringContaining('started by the daemon') });
    for (const both of [['--daemon', '--cron'], []]) expect(room.run(GPUCTL, 'schedule', 'install', ...both)).toMatchObject({ status: 2, stderr: expect.stringContaining('one of --cron, --systemd and --daemon is needed') });
  });
});

describe('a scheduled pass', () => {
  it('does not act in the first five minutes after boot, and says so; exit 0', () => {
    const room = makeRoom();
    room.uptime(42);
    expect(room.run(GPUCTL, 'release-stale', '--scheduled')).toMatchObject({ status: 0, stderr: expect.stringContaining('the host has been up for 42 s') });
    expectValidEvents(events(room));
    expect(events(room)).toMatchObject([{ 'event.action': 'pass.refused', 'event.reason': 'just-booted', 'gpuctl.job': 'release-stale' }]);
  });

  it('acts by hand, and later', () => {
    const young = makeRoom();
    young.uptime(42);
    young.run(GPUCTL, 'release-stale');
    expect(events(young)[0]).toMatchObject({ 'event.action': 'pass.started' });
    const settled = makeRoom();
    settled.uptime(300);
    settled.run(GPUCTL, 'release-stale', '--scheduled');
    expect(events(settled)[0]).toMatchObject({ 'event.action': 'pass.started' });
  });

  it('does not act where the uptime is not known', () => {
    const room = makeRoom();
    room.uptime(NaN);
    expect(room.run(GPUCTL, 'release-stale', '--scheduled')).toMatchObject({ status: 3 });
    expect(events(room)).toEqual([]);
  });
});
