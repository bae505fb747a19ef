import type { Claim } from '../../../../src/model/claim.ts';
import type { EngineView, InspectedContainer } from '../../../../src/model/container.ts';
import type { ProcessTarget } from '../../../../src/model/decision.ts';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type LedgerOptions, openLedger, type OpenLedger } from '../../../../src/record/ledger/open.ts';
import { testFolder } from '../folders.ts';

export const NOW = Date.UTC(2026, 10, 22, 9, 5);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const GPU0 = 'GPU-00000000-0000-0000-0000-000000000000';
export const GPU1 = 'GPU-11111111-1111-1111-1111-111111111111';
export const MIG = 'MIG-22222222-2222-2222-2222-222222222222';
export const ENGINE = 'ENGN:ONE';

/** A full container id that begins with `prefix`. */
export function idOf(prefix: string): string {
  return prefix.padEnd(64, '0');
}

export function container(prefix: string, more: Partial<InspectedContainer> = {}): InspectedContainer {
  return {
    inspected: true, id: idOf(prefix), name: `name-${prefix}`, image: 'bb', state: 'running', pid: 1, createdAt: NOW - DAY, startedAt: NOW - HOUR, finishedAt: null,
    labels: {}, env: [], runtime: null, privileged: false, deviceRequests: [], deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null, ...more,
  };
}

export function engine(containers: EngineView['containers'], engineId: string | null = ENGINE): EngineView {
  return { kind: engineId === null ? 'podman' : 'docker', engineId, version: '1', containers, answers: [] };
}

export function claim(prefix: string, more: Partial<Claim> = {}): Claim {
  return {
    containerId: idOf(prefix), containerName: `name-${prefix}`, containerState: 'running', startedAt: NOW - HOUR, source: 'device-request', reference: GPU0,
    gpuUuid: GPU0, migUuid: null, released: false, ...more,
  };
}

export const target: ProcessTarget = { kind: 'process', identity: { pid: 4711, startTicks: 99, bootId: 'boot' }, pid: 4711, name: "py'); DROP TABLE acts;--", containerId: idOf('a'), gpuUuids: [GPU0] };

export const nobody: ReadonlyMap<string, string | null> = new Map();

export interface TestLedger {
  readonly file: string;
  readonly ledger: OpenLedger;
  /** What the ledger's clock says; a test may set it. */
  readonly clock: { now: number };
  /** Closes it and opens it again. */
  reopen(): OpenLedger;
}

/** A ledger in a folder of the running test, closed after it. */
export function testLedger(more: Partial<LedgerOptions> = {}): TestLedger {
  const clock = { now: NOW };
  const options: LedgerOptions = { file: join(testFolder(), 'ledger.db'), now: () => clock.now, mode: 'write', ...more };
  let ledger = openLedger(options);
  onTestFinished(() => { ledger.close(); });
  return {
    file: options.file,
    clock,
    get ledger() { return ledger; },
    reopen() {
      ledger.close();
      ledger = openLedger(options);
      return ledger;
    },
  };
}
