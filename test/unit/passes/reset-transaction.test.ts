import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GpuctlEvent } from '../../../src/model/event.ts';
import { resetByHand } from '../../../src/passes/reset-by-hand.ts';
import { GPU0 } from '../decide/good-case.ts';
import { type Bench, BUS, passOn, resetBench, simHost, type SimService } from './reset-bench.ts';

const HOUR_MS = 3_600_000;

const opened: Bench[] = [];
let bench: Bench;

function open(...made: Parameters<typeof resetBench>): void {
  bench = resetBench(...made);
  opened.push(bench);
}

beforeEach(() => { open(); });
afterEach(() => { for (const each of opened.splice(0)) each.close(); });

function service(unit: string): SimService {
  const found = bench.host.services[unit];
  if (found === undefined) throw new Error(`no service ${unit}`);
  return found;
}

function actions(): readonly string[] {
  return bench.events.map(({ action }) => action);
}

function eventsOf(action: GpuctlEvent['action']): readonly GpuctlEvent[] {
  return bench.events.filter((event) => event.action === action);
}

async function findingIds(): Promise<readonly string[]> {
  const { findings } = await passOn(bench, { acts: false });
  return findings.map(({ id }) => id).filter((id) => id.startsWith('gpu.reset.') || id === 'gpu.quarantined');
}

/** Only what this reset is about: `dcgm.service` holds the device. */
function onlyDcgm(): void {
  service('exporter.service').active = false;
}

