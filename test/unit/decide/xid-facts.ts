import type { Gpu } from '../../../src/model/device.ts';
import type { Finding } from '../../../src/model/finding.ts';
import type { History, ResetRecord } from '../../../src/model/history.ts';
import type { KernelLogView, SeenXid, XidEvent } from '../../../src/model/kernel-log.ts';
import { complete, failed, type Observed } from '../../../src/model/observation.ts';
import { absent, read } from '../../../src/model/reading.ts';
import type { Snapshot } from '../../../src/model/snapshot.ts';
import { xidFindings } from '../../../src/decide/xid.ts';
import { judged } from '../../property/rules.ts';
import { gpuState, HOUR, historyOf, MINUTE, NOW, worldOf } from './good-case.ts';

/*
 * One good case of an error in the kernel log: an hour old, of the first of two boards, whose driver has no recovery action.
 */

export const BOOT = '0b2f1c3d-0000-4000-8000-0123456789ab';
export const OTHER_BOOT = 'ffffffff-0000-4000-8000-0123456789ab';
const [first, second] = judged(worldOf({ gpus: [gpuState(0), gpuState(1)] })).gpus;
if (first === undefined || second === undefined) throw new Error('two boards were made');
const board0: Gpu = first;
export const board1: Gpu = second;

/** A board whose driver has no recovery action, and one whose driver asks for none. */
export const old: Gpu = { ...board0, recovery: absent };
export const calm: Gpu = { ...board0, recovery: read('none') };

let made = 0;
export function xid(code: number, more: Partial<SeenXid> = {}): SeenXid {
  made += 1;
  return { kind: 'xid', code, pciBusId: board0.pciBusId, gpuUuid: null, gpuInstanceId: null, pid: null, processName: null, detail: '', at: NOW - HOUR, bootUsec: made, sequence: made, lines: 1, bootId: BOOT, seenAt: NOW - HOUR, ...more };
}

export function memory(...xids: readonly SeenXid[]): Pick<History, 'kernelLog'> {
  return { kernelLog: { cursor: { bootId: BOOT, sequence: 1_000_000, bootUsec: 1_000_000, journal: null, readAt: NOW - MINUTE }, xids } };
}

export function view(...events: readonly XidEvent[]): Observed<KernelLogView> {
  return complete({ source: 'kmsg', bootId: BOOT, cursor: null, events });
}

export interface Case {
  readonly gpus?: readonly Gpu[];
  readonly resets?: readonly ResetRecord[];
  readonly log?: Observed<KernelLogView>;
  readonly driver?: Snapshot['driver'];
  readonly more?: Partial<History>;
}

export function findings(xids: readonly SeenXid[], { gpus = [old, board1], resets = [], log = view(), driver = complete({ driverVersion: '550', attachedGpus: gpus.length, gpus }), more = {} }: Case = {}): readonly Finding[] {
  return xidFindings({ snapshot: { driver, processes: failed('error', 'not asked'), takenAt: NOW, kernelLog: log }, history: historyOf({ ...memory(...xids), resets, ...more }), gpus });
}

export const briefly = (all: readonly Finding[]): readonly string[] => all.map(({ id, severity, subject }) => [id, severity, subject.gpu ?? 'host'].join(' '));
