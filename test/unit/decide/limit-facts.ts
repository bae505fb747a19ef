import type { ActivitySample, IdleClock, KeepAlive, Warning, WarningStage } from '../../../src/model/activity.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import { read } from '../../../src/model/reading.ts';
import type { IdleFacts } from '../../../src/decide/idle.ts';
import type { LimitPolicy, LimitRules } from '../../../src/decide/limit-rules.ts';

export const NOW = Date.UTC(2026, 10, 22, 12, 0);
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const ID = 'c'.repeat(64);
export const STARTED = NOW - 10 * HOUR;

export const rules: LimitRules = {
  owner: 'alice', idleTimeoutMs: HOUR, idleTimeoutFrom: 'default', maxRuntimeMs: 24 * HOUR, maxRuntimeFrom: 'default',
  gpuHoldAfterStopMs: 15 * MINUTE, containerHoldAfterStopMs: 30 * MINUTE, stopGraceMs: 60_000, idleChecks: 3, keepAliveMaxMs: 24 * HOUR,
  keepUntilAt: null, exemptFromIdle: null, exemptFromRuntime: null, protected: false, infrastructure: false,
};

export const policy: LimitPolicy = {
  rulesOf: () => rules, thresholds: { gpuPercent: 5, cpuPercent: 2, networkBytes: 1024 ** 2 }, youngMs: 30 * MINUTE, highDemand: { atPercent: 80, factor: 0.5 },
  idlePercents: [80, 95], runtimePercents: [75, 90], runtimeCounts: 'since-first-start', createdTimeoutMs: 30 * MINUTE, allLeftovers: false,
  configured: { limits: true, leftovers: false },
};

export const container: InspectedContainer = {
  inspected: true, id: ID, name: 'job', image: 'bb', state: 'running', pid: 1, createdAt: NOW - 1000 * HOUR, startedAt: STARTED, finishedAt: null, labels: {}, env: [],
  runtime: null, privileged: false, deviceRequests: [], deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null,
};

export const sample: ActivitySample = { containerId: ID, startedAt: STARTED, at: NOW, bootId: 'boot', cpuNs: read(1e9), networkBytes: read(1000), gpuPercent: read(0) };

/** Idle for `minutes`, and long enough sampled. */
export function clock(minutes: number, more: Partial<IdleClock> = {}): IdleClock {
  return { containerId: ID, startedAt: STARTED, last: sample, samples: 50, consecutiveIdle: 12, idleMs: minutes * MINUTE, activeAt: NOW - minutes * MINUTE, ...more };
}

export function warning(stage: WarningStage, minutesAgo: number, more: Partial<Warning> = {}): Warning {
  return { containerId: ID, startedAt: STARTED, kind: 'idle', stage, at: NOW - minutesAgo * MINUTE, ...more };
}

export function wish(minutesAgo: number, forMinutes: number, more: Partial<KeepAlive> = {}): KeepAlive {
  return { containerId: ID, startedAt: STARTED, uid: 1000, askedAt: NOW - minutesAgo * MINUTE, until: NOW + (forMinutes - minutesAgo) * MINUTE, ...more };
}

/** Past its limit, with both warnings given: the one case in which it is stopped. */
export const due: IdleFacts = {
  container, standing: 'managed', rules, policy, sample, clock: clock(61), warnings: [warning('warned', 12), warning('final', 4)], wishes: [],
  highDemand: false, mayStop: true, now: NOW, round: 1,
};