describe('a reset of a board that services hold', () => {
  it('stops them, resets, puts back what the reset took, and starts them again', async () => {
    const report = await passOn(bench);
    expect(report.outcomes).toMatchObject([{ result: 'done', detail: 'it came back as it was' }]);
    expect(bench.host.resets).toHaveLength(1);
    expect(bench.host.board).toMatchObject({ asks: false, persistence: true, computeMode: 'Exclusive_Process', powerLimitW: 250 });
    for (const unit of ['dcgm.service', 'exporter.service']) expect(service(unit)).toMatchObject({ active: true, stops: 1, starts: 1 });
    expect(bench.ledger.resets.unsettled()).toEqual([]);
    expect(bench.ledger.history()).toMatchObject({ resetWants: [], resets: [{ gpuUuid: GPU0, succeeded: true }], resetDebts: [], vainPauses: [] });
  });

  it('leaves those alone that do not hold it, or do not run', async () => {
    await passOn(bench);
    expect([service('away.service'), service('asleep.service')]).toMatchObject([{ active: true, stops: 0 }, { active: false, starts: 0 }]);
  });

  it('is blocked by one that is not listed, which is named with its way out', async () => {
    open(bench.host, ['dcgm.service']);
    const report = await passOn(bench);
    expect(report.findings.map(({ message, remedy }) => `${message} ${remedy}`).join('\n')).toContain('of exporter.service has /dev/nvidia0 open systemctl stop exporter.service, or list it under reset.pause_services');
    expect(Object.values(bench.host.services).map(({ stops }) => stops)).toEqual([0, 0, 0, 0]);
  });

  it('never starts one that was not active, even where a process of it holds the device', async () => {
    service('asleep.service').lingers = true;
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'service-not-stopped', detail: expect.stringContaining('systemd calls it inactive') as string }]);
    expect(service('asleep.service')).toMatchObject({ active: false, stops: 0, starts: 0 });
    expect(service('dcgm.service').active).toBe(true);
  });

  it('never stops one that could not be started again', async () => {
    service('dcgm.service').masked = true;
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'service-not-stopped', detail: expect.stringContaining('not-startable') as string }]);
    for (const unit of ['dcgm.service', 'exporter.service']) expect(service(unit).active).toBe(true);
    expect(service('dcgm.service').stops).toBe(0);
  });

  it('never stops one that would take along another that is not listed', async () => {
    open(bench.host, ['dcgm.service', 'exporter.service']);
    service('dcgm.service').takesAlong = ['away.service'];
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'service-not-stopped', detail: expect.stringContaining('away.service would stop with dcgm.service') as string }]);
    expect([service('dcgm.service'), service('away.service')]).toMatchObject([{ active: true, stops: 0 }, { active: true, stops: 0 }]);
  });

  it('stops and starts again what it would take along, where that is listed as well', async () => {
    service('dcgm.service').takesAlong = ['away.service', 'asleep.service'];
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'done' }]);
    for (const unit of ['dcgm.service', 'away.service', 'exporter.service']) expect(service(unit)).toMatchObject({ active: true, stops: 1, starts: 1 });
    expect(service('asleep.service')).toMatchObject({ active: false, starts: 0 });
  });

  it('is refused where two need each other, and stops neither', async () => {
    service('dcgm.service').takesAlong = ['exporter.service'];
    service('exporter.service').takesAlong = ['dcgm.service'];
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'service-not-stopped' }]);
    for (const unit of ['dcgm.service', 'exporter.service']) expect(service(unit)).toMatchObject({ active: true, stops: 0 });
  });

  it('owes one that ends as soon as it is started, whatever systemctl says', async () => {
    service('dcgm.service').dies = true;
    await passOn(bench);
    expect(await findingIds()).toContain('gpu.reset.service_not_restored');
    service('dcgm.service').dies = false;
    await passOn(bench);
    expect(service('dcgm.service').active).toBe(true);
    expect(bench.ledger.resets.unsettled()).toEqual([]);
  });

  it('is not tried again without persistence where somebody came while the first try lasted', async () => {
    open(bench.host, ['dcgm.service', 'exporter.service']);
    bench.host.during = (option) => { if (option === '-pm') service('asleep.service').lingers = true; };
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'failed', detail: expect.stringMatching(/was not tried again: .*asleep\.service/) as string }]);
    expect(bench.host).toMatchObject({ resets: [], board: { persistence: true } });
  });

  it('is not decided on holders that were looked for more than two seconds ago, however fresh the rest', async () => {
    bench.host.holdersAgeMs = 2500;
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'snapshot-too-old' }]);
    expect(bench.host.resets).toEqual([]);
  });

  it('is refused where one does not stop; what was stopped runs again, and nothing is stopped for a cool-down', async () => {
    service('exporter.service').refuses = 'stop';
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'service-not-stopped' }]);
    expect(bench.host.resets).toEqual([]);
    expect(service('dcgm.service')).toMatchObject({ active: true, stops: 1, starts: 1 });
    expect(bench.ledger.history()).toMatchObject({ resets: [], resetWants: [{ gpuUuid: GPU0 }] });
    bench.host.now += HOUR_MS;
    expect((await passOn(bench)).decisions).toMatchObject([{ verdict: 'refuse', reason: 'blocked' }]);
    expect(service('dcgm.service').stops).toBe(1);
    bench.host.now += 6 * HOUR_MS;
    delete service('exporter.service').refuses;
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'done' }]);
  });

  it('looks again after they stopped: who came in between keeps the board from the reset', async () => {
    const { services } = bench.host;
    const { 'dcgm.service': dcgm } = services;
    if (dcgm === undefined) throw new Error('no dcgm');
    // The other one is started by whoever stops this one.
    services['exporter.service'] = { active: false, holds: true, starts: 0, stops: 0 };
    Object.defineProperty(dcgm, 'stops', { get: () => 1, set: () => { const late = services['exporter.service']; if (late !== undefined) late.active = true; } });
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'refused', reason: 'blocked', detail: expect.stringContaining('exporter.service') as string }]);
    expect(bench.host.resets).toEqual([]);
    expect(dcgm.active).toBe(true);
  });

  it('that cannot be started again is told by every pass until it can, and started then', async () => {
    onlyDcgm();
    service('dcgm.service').refuses = 'start';
    expect((await passOn(bench)).outcomes).toMatchObject([{ result: 'done' }]);
    expect(await findingIds()).toEqual(['gpu.reset.service_not_restored']);
    bench.host.now += HOUR_MS;
    const report = await passOn(bench);
    expect(report.findings.map(({ id, message }) => `${id} ${message}`).join('\n')).toMatch(/gpu\.reset\.service_not_restored .*dcgm\.service.*Job failed/);
    expect(report.exit).toBe(1);
    delete service('dcgm.service').refuses;
    await passOn(bench);
    expect(service('dcgm.service').active).toBe(true);
    expect(await findingIds()).toEqual([]);
    expect(eventsOf('pass.recovered')).toMatchObject([{ level: 'info', alert: false }]);
  });
});

