import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually, makeRoom, type Room } from './room.ts';

const SHIPPED = join(import.meta.dirname, '..', '..', 'config', 'cron.d', 'gpuctl');
/** Cron's word on what it read is complete when it says this. */
const HAS_READ = /\(CRON\) INFO \((?:Running|Skipping) @reboot jobs/;
const SYSLOG = 'busybox syslogd -n -O "$LOG" &\nwhile [ ! -S /dev/log ]; do sleep 0.05; done\n';

function installShipped(room: Room): string {
  const file = join(room.cronFolder, 'gpuctl');
  copyFileSync(SHIPPED, file);
  chmodSync(file, 0o644);
  return file;
}

/** What real cron says about the folder of the room when it starts. */
async function judgement(room: Room): Promise<string> {
  const child = room.start('sh', '-c', `LOG=${room.dir}/syslog\n${SYSLOG}exec cron -f`);
  const log = await eventually(() => room.read('syslog'), (text) => HAS_READ.test(text), 20_000);
  child.kill('SIGKILL');
  return log;
}

describe('cron itself', () => {
  it('has nothing against the shipped file', async () => {
    const room = makeRoom();
    installShipped(room);
    expect(await judgement(room)).not.toMatch(/bad|error|missing|insecure|wrong/i);
  });

  it.each([
    ['a user that it does not know', (text: string) => text.replace(' root ', ' '), 0o644, /bad username|Error/],
    ['a last line without its newline', (text: string) => text.trimEnd(), 0o644, /Missing newline before EOF/i],
    ['a file that others may write', (text: string) => text, 0o666, /INSECURE MODE/],
  ])('would tell us of %s', async (_, spoil, mode, complaint) => {
    const room = makeRoom();
    const file = installShipped(room);
    writeFileSync(file, spoil(room.read('cron.d/gpuctl')));
    chmodSync(file, mode);
    expect(await judgement(room)).toMatch(complaint);
  });

  it('starts every job of the shipped file in its minute, in the order of the hour', async () => {
    const room = makeRoom();
    room.program(`#!/bin/sh\necho "$(date +%s%N) $*" >>${room.dir}/ran\n`);
    installShipped(room);
    // An hour in a minute, for cron alone: its jobs get an environment of its own making, and tell the real time.
    room.start('faketime', '-f', '@2026-01-01 03:59:30 x60', 'sh', '-c', `env -u LD_PRELOAD date +%s%N >${room.dir}/began\nLOG=${room.dir}/syslog\n${SYSLOG}exec cron -f`);
    const lines = (text: string): readonly string[] => text.split('\n').filter(Boolean);
    const ran = lines(await eventually(() => room.read('ran'), (text) => lines(text).length >= 16, 110_000)).slice(0, 16).map((line) => {
      const [ns = '', ...args] = line.split(' ');
      const cronsTime = Date.UTC(2026, 0, 1, 3, 59, 30) + (Number(BigInt(ns) - BigInt(room.read('began').trim())) / 1e6) * 60;
      return `${new Date(cronsTime).toISOString().slice(11, 16)} ${args.join(' ')}`;
    });
    const samples = ['02', '07', '12', '17', '22', '27', '32', '37', '42', '47', '52', '57'].map((minute) => `04:${minute} sample`);
    const expected = [...samples, '04:05 release-stale', '04:20 check-idle', '04:35 enforce-runtime', '04:50 cleanup-containers'].toSorted();
    expect(ran).toEqual(expected.map((each) => `${each} --scheduled --quiet`));
  });

  it('hands what a job says to the system log', async () => {
    const room = makeRoom();
    room.program('#!/bin/sh\necho "gpuctl: 100% of it went wrong" >&2\nexit 3\n');
    installShipped(room);
    room.start('faketime', '-f', '@2026-01-01 03:01:30 x20', 'sh', '-c', `LOG=${room.dir}/syslog\n${SYSLOG}exec cron -f`);
    const log = await eventually(() => room.read('syslog'), (text) => text.includes('went wrong'), 30_000);
    expect(log).toMatch(/ gpuctl: gpuctl: 100% of it went wrong/);
  });
});
