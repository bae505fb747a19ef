import { Chalk } from 'chalk';
import { expect, it } from 'vitest';
import type { WhyExport } from '../../../../src/cli/exported.ts';
import { renderWhy } from '../../../../src/cli/render/why.ts';
import { REASONS } from '../../../../src/model/reason.ts';
import type { ProspectReport } from '../../../../src/passes/container-outlook.ts';

const NOW = Date.UTC(2026, 10, 22, 9, 0);
const MINUTE_MS = 60_000;
const exemption = { reason: 'thesis deadline', until: '2026-12-24', granted: true };

function prospect(more: Partial<ProspectReport>): ProspectReport {
  return { what: 'idle-stop', at: '2026-11-22T09:20:00.000Z', job: 'check-idle', due_at: '2026-11-22T09:16:00.000Z', reason: null, explanation: null, limit: { key: 'idle_timeout', ms: 30 * MINUTE_MS, from: 'default' }, spent_ms: 14 * MINUTE_MS, ...more };
}

function rendered(prospects: readonly ProspectReport[], ageMs = 0, containers = 1): readonly string[] {
  const container = { id: 'a', name: 'train', state: 'running', owner: 'alice', devices: [], prospects, warnings: [], keep_alive_max_ms: 0 };
  const why: WhyExport = { schema: 1, host: 'gpu01', uid: 1000, at: new Date(NOW - ageMs).toISOString(), containers: Array.from({ length: containers }, () => container) };
  return renderWhy(why, NOW, new Chalk({ level: 0 })).split('\n');
}

it('what is older than the schedule promises says so first of all, with or without containers', () => {
  const [old, fresh] = [15 * MINUTE_MS + 1, 15 * MINUTE_MS];
  for (const containers of [0, 1]) {
    expect(rendered([prospect({})], old, containers)[0]).toBe('This is 15 min old: gpuctl should look every few minutes and does not. What is below may be true no more; tell an admin.');
    expect(rendered([prospect({})], fresh, containers).join('\n')).not.toContain('true no more');
  }
});

it('an exempt owner reads until when and for what reason', () => {
  expect(rendered([prospect({ at: null, reason: 'exempt', explanation: REASONS.exempt, exemption })])[1]).toBe('  not stopped for idleness: its owner is exempt from this limit until 2026-12-24 (thesis deadline); idle_timeout 30m (default)');
});

it('an exemption that does not count is told as that, whatever else is to come', () => {
  const untrusted = { ...exemption, granted: false };
  const line = '      the exemption until 2026-12-24 (thesis deadline) does not count: the owner is only what the container says of itself, and limits.trust_labels does not list owner; ask an admin';
  expect(rendered([prospect({ exemption: untrusted })])[2]).toBe(line);
  expect(rendered([prospect({ at: null, reason: 'active', explanation: REASONS.active, exemption: untrusted })]).slice(1, 3)).toEqual([`  not stopped for idleness: ${REASONS.active}; idle_timeout 30m (default)`, line]);
});
