import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { blockersOf } from '../../../src/decide/blockers.ts';
import { systemServiceIn } from '../../../src/decide/cgroup.ts';
import { resetStateFindings } from '../../../src/decide/reset-findings.ts';
import type { Blocker } from '../../../src/model/decision.ts';
import type { History } from '../../../src/model/history.ts';
import { seen } from '../../../src/model/observation.ts';
import { isoTime } from '../../../src/model/time.ts';
import { judged } from '../../property/rules.ts';
import { GPU0, HOUR, historyOf, MINUTE, NOW, orphan, worldOf } from './good-case.ts';

const ID = 'ab'.repeat(32);

function blockers(cgroups: readonly string[] | null, history: Partial<History> = {}): readonly Blocker[] {
  const world = worldOf({ processes: [orphan({ pid: 600, command: 'nv-hostengine', uid: 0, rows: [], cgroups })] }, history);
  const { gpus, snapshot, claims, ownership } = judged(world);
  const [gpu] = gpus;
  if (gpu === undefined || seen(snapshot.processes) === null) throw new Error('nothing was seen');
  const { cooldownMs, maxPerDay } = defaultConfig().reset;
  return blockersOf({ gpu, engine: snapshot.engine, claims: claims.claims, processes: snapshot.processes, ownership, history: world.history, rules: { cooldownMs, maxPerDay, pauseServices: ['nvidia-dcgm.service', 'docker-x.service'] }, now: NOW });
}

describe('a holder of the device node', () => {
  it.each([['/system.slice/nvidia-dcgm.service'], ['/system.slice/nvidia-dcgm.service/init.scope'], ['/system.slice/gpu.slice/nvidia-dcgm.service/worker.service'], ['/gpu.slice/nvidia-dcgm.service']])('in %s yields: the reset may stop its service', (cgroup) => {
    expect(blockers(['/', cgroup])).toMatchObject([{ kind: 'pausable-service', hard: false, unit: 'nvidia-dcgm.service' }]);
  });

  it.each<[string, readonly string[] | null, string]>([
    ['of a service that is not listed', ['/system.slice/other.service'], 'systemctl stop other.service, or list it under reset.pause_services'],
    ['that only called a group below its own like the listed one', ['/system.slice/other.service/nvidia-dcgm.service'], 'systemctl stop other.service'],
    ['of a user who has a unit of that name', ['/user.slice/user-1000.slice/user@1000.service/app.slice/nvidia-dcgm.service'], 'a user session'],
    ['in a container, whatever its groups are called', [`/docker/${ID}/system.slice/nvidia-dcgm.service`], `stop container ${ID.slice(0, 12)}`],
    ['in a container of the systemd driver', [`/system.slice/docker-${ID}.scope`], `stop container ${ID.slice(0, 12)}`],
    ['that two hierarchies put into two services', ['/system.slice/nvidia-dcgm.service', '/system.slice/other.service'], 'end process 600'],
    ['in no service at all', ['/nvidia-dcgm.service'], 'end process 600'],
    ['whose groups cannot be read', null, 'end process 600'],
  ])('%s blocks, with its own way out', (_, cgroups, wayOut) => {
    const found = blockers(cgroups);
    expect(found).toMatchObject([{ kind: 'node-holder', hard: true }]);
    expect(found[0]?.wayOut).toContain(wayOut);
    expect(found[0]?.unit).toBeUndefined();
  });

  it('of an unknown service has none', () => {
    expect([systemServiceIn(null), systemServiceIn([]), systemServiceIn(['/'])]).toEqual([null, null, null]);
    expect(systemServiceIn([`/system.slice/nvidia-dcgm.service/docker/${ID}`])).toBeNull();
  });
});

describe('the history of a board', () => {
  const reset = (ago: number): History['resets'][number] => ({ gpuUuid: GPU0, at: NOW - ago, succeeded: true });
  const kinds = (history: Partial<History>): readonly string[] => blockers(['/system.slice/nvidia-dcgm.service'], history).filter(({ hard }) => hard).map(({ kind }) => kind);

  it('keeps services from being stopped again soon after they were stopped in vain', () => {
    expect(kinds({ vainPauses: [{ gpuUuid: GPU0, at: NOW - MINUTE }] })).toEqual(['cool-down']);
    expect(kinds({ vainPauses: [{ gpuUuid: GPU0, at: NOW - 7 * HOUR }] })).toEqual([]);
    expect(kinds({ vainPauses: [{ gpuUuid: 'GPU-other', at: NOW - MINUTE }] })).toEqual([]);
  });

  it('does not count resets that an admin has forgiven; the cool-down stays', () => {
    const resets = [reset(20 * HOUR), reset(13 * HOUR), reset(7 * HOUR)];
    expect(kinds({ resets })).toEqual(['quarantine']);
    const forgiven = resets.map((each) => ({ ...each, forgiven: true as const }));
    expect(kinds({ resets: forgiven })).toEqual([]);
    expect(kinds({ resets: [...forgiven, { ...reset(HOUR), forgiven: true }] })).toEqual(['cool-down']);
    expect(kinds({ resets: [...forgiven, reset(6 * HOUR)] })).toEqual([]);
  });
});

describe('what a reset owes', () => {
  const owing = (since: number, why: string | null): History => historyOf({ resetDebts: [{ gpuUuid: GPU0, pciBusId: '00000000:10:00.0', debt: { kind: 'service', unit: 'dcgm.service' }, since, why }] });

  it.each([[NOW - MINUTE, null, 'info'], [NOW - 2 * MINUTE, null, 'warning'], [NOW - MINUTE, 'exit 1', 'warning']])('is no loss while it may still be under way (%s, %s): %s', (since, why, severity) => {
    expect(resetStateFindings(owing(since, why), NOW)).toEqual([{
      id: 'gpu.reset.service_not_restored', severity, subject: { gpu: GPU0 },
      message: `not put back since its reset of ${isoTime(since)}: dcgm.service was stopped for the reset and must run again${why === 'exit 1' ? ' (exit 1)' : ''}`,
      remedy: `systemctl start dcgm.service; gpuctl tries it at every pass that acts, until gpuctl quarantine clear ${GPU0} takes it away`,
    }]);
  });

  it('is nothing where the ledger knows of no debts', () => {
    const { resetDebts: _, ...history } = historyOf();
    expect(resetStateFindings(history, NOW)).toEqual([]);
  });
});

describe('a board in quarantine', () => {
  it.each<[string, History['resets']]>([
    ['', []],
    ['', [{ gpuUuid: 'GPU-other', at: NOW, succeeded: true }]],
    ['; last reset at 2026-11-22T08:05:00.000Z', [{ gpuUuid: GPU0, at: NOW - 2 * HOUR, succeeded: true }, { gpuUuid: GPU0, at: NOW - HOUR, succeeded: false }, { gpuUuid: 'GPU-other', at: NOW, succeeded: true }]],
  ])('is critical, and says when it was reset last%s', (last, history) => {
    expect(resetStateFindings(historyOf({ quarantined: [GPU0], resets: history }), NOW)).toEqual([{
      id: 'gpu.quarantined', severity: 'critical', subject: { gpu: GPU0 },
      message: `it is in quarantine: it was reset too often, or the driver called it unstable${last}`,
      remedy: `have the board checked, then: gpuctl quarantine clear ${GPU0}`,
    }]);
  });
});
