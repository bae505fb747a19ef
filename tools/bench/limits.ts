import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { read } from '../../src/model/reading.ts';
import { openLedger } from '../../src/record/ledger/open.ts';
import type { Engine } from '../../test/hostsim/dockerd.ts';
import type { Host } from '../../test/hostsim/host.ts';
import { costOf, GPUCTL, heading, median, say } from './measure.ts';
import { GPUS, withContainers } from './room.ts';

const MINUTE_MS = 60_000;
/** Starts of all passes within an hour, by the default schedule. */
const MINUTES = [2, 5, 7, 12, 17, 20, 22, 27, 32, 35, 37, 42, 47, 50, 52, 57];
/** The engine's own work is asked for as gpuctl does: so many inspects at a time. */
const INSPECTS_AT_ONCE = 8;

async function timeMs(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Limits over many containers, and the ledger after a month of them. Needs root for a private engine. */
export async function benchLimits(): Promise<void> {
  heading('limits');
  await againstHealthCheck(50);
  await againstEngine({ running: 100, created: 900 });
  month({ containers: 100, days: 30 });
}

function pass(host: Host, job: string): void {
  costOf([GPUCTL, job, '--quiet', '--config', host.configPath]);
}

async function againstHealthCheck(running: number): Promise<void> {
  await withContainers({ running, created: 0 }, async (host) => {
    pass(host, 'check-idle');
    const pairs: (readonly [number, number])[] = [];
    for (let n = 0; n < 11; n += 1) pairs.push([await timeMs(() => pass(host, 'check-idle')), await timeMs(() => pass(host, 'health-check'))]);
    say(`check-idle / health-check, ${running} containers`, `ratio ${median(pairs.map(([own, other]) => own / other)).toFixed(2)}`, '≤ 1.5');
  });
}

async function againstEngine(counts: { readonly running: number; readonly created: number }): Promise<void> {
  await withContainers(counts, async (host, engine) => {
    pass(host, 'check-idle');
    const pairs: (readonly [number, number])[] = [];
    for (let n = 0; n < 7; n += 1) pairs.push([await timeMs(() => pass(host, 'check-idle')), await timeMs(() => listAndInspect(engine))]);
    say(`check-idle / list and inspects, ${counts.running + counts.created} containers, ${counts.running} running`, `ratio ${median(pairs.map(([own, other]) => own / other)).toFixed(2)}  of ${median(pairs.map(([own]) => own)).toFixed(0)} ms`, '≤ 2.5');
  });
}

async function listAndInspect(engine: Engine): Promise<void> {
  const left = (await engine.api('GET', '/containers/json?all=true') as { readonly Id: string }[]).values();
  await Promise.all(Array.from({ length: INSPECTS_AT_ONCE }, async () => { for (const { Id } of left) await engine.inspect(Id); }));
}

/** Writes what a month of samples would, and looks at the file. */
function month({ containers, days }: { readonly containers: number; readonly days: number }): void {
  const dir = mkdtempSync(join(tmpdir(), 'gpuctl-month-'));
  const file = join(dir, 'ledger.db');
  const begin = Date.UTC(2026, 9, 1);
  const ledger = openLedger({ file, now: () => begin, mode: 'write' });
  const ids = Array.from({ length: containers }, (_, n) => n.toString(16).padStart(64, 'a'));
  const gpus = Array.from({ length: GPUS }, (_, n) => `GPU-0000000${n}-aaaa-4bbb-8ccc-0123456789ab`);
  const instants = Array.from({ length: days * 24 }, (_, hour) => MINUTES.map((minute, n) => begin + (hour * 60 + minute) * MINUTE_MS + ((hour * 16 + n) % 997))).flat();
  const times = instants.map((at, n) => {
    const samples = ids.map((containerId, k) => ({ containerId, startedAt: begin, at, bootId: '11111111-2222-3333-4444-555555555555', cpuNs: read(n * 3e11 * (k % 8)), networkBytes: read(n * 40_000_000 + k), gpuPercent: read(k % 100) }));
    const begun = performance.now();
    ledger.limits.recordActivity(samples, samples.map((last) => ({ containerId: last.containerId, startedAt: begin, last, samples: n + 1, consecutiveIdle: n, idleMs: n * 1000, activeAt: begin })));
    ledger.limits.recordDeviceUse(gpus.map((gpuUuid) => ({ gpuUuid, at, utilizationPercent: 50 })));
    ledger.recordMemory(gpus.map((gpuUuid) => ({ gpuUuid, at, usedMiB: 500, unexplainedMiB: 0 })));
    return performance.now() - begun;
  });
  const reading = Array.from({ length: 25 }, () => { const begun = performance.now(); ledger.history(); return performance.now() - begun; });
  ledger.close();
  say(`ledger after ${days} days of ${containers} containers`, `${(statSync(file).size / 1e6).toFixed(1)} MB`, '≤ 60 MB');
  say('its part of one sampling', `${median(times).toFixed(1)} ms`, '≤ 20 ms');
  say('reading what a pass must know of it', `${median(reading).toFixed(1)} ms`);
  rmSync(dir, { recursive: true });
}
