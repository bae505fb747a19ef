import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { renderCalendar } from '../../../src/schedule/calendar.ts';
import { renderCronFile } from '../../../src/schedule/cron-file.ts';
import { renderUnits } from '../../../src/schedule/units.ts';
import { renderShipped } from '../../../tools/generate-schedule.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const config = defaultConfig();
const shipped = Object.entries(renderShipped());

describe('the shipped schedule', () => {
  it.each(shipped)('%s is committed as the default schedule makes it (else run: node tools/generate-schedule.ts)', (path, text) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toBe(text);
  });

  it('has no file that nobody makes', () => {
    const there = ['config/cron.d', 'systemd'].flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => `${folder}/${name}`));
    expect(there.toSorted()).toEqual(shipped.map(([path]) => path).toSorted());
  });
});

describe('the cron file', () => {
  const text = renderCronFile(config.schedule);
  const jobs = text.split('\n').filter((line) => /^\d/.test(line));

  it('starts the four passes at :05, :20, :35, :50 in their order, and the sampler between them, as root', () => {
    expect(jobs.map((line) => line.split(' ').slice(0, 8))).toEqual([
      ['5', '*', '*', '*', '*', 'root', '/usr/bin/gpuctl', 'release-stale'],
      ['20', '*', '*', '*', '*', 'root', '/usr/bin/gpuctl', 'check-idle'],
      ['35', '*', '*', '*', '*', 'root', '/usr/bin/gpuctl', 'enforce-runtime'],
      ['50', '*', '*', '*', '*', 'root', '/usr/bin/gpuctl', 'cleanup-containers'],
      ['2-59/5', '*', '*', '*', '*', 'root', '/usr/bin/gpuctl', 'sample'],
    ]);
  });

  it('says of every job that the schedule started it, sets PATH and MAILTO, ends with a newline, holds no per cent sign', () => {
    expect(jobs.every((line) => line.includes(' --scheduled '))).toBe(true);
    expect(text).toMatch(/^PATH=\/usr\/local\/sbin:.*$/m);
    expect(text).toMatch(/^MAILTO=root$/m);
    expect(text.endsWith('\n')).toBe(true);
    expect(text).not.toContain('%');
  });
});

describe('the units', () => {
  it('wait for the engine without needing it, and take findings and a held lock for success', () => {
    const unit = renderUnits(config)['gpuctl-release-stale.service'] ?? '';
    expect(unit).toMatch(/^After=docker\.service /m);
    expect(unit).not.toMatch(/^(?:Requires|BindsTo|Wants)=/m);
    expect(unit).toMatch(/^SuccessExitStatus=1 75$/m);
    expect(unit).toMatch(/^Slice=gpuctl\.slice$/m);
  });

  it('catch nothing up after boot, and start to the second', () => {
    const timer = renderUnits(config)['gpuctl-sample.timer'] ?? '';
    for (const line of ['OnCalendar=*-*-* *:02/5:00', 'Persistent=false', 'RandomizedDelaySec=0', 'AccuracySec=1s']) expect(timer.split('\n')).toContain(line);
  });

  it.each(Object.entries(renderUnits(config)).filter(([name]) => name.endsWith('.service')))('%s hides no process, keeps the driver in reach and lets the engine compile', (_, unit) => {
    expect(unit).not.toMatch(/^(?:PrivateUsers|PrivatePIDs|ProtectProc|ProcSubset|MemoryDenyWriteExecute|PrivateDevices|InaccessiblePaths|TemporaryFileSystem)=/m);
    expect(unit).toMatch(/^RuntimeDirectoryPreserve=yes$/m);
  });

  it('keep the kernel log closed, but for those that judge health by it: they may read it, and nothing more', () => {
    const units = Object.entries(renderUnits(config)).filter(([name]) => name.endsWith('.service'));
    const readers = units.filter(([, unit]) => !/^ProtectKernelLogs=yes$/m.test(unit));
    expect(readers.map(([name]) => name).toSorted()).toEqual(['gpuctl-daemon.service', 'gpuctl-release-stale.service']);
    for (const [name, unit] of units) {
      const reads = readers.some(([reader]) => reader === name);
      expect([/^DeviceAllow=\/dev\/kmsg r$/m.test(unit), /^CapabilityBoundingSet=.*\bCAP_SYSLOG\b/m.test(unit)]).toEqual([reads, reads]);
    }
  });

  it('reach the network only where the configuration names somebody to tell there', () => {
    const told = (kind: 'webhook' | 'exec'): string => renderUnits({ ...config, notify: { ...config.notify, admin: [kind === 'webhook' ? { kind, url: 'https://example.org', format: 'generic' } : { kind, program: '/usr/local/bin/page' }] } })['gpuctl-sample.service'] ?? '';
    expect(renderUnits(config)['gpuctl-sample.service']).toMatch(/^PrivateNetwork=yes$/m);
    expect(told('webhook')).not.toMatch(/^PrivateNetwork=/m);
    expect(told('webhook')).toMatch(/^NoNewPrivileges=yes$/m);
    expect(told('exec')).not.toMatch(/^NoNewPrivileges=/m);
  });

  it('may write where the configuration puts the ledger and the events', () => {
    const unit = renderUnits({ ...config, state: { ...config.state, dir: '/srv/gpuctl' }, events: { file: '/srv/log/gpu.jsonl' } })['gpuctl-sample.service'] ?? '';
    expect(unit).toMatch(/^ReadWritePaths=\/srv\/gpuctl\nReadWritePaths=\/srv\/log$/m);
    expect(() => renderUnits({ ...config, state: { ...config.state, dir: '/srv/%i' } })).toThrow('cannot be written into a unit');
  });
});

describe('a cron pattern as OnCalendar', () => {
  it.each([
    ['5 * * * *', ['*-*-* *:05:00']],
    ['2-59/5 * * * *', ['*-*-* *:02/5:00']],
    ['*/15 * * * *', ['*-*-* *:00/15:00']],
    ['0,10,20 * * * *', ['*-*-* *:00,10,20:00']],
    ['30 1-3 1 2 *', ['*-02-01 01,02,03:30:00']],
    ['0 0 * * Mon', ['Mon *-*-* 00:00:00']],
    ['0 0 * * 5-7', ['Sun,Fri,Sat *-*-* 00:00:00']],
    ['0 4 13 * 5', ['*-*-13 04:00:00', 'Fri *-*-* 04:00:00']],
  ])('%s is %j', (pattern, expected) => {
    expect(renderCalendar(pattern)).toEqual(expected);
  });

  it('is refused where cron and systemd would read it differently', () => {
    expect(() => renderCalendar('0 4 */2 * 5')).toThrow('write the days out');
    expect(() => renderCronFile({ ...config.schedule, 'check-idle': '20 4 1 * */2' })).toThrow('write the days out');
  });
});
