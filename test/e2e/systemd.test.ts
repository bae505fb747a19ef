import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { idOf, useEngine } from '../cli/fake-engine.ts';
import { expectValidEvents, useHost } from '../cli/workbench.ts';
import { readLines } from '../hostsim/gpuctl-call.ts';
import type { Host } from '../hostsim/host.ts';
import { buildFastDeb, FAST_DEB, laterDeb } from './debs.ts';
import { eventually } from './room.ts';

/**
 * A systemd of its own, booted on an overlay of this machine, on which probe.sh runs once. It has the simulated nvidia-smi and
 * the engine's socket. It is a host to gpuctl: that its pid namespace is not this machine's is kept from the runtime, which the
 * package installs beside a stand-in that says so.
 */
const BOOT = `set -e
D=$1
mount -t tmpfs tmpfs "$D/upper"
mkdir "$D/upper/files" "$D/upper/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$D/upper/files,workdir=$D/upper/work" "$D/root"
R=$D/root
: >"$R/etc/machine-id"
rm -rf "$R"/etc/systemd/system/*.wants "$R"/etc/systemd/system/gpuctl* "$R/var/lib/gpuctl" "$R/var/log/gpuctl" "$R/etc/gpuctl" "$R/etc/cron.d/gpuctl" "$R/usr/bin/gpuctl" "$R/usr/lib/gpuctl"
mkdir -p "$R/usr/lib/gpuctl" "$R/etc/gpuctl/conf.d" "$R/etc/systemd/system/multi-user.target.wants" "$R/srv/test"
cp -r "$D/simulated" "$R/usr/lib/simulated"
ln -sf ../lib/simulated/bin/nvidia-smi "$R/usr/bin/nvidia-smi"
dpkg-divert --root="$R" --quiet --no-rename --divert /usr/lib/gpuctl/runtime --add /usr/lib/gpuctl/node
printf '#!/bin/sh\\nexec /usr/lib/gpuctl/runtime --require /usr/lib/simulated/as-host.cjs "$@"\\n' >"$R/usr/lib/gpuctl/node"
chmod 755 "$R/usr/lib/gpuctl/node"
cp "$D/test.yaml" "$R/etc/gpuctl/conf.d/"
chmod -R go-w "$R/etc/gpuctl"
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh /srv/test/probe.sh\\n[Unit]\\nAfter=basic.target\\n' >"$R/etc/systemd/system/probe.service"
ln -s ../probe.service "$R/etc/systemd/system/multi-user.target.wants/probe.service"
# A cgroup of its own, so that what the machine leaves there can be removed with it.
for at in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
	[ -e "$at/cgroup.procs" ] || continue
	mkdir "$at/\${D##*/}"
	echo $$ >"$at/\${D##*/}/cgroup.procs"
done
systemd-nspawn --directory="$R" --boot --register=no --keep-unit --quiet --console=pipe --bind="$D/test:/srv/test" --bind="$2:/srv/engine.sock" --bind-ro="$3:/srv/gpuctl.deb" --bind-ro="$4:/srv/later.deb" </dev/null >"$D/console" 2>&1 &
read -r _ || :
kill "$!"
wait "$!" || :
for at in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
	[ -d "$at/\${D##*/}" ] || continue
	echo $$ >"$at/cgroup.procs"
	find "$at/\${D##*/}" -depth -type d -exec rmdir {} +
done`;

/** Loaded into the runtime before gpuctl. */
const AS_HOST = `const fs = require('node:fs');
const { readlinkSync } = fs;
const own = readlinkSync('/proc/self/ns/pid');
fs.readlinkSync = (...args) => {
  const target = readlinkSync(...args);
  return target === own ? 'pid:[4026531836]' : target;
};
`;

const PASSES = ['release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers', 'sample'];
/** Every job is far away, so that nothing but the test starts one. */
const CONFIG = { version: 1, engine: { host: 'unix:///srv/engine.sock' }, schedule: Object.fromEntries(PASSES.map((job, hour) => [job, `30 ${hour} 31 12 *`])) };

interface Machine {
  /** Where probe.sh leaves what it has to say. */
  readonly dir: string;
  read(name: string): string;
}

