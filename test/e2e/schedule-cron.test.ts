import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { idOf, useEngine } from '../cli/fake-engine.ts';
import { eventsOf, REPOSITORY, useHost } from '../cli/workbench.ts';
import { eventually, makeRoom, type Room } from './room.ts';

const SHIPPED = join(import.meta.dirname, '..', '..', 'config', 'cron.d', 'gpuctl');
/** Cron's word on what it read is complete when it says this. */
const HAS_READ = /\(CRON\) INFO \((?:Running|Skipping) @reboot jobs/;
const SYSLOG = 'setpriv --pdeathsig KILL busybox syslogd -n -O "$LOG" &\nwhile [ ! -S /dev/log ]; do sleep 0.05; done\n';

const CRON_BEGINS = '2026-01-01 04:00:30';
const SPEED = 40;

/**
 * The real gpuctl, which takes for the present the time at which cron starts it. Cron gives its jobs an environment of their
 * own, so they would tell the real time; and on cron's hurried clock a deadline of a second would be over at once. The host
 * has been up for an hour when cron begins.
 */
function gpuctlOnCronsClock({ dir }: Room): string {
  const [node, start] = [join(REPOSITORY, 'node_modules', '.bin', 'node'), join(REPOSITORY, 'dist', 'start.cjs')];
  return `#!/bin/sh
passed=$((($(date +%s%N) - $(cat ${dir}/began)) * ${SPEED} / 1000000000))
now=$(($(date -ud '${CRON_BEGINS}' +%s) + passed))
echo "$((3600 + passed)).00 1.00" >/proc/uptime
DONT_FAKE_MONOTONIC=1 TZ=UTC exec faketime -f "@$(date -ud "@$now" '+%F %T')" '${node}' '${start}' "$@"
`;
}

/** The passes of a ledger in their order, each with its minute and its exit code; null: it goes on. */
function passesIn(ledger: string): readonly { readonly begun: string; readonly exit: unknown }[] {
  const db = new DatabaseSync(ledger, { readOnly: true, timeout: 5000 });
  const rows = db.prepare('SELECT job, started_at, exit FROM passes ORDER BY started_at').all();
  db.close();
  return rows.map(({ job, started_at, exit }) => ({ begun: `${new Date(Number(started_at)).toISOString().slice(11, 16)} ${String(job)}`, exit }));
}

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
    ['a user that it does not know', (text: string) => text.replace(/^(\d.*?) root /m, '$1 '), 0o644, /bad username|Error/],
    ['a last line without its newline', (text: string) => text.trimEnd(), 0o644, /Missing newline before EOF/i],
    ['a file that others may write', (text: string) => text, 0o666, /INSECURE MODE/],
  ])('would tell us of %s', async (_, spoil, mode, complaint) => {
    const room = makeRoom();
    const file = installShipped(room);
    writeFileSync(file, spoil(room.read('cron.d/gpuctl')));
    chmodSync(file, mode);
    expect(await judgement(room)).toMatch(complaint);
  });

  it('runs every pass of the shipped file in its minute, in the order of the hour, as the ledger tells', async () => {
    const room = makeRoom();
    const host = useHost({ gpus: 2 });
    await useEngine(host, [{ id: idOf('a1'), name: 'training', gpus: [host.gpu(0).uuid] }]);
    room.config(readFileSync(host.configPath, 'utf8'));
    room.uptime(3600);
    room.program(gpuctlOnCronsClock(room));
    installShipped(room);
    // An hour in a minute and a half, for cron alone: a pass may take three seconds before it is in the next one's way.
    room.startOnHost('faketime', '-f', `@${CRON_BEGINS} x${SPEED}`, 'sh', '-c', `env -u LD_PRELOAD date +%s%N >${room.dir}/began\nLOG=${room.dir}/syslog\n${SYSLOG}exec cron -f`);
    await eventually(() => eventsOf(host.events(), 'pass.ended').length, (count) => count >= 16, 150_000);
    const samples = ['02', '07', '12', '17', '22', '27', '32', '37', '42', '47', '52', '57'].map((minute) => `04:${minute} sample`);
    const expected = [...samples, '04:05 release-stale', '04:20 check-idle', '04:35 enforce-runtime', '04:50 cleanup-containers'].toSorted();
    expect(passesIn(join(host.stateDir, 'ledger.db')).slice(0, 16)).toEqual(expected.map((begun) => ({ begun, exit: 0 })));
    expect(room.read('syslog')).not.toMatch(/ gpuctl: /);
  }, 180_000);

  it('hands what a job says to the system log', async () => {
    const room = makeRoom();
    room.program('#!/bin/sh\necho "gpuctl: 100% of it went wrong" >&2\nexit 3\n');
    installShipped(room);
    room.start('faketime', '-f', '@2026-01-01 03:01:30 x20', 'sh', '-c', `LOG=${room.dir}/syslog\n${SYSLOG}exec cron -f`);
    const log = await eventually(() => room.read('syslog'), (text) => text.includes('went wrong'), 30_000);
    expect(log).toMatch(/ gpuctl: gpuctl: 100% of it went wrong/);
  });
});
