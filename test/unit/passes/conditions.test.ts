import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { GpuctlEvent } from '../../../src/model/event.ts';
import { read } from '../../../src/model/reading.ts';
import { releaseStale } from '../../../src/passes/release-stale.ts';
import type { PassReport } from '../../../src/passes/report.ts';
import { runPass } from '../../../src/passes/run-pass.ts';
import type { EventSink } from '../../../src/passes/ports.ts';
import { openLedger, type OpenLedger } from '../../../src/record/ledger/open.ts';
import { renderEvent } from '../../../src/record/events.ts';
import type { HostState } from '../../property/host.ts';
import { benchOf, passOptions } from '../../property/ports.ts';
import { testFolder } from '../record/folders.ts';
import { gpuState, historyOf, HOUR, hostOf, NOW } from '../decide/good-case.ts';

class Killed extends Error {}

const SICK: Partial<HostState> = { gpus: [gpuState(0, { recovery: read('reboot') }), gpuState(1, { faults: ['Unknown Error'] })] };

/** A host whose passes follow each other: one ledger file, one file of events. */
class Story {
  readonly events: GpuctlEvent[] = [];
  readonly reminders: GpuctlEvent[] = [];
  readonly #file = join(testFolder(), 'ledger.db');
  readonly #open: OpenLedger[] = [];
  #passes = 0;

  /** One pass; `killAt`: it dies at the n-th step of what is told of conditions (0, 1, …). */
  async pass(host: Partial<HostState>, { killAt = Infinity, failing = false, records = true }: { killAt?: number; failing?: boolean; records?: boolean } = {}): Promise<PassReport | null> {
    const now = NOW + this.#passes * HOUR;
    this.#passes += 1;
    const ledger = openLedger({ file: this.#file, now: () => now, mode: 'write' });
    this.#open.push(ledger);
    let steps = 0;
    const step = (): void => { steps += 1; if (steps > killAt) throw new Killed('SIGKILL'); };
    const bench = benchOf({ host: hostOf(host), history: historyOf(), config: defaultConfig(), now });
    const context = { host: 'h', pass: 'p', job: 'j', dryRun: false, version: '0', now: () => now };
    const sink: EventSink = {
      emit: (event) => {
        if (!event.action.startsWith('gpu.condition.')) return;
        step();
        if (!failing) this.events.push(event);
        step();
      },
      failed: () => failing,
      holds: (text) => this.events.some((event) => renderEvent(event, context).includes(text)),
    };
    const conditions = { ...ledger.conditions, settle: (...args: Parameters<typeof ledger.conditions.settle>) => { step(); ledger.conditions.settle(...args); step(); }, markTold: (numbers: readonly number[]) => { step(); ledger.conditions.markTold(numbers); step(); } };
    try {
      return await runPass({ ...bench.parts, sink, conditions, remind: (event) => { this.reminders.push(event); } }, passOptions({ id: `pass-${this.#passes}`, records, acts: records }), releaseStale);
    } catch (error) {
      if (error instanceof Killed) return null;
      throw error;
    }
  }

  told(): readonly string[] {
    return this.events.map(({ action, reason }) => `${action.slice('gpu.condition.'.length)} ${reason}`);
  }

  close(): void {
    for (const ledger of this.#open) ledger.close();
  }
}

function begin(): Story {
  const story = new Story();
  onTestFinished(() => { story.close(); });
  return story;
}

describe('the events of conditions', () => {
  it('are written once each, whatever number of passes see the same', async () => {
    const story = begin();
    for (const host of [SICK, SICK, {}, {}, SICK]) await story.pass(host);
    expect(story.told().toSorted()).toEqual(['cleared gpu.fault', 'cleared gpu.recovery.reboot', 'raised gpu.fault', 'raised gpu.fault', 'raised gpu.recovery.reboot', 'raised gpu.recovery.reboot']);
    expect(story.events[0]).toMatchObject({ level: 'error', alert: true, gpu: { index: expect.any(Number) as number }, facts: { severity: 'critical', remedy: expect.any(String) as string } });
    expect(story.events.find(({ action }) => action === 'gpu.condition.cleared')).not.toHaveProperty('alert', true);
  });

  it('are all there once and in order after a kill at any moment', async () => {
    let kills = 0;
    for (let killAt = 0; ; killAt += 1) {
      const story = begin();
      const ended = await story.pass(SICK, { killAt });
      await story.pass(SICK);
      expect(story.told().toSorted(), `killed at ${killAt}`).toEqual(['raised gpu.fault', 'raised gpu.recovery.reboot']);
      await story.pass({}, { killAt });
      await story.pass({});
      expect(story.told().slice(2).toSorted(), `killed at ${killAt}`).toEqual(['cleared gpu.fault', 'cleared gpu.recovery.reboot']);
      if (ended !== null) break;
      kills += 1;
    }
    expect(kills).toBe(8);
  });

  it('that could not be written are written by the first pass that can', async () => {
    const story = begin();
    await story.pass(SICK, { failing: true });
    await story.pass(SICK, { failing: true });
    expect(story.told()).toEqual([]);
    await story.pass({});
    expect(story.told().map((each) => each.split(' ')[0])).toEqual(['raised', 'raised', 'cleared', 'cleared']);
  });

  it('remind admins of what is still open, until it is not', async () => {
    const story = begin();
    await story.pass(SICK);
    expect(story.reminders, 'its event told it').toEqual([]);
    await story.pass(SICK);
    expect(story.reminders.map(({ action, reason, alert }) => [action, reason, alert])).toEqual(expect.arrayContaining([['gpu.condition.raised', 'gpu.fault', true], ['gpu.condition.raised', 'gpu.recovery.reboot', true]]));
    await story.pass({});
    expect(story.reminders).toHaveLength(2);
  });

  it('are not written by a report, which shows what the ledger has', async () => {
    const story = begin();
    await story.pass(SICK);
    const report = await story.pass({}, { records: false });
    expect(report?.conditions?.map(({ this_run }) => this_run)).toEqual(['gone', 'gone']);
    expect(report?.conditions?.[0]?.first_seen_at).toBe(report?.conditions?.[0]?.last_seen_at);
    expect(story.told()).toHaveLength(2);
  });
});