function boot(host: Host, engineSocket: string, probe: string): Machine {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-machine-'));
  for (const name of ['upper', 'root', 'test', 'simulated']) mkdirSync(join(dir, name));
  layStage(host, join(dir, 'simulated'));
  writeFileSync(join(dir, 'test.yaml'), stringify(CONFIG), { mode: 0o644 });
  writeFileSync(join(dir, 'test', 'probe.sh'), probe);
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', BOOT, 'sh', dir, engineSocket, FAST_DEB, laterDeb()], { stdio: ['pipe', 'ignore', 'inherit'] });
  onTestFinished(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once('exit', () => { resolve(); });
    // Its input ends: it shuts the machine down and goes.
    child.stdin.end();
    await promise;
    rmSync(dir, { recursive: true, force: true });
  });
  const at = join(dir, 'test');
  return { dir: at, read: (name) => (readdirSync(at).includes(name) ? readFileSync(join(at, name), 'utf8') : '') };
}

/** An nvidia-smi that only prints, as units have a file system of their own that they cannot write to. */
function layStage(host: Host, folder: string): void {
  host.makeSmiInstant();
  for (const name of ['bin', 'answers']) cpSync(join(host.dir, name), join(folder, name), { recursive: true });
  const script = readFileSync(host.smiPath, 'utf8').replaceAll(join(host.dir, 'calls.jsonl'), '/dev/null').replaceAll(host.dir, '/usr/lib/simulated');
  writeFileSync(join(folder, 'bin', 'nvidia-smi'), script, { mode: 0o755 });
  writeFileSync(join(folder, 'as-host.cjs'), AS_HOST);
}

/** What the probe says, a line each; what gpuctl, dpkg and systemctl say besides is for people. */
const PROBE = `exec >/srv/test/probe 2>/srv/test/errors
say() { echo "$@"; }
show() { systemctl show --value -p "$2" "$1"; }
active() { systemctl list-units --plain --no-legend 'gpuctl*' | cut -d ' ' -f 1 | grep -v slice | xargs; }
running() { for exe in /proc/[0-9]*/exe; do readlink "$exe"; done | grep -c ^/usr/lib/gpuctl/; }
dpkg -i /srv/gpuctl.deb >&2 && say installed, runs: "$(active)"
gpuctl schedule install --systemd --quiet && say scheduled "$(ls /etc/systemd/system/timers.target.wants | xargs)"
gpuctl schedule check --quiet; say check $?
gpuctl schedule install --cron --quiet || say second refused
# Each timer as it is, but for when: one after the other, from now on.
n=0
for job in release-stale check-idle enforce-runtime cleanup-containers; do
	mkdir "/etc/systemd/system/gpuctl-$job.timer.d"
	n=$((n + 1))
	printf '[Timer]\\nOnCalendar=\\nOnActiveSec=%ss\\n' $((2 * n)) >"/etc/systemd/system/gpuctl-$job.timer.d/test.conf"
done
mkdir /etc/systemd/system/gpuctl-sample.timer.d
printf '[Timer]\\nOnCalendar=\\nOnCalendar=*-*-* *:*:0/15\\n' >/etc/systemd/system/gpuctl-sample.timer.d/test.conf
systemctl daemon-reload
systemctl restart 'gpuctl-*.timer'
for job in release-stale check-idle enforce-runtime cleanup-containers sample; do
	# A sample that meets a pass skips (75): the next one is waited for.
	until [ "$(show gpuctl-$job.service ExecMainExitTimestampMonotonic)" != 0 ] && [ "$(show gpuctl-$job.service ActiveState)" != activating ] && [ "$(show gpuctl-$job.service ExecMainStatus)" != 75 ]; do sleep 0.2; done
	say "$job" "$(show gpuctl-$job.service Result)" "$(show gpuctl-$job.service ExecMainStatus)"
done
say shown to "$(stat -c '%U %a' /var/lib/gpuctl/why/*)"
rm -r /etc/systemd/system/gpuctl-*.timer.d
gpuctl schedule uninstall --quiet && say unscheduled "$(ls /etc/systemd/system | grep gpuctl)" "$(systemctl list-timers --all --no-legend 'gpuctl-*')"
dpkg -i /srv/later.deb >&2 && say upgraded, daemon "$(show gpuctl-daemon.service ActiveState)"
systemctl start gpuctl-daemon.service && say daemon "$(show gpuctl-daemon.service ActiveState)"
before=$(show gpuctl-daemon.service MainPID)
dpkg -i --force-downgrade /srv/gpuctl.deb >&2 && say changed, daemon "$(show gpuctl-daemon.service ActiveState)"
[ "$before" != "$(show gpuctl-daemon.service MainPID)" ] && say it is another
systemctl stop gpuctl-daemon.service; say daemon "$(show gpuctl-daemon.service ActiveState)" "$(show gpuctl-daemon.service Result)"
# In disorder: the timers and the daemon.
gpuctl schedule install --systemd --quiet; systemctl start gpuctl-daemon.service
say before its removal "$(running)": "$(active)"
cp /var/lib/gpuctl/ledger.db* /var/log/gpuctl/events.jsonl /srv/test/
dpkg -r gpuctl >&2 && say removed, processes "$(running)", units "$(active)", files "$(find /etc/systemd /etc/cron.d /usr/lib/systemd -name 'gpuctl*' | xargs)", kept "$(ls /var/lib/gpuctl/ledger.db /var/log/gpuctl/events.jsonl | xargs)"
dpkg --purge gpuctl >&2 && say purged "$(find /etc /var/lib /var/log -path /var/lib/dpkg -prune -o -name 'gpuctl*' -print | xargs)"
say end
`;