describe('what a reset takes away', () => {
  it('and nvidia-smi cannot put back yet stays owed, whatever later resets find, and is put back when it can be', async () => {
    bench.host.broken.add('-pl');
    const report = await passOn(bench);
    expect(report.outcomes).toMatchObject([{ result: 'done', detail: expect.stringContaining('lost: power limit was 250 W') as string }]);
    expect(eventsOf('gpu.reset.done')).toMatchObject([{ level: 'warn', alert: true }]);
    expect(await findingIds()).toEqual(['gpu.reset.setting_not_restored']);
    bench.host.now += 7 * HOUR_MS;
    bench.host.board.asks = true;
    await passOn(bench);
    expect(bench.host.resets).toHaveLength(2);
    expect(bench.ledger.history().resetDebts).toMatchObject([{ debt: { kind: 'power-limit', watts: 250 } }]);
    bench.host.broken.clear();
    await passOn(bench);
    expect(bench.host.board.powerLimitW).toBe(250);
    expect(await findingIds()).toEqual([]);
  });

  it('and that only another reset could put back is a finding, with the command, until an admin gives it up', async () => {
    bench.host.eccLost = true;
    await passOn(bench);
    const report = await passOn(bench);
    expect(report.findings.filter(({ id }) => id.startsWith('gpu.reset.'))).toMatchObject([{ subject: { gpu: GPU0 }, message: expect.stringContaining('ECC mode was on') as string, remedy: expect.stringContaining(`nvidia-smi -e 1 -i ${BUS}`) as string }]);
    expect(bench.ledger.resets.clearQuarantine(GPU0, bench.host.now)).toEqual([{ kind: 'ecc-mode', on: true }]);
    expect(await findingIds()).toEqual([]);
  });

  it('is not touched by a pass that only reports', async () => {
    onlyDcgm();
    service('dcgm.service').refuses = 'start';
    await passOn(bench);
    delete service('dcgm.service').refuses;
    await passOn(bench, { acts: false });
    expect(service('dcgm.service').active).toBe(false);
  });
});

describe('the want of a reset', () => {
  it('stays while the reset is blocked, and goes when the board no longer asks', async () => {
    open(bench.host, []);
    await passOn(bench);
    expect(bench.ledger.history().resetWants).toMatchObject([{ reason: 'reset-asked' }]);
    bench.host.board.asks = false;
    await passOn(bench);
    expect(bench.ledger.history().resetWants).toEqual([]);
  });
});

describe('the want of a reset that nobody can see', () => {
  it('is not withdrawn because the driver does not say whether it still holds', async () => {
    open(bench.host, []);
    await passOn(bench);
    bench.host.blind = true;
    expect((await passOn(bench)).decisions).toMatchObject([{ verdict: 'leave' }]);
    expect(bench.ledger.history().resetWants).toMatchObject([{ reason: 'reset-asked' }]);
  });
});

describe('a board that needs reset after reset', () => {
  it('is reset three times in a day and then quarantined, once, and a finding from then on', async () => {
    bench.host.board.flaps = true;
    for (let hour = 0; hour < 48; hour += 1) { await passOn(bench); bench.host.now += HOUR_MS; }
    expect(bench.host.resets).toHaveLength(3);
    expect(actions().filter((action) => action === 'gpu.quarantined')).toHaveLength(1);
    expect(await findingIds()).toContain('gpu.quarantined');
  });

  it('that an admin takes out of quarantine may be reset again, three times more', async () => {
    bench.host.board.flaps = true;
    for (let hour = 0; hour < 13; hour += 1) { await passOn(bench); bench.host.now += HOUR_MS; }
    bench.ledger.resets.clearQuarantine(GPU0, bench.host.now);
    await passOn(bench);
    expect(bench.host.resets, 'the cool-down holds').toHaveLength(3);
    for (let hour = 0; hour < 48; hour += 1) { await passOn(bench); bench.host.now += HOUR_MS; }
    expect(bench.host.resets).toHaveLength(6);
    expect(bench.ledger.history().quarantined).toEqual([GPU0]);
  });
});

describe('a reset by hand', () => {
  it('takes a clean board as well, with the same care', async () => {
    bench.host.board.asks = false;
    const report = await passOn(bench, { story: resetByHand });
    expect(report.decisions).toMatchObject([{ verdict: 'act', reason: 'asked-by-hand' }]);
    expect(report.outcomes).toMatchObject([{ result: 'done' }]);
    expect(service('dcgm.service')).toMatchObject({ active: true, starts: 1 });
  });

  it('shows every blocker and leaves no want of a clean board behind', async () => {
    open(simHost(), []);
    bench.host.board.asks = false;
    const report = await passOn(bench, { story: resetByHand });
    expect(report.decisions).toMatchObject([{ verdict: 'refuse', reason: 'blocked', evidence: { blockers: [{ kind: 'node-holder' }, { kind: 'node-holder' }, { kind: 'persistence-daemon' }] } }]);
    expect(report.exit).toBe(1);
    expect(bench.ledger.history().resetWants).toEqual([]);
  });

  it('waits for the cool-down like everybody', async () => {
    await passOn(bench);
    const report = await passOn(bench, { story: resetByHand });
    expect(report.decisions).toMatchObject([{ verdict: 'refuse', reason: 'blocked' }]);
    expect(JSON.stringify(report.decisions)).toContain('wait until');
    expect(bench.host.resets).toHaveLength(1);
  });
});
