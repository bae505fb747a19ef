import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { useEngine } from './fake-engine.ts';
import { eventsOf, GPUCTL, reportIn, treeHash, useHost } from './workbench.ts';

const xid = (host: Host, gpu: number, code: number, rest = 'pid=4711, name=python3, Ch 1'): string => `NVRM: Xid (PCI:${host.gpu(gpu).busId.slice(4, -2)}): ${code}, ${rest}`;
const told = (report: ReturnType<typeof reportIn>): readonly string[] => report.findings.filter(({ id }) => /xid|kernel/.test(id)).map(({ id, severity, subject }) => `${id} ${severity} ${subject.gpu ?? 'host'}`);

/** What the ledger holds of the kernel log: how far it was read, and how many errors. */
function kept(host: Host): { readonly sequence: number | null; readonly xids: number } {
  const db = new DatabaseSync(join(host.stateDir, 'ledger.db'), { readOnly: true });
  try {
    const [cursor] = db.prepare('SELECT sequence FROM kernel_log').all();
    return { sequence: cursor === undefined ? null : Number(cursor['sequence']), xids: db.prepare('SELECT * FROM xids').all().length };
  } finally {
    db.close();
  }
}

describe('a pass that judges health', () => {
  it('tells what the driver wrote to the kernel log; a report and a dry run do not move the cursor, a pass that records does, and what it saw stays known', async () => {
    const host = useHost();
    await useEngine(host);
    host.kernelLog('usb 1-1: new device', xid(host, 0, 31), xid(host, 1, 79, 'GPU has fallen off the bus.'), 'NVRM: Xid (PCI:0000:f0:00): 62, pid=1, x');
    const findings = [`gpu.xid.31 info ${host.gpu(0).uuid}`, `gpu.xid.79 warning ${host.gpu(1).uuid}`, 'gpu.xid.62 critical host'];
    const before = treeHash(host.stateDir);
    const first = await host.gpuctl(['health-check', '--json']);
    expect([told(reportIn(first)), first.exitCode]).toEqual([findings, 1]);
    expect(told(reportIn(await host.gpuctl(['release-stale', '--dry-run', '--json'])))).toEqual(findings);
    expect(treeHash(host.stateDir)).toBe(before);
    expect(told(reportIn(await host.gpuctl(['release-stale', '--json'])))).toEqual(findings);
    expect(kept(host)).toEqual({ sequence: 3, xids: 3 });
    expect(told(reportIn(await host.gpuctl(['health-check', '--json'])))).toEqual(findings);
    host.kernelLog(xid(host, 0, 13));
    expect(told(reportIn(await host.gpuctl(['release-stale', '--json'])))).toEqual([...findings, `gpu.xid.13 info ${host.gpu(0).uuid}`]);
    expect(kept(host)).toEqual({ sequence: 4, xids: 4 });
  });

  it('resets a board for an Xid only where the driver has no recovery action of its own, once, and tells it no more then', async () => {
    const host = useHost({ driver: '470' });
    await useEngine(host);
    host.kernelLog(xid(host, 0, 62), xid(host, 1, 48));
    const done = await host.gpuctl(['release-stale', '--json']);
    expect(host.world().resets).toHaveLength(1);
    expect(eventsOf(done.events, 'gpu.reset.done')).toMatchObject([{ 'gpu.uuid': host.gpu(0).uuid, 'event.reason': 'xid-asked' }]);
    expect(told(reportIn(done))).toEqual([`gpu.xid.48 warning ${host.gpu(1).uuid}`]);
    const again = await host.gpuctl(['release-stale', '--json']);
    expect([told(reportIn(again)), host.world().resets.length]).toEqual([[`gpu.xid.48 warning ${host.gpu(1).uuid}`], 1]);
    const modern = useHost();
    await useEngine(modern);
    modern.kernelLog(xid(modern, 0, 62));
    await modern.gpuctl(['release-stale']);
    expect(modern.world().resets).toEqual([]);
  });

  it('says that lines were lost, once, and takes no program\'s line and no name for an Xid', async () => {
    const host = useHost();
    await useEngine(host);
    host.kernelLog('boot');
    await host.gpuctl(['release-stale']);
    writeFileSync(join(host.dir, 'kmsg'), `12,900,1,-;${xid(host, 0, 79)}\n4,901,1,-;python3[7]: ${xid(host, 0, 79)}\n4,902,1,c;${xid(host, 0, 79)}\n4,903,1,-;${xid(host, 0, 31, 'pid=7, name=Xid (PCI:, 79, GPU has fallen')}\n`);
    const lost = await host.gpuctl(['release-stale', '--json']);
    expect(told(reportIn(lost))).toEqual(['source.kernel-log.partial warning host', `gpu.xid.31 info ${host.gpu(0).uuid}`]);
    expect([lost.exitCode, eventsOf(lost.events, 'observe.partial').length]).toEqual([1, 1]);
    expect(told(reportIn(await host.gpuctl(['release-stale', '--json'])))).toEqual([`gpu.xid.31 info ${host.gpu(0).uuid}`]);
  });

  it('says that it may not read the log, for information, and alerts nobody of that', async () => {
    const host = useHost();
    await useEngine(host);
    host.kernelLog(xid(host, 0, 79));
    chmodSync(join(host.dir, 'kmsg'), 0);
    // As journalctl is to whom the journal may not be shown.
    writeFileSync(join(host.dir, 'bin', 'journalctl'), '#!/bin/sh\n', { mode: 0o755 });
    const blind = await host.gpuctl(['release-stale', '--json'], { program: ['setpriv', '--bounding-set=-dac_override,-dac_read_search', GPUCTL] });
    expect(told(reportIn(blind))).toEqual(['source.kernel-log.failed info host']);
    expect(eventsOf(blind.events, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'kernel log', 'gpuctl.alert': false, 'log.level': 'info', 'event.reason': 'not-permitted' }]);
  });
});