const TIMERS = PASSES.map((job) => `gpuctl-${job}.timer`).toSorted();
const RAN = PASSES.map((job) => `${job} success 0`);

beforeAll(() => { buildFastDeb(); });

describe('a booted systemd', () => {
  it('runs the passes of the timers and the daemon of the package, through its upgrade to its removal', async () => {
    const host = useHost({ gpus: 2 });
    const engine = await useEngine(host, [{ id: idOf('a1'), name: 'training', gpus: [host.gpu(0).uuid], labels: { 'gpuctl.owner': 'games' } }]);
    const machine = boot(host, engine.socketPath, PROBE);
    const probe = await eventually(() => machine.read('probe'), (text) => text.endsWith('end\n'), 100_000).catch((error: unknown) => { throw new Error(machine.read('errors'), { cause: error }); });
    expect(probe.split('\n').map((line) => line.trim())).toEqual([
      'installed, runs:',
      `scheduled ${TIMERS.join(' ')}`,
      'check 0',
      'second refused',
      ...RAN,
      'shown to games 400',
      'unscheduled',
      'upgraded, daemon inactive',
      'daemon active',
      'changed, daemon active',
      'it is another',
      'daemon inactive success',
      `before its removal 1: gpuctl-daemon.service ${TIMERS.join(' ')}`,
      'removed, processes 0, units , files , kept /var/lib/gpuctl/ledger.db /var/log/gpuctl/events.jsonl',
      'purged',
      'end', '',
    ]);
    const db = new DatabaseSync(join(machine.dir, 'ledger.db'), { readOnly: true });
    onTestFinished(() => { db.close(); });
    const passes = db.prepare('SELECT job, started_at, exit FROM passes ORDER BY started_at').all();
    expect(passes.filter(({ job }) => job !== 'sample')).toEqual(PASSES.slice(0, 4).map((job) => ({ job, exit: 0, started_at: expect.any(Number) as number })));
    const samples = passes.filter(({ job }) => job === 'sample');
    expect(samples.length).toBeGreaterThan(0);
    // AccuracySec is a second; the program needs a moment to begin.
    for (const { started_at, exit } of samples) expect({ inTime: Number(started_at) % 15_000 < 5000, exit }).toEqual({ inTime: true, exit: 0 });
    expect(db.prepare('SELECT container_name AS name FROM allocations').all()).toEqual([{ name: 'training' }]);
    const events = readLines(join(machine.dir, 'events.jsonl'));
    expectValidEvents(events);
    // No unit keeps its pass from anything that it does.
    expect(events.map((event) => String(event['message'])).filter((message) => message.includes('could not'))).toEqual([]);
  });
});
