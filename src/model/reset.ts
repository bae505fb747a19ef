import type { GpuTarget } from './decision.ts';
import type { Gpu } from './device.ts';
import { known, type Reading } from './reading.ts';

/** Something that was so before a reset and must be so again: a *debt* until it is, or until an admin takes it away. */
export type Debt =
  | { readonly kind: 'service'; readonly unit: string }
  | { readonly kind: 'persistence'; readonly on: boolean }
  | { readonly kind: 'compute-mode'; readonly mode: string }
  | { readonly kind: 'power-limit'; readonly watts: number }
  /** Takes effect at a reset only, so it can be told, but not put back. */
  | { readonly kind: 'ecc-mode'; readonly on: boolean }
  /** UUIDs of the MIG devices, sorted; told, but not put back. */
  | { readonly kind: 'mig-layout'; readonly uuids: readonly string[] };

export type BoardDebt = Exclude<Debt, { readonly kind: 'service' }>;

/** What a reset changes, step by step. `reset` is the call of nvidia-smi itself. */
export type ResetStepKind = 'stop-service' | 'persistence-off' | 'reset';

/** One step as the journal has it. `result` null: it was begun, and nobody knows how it ended. */
export interface ResetStep {
  readonly kind: ResetStepKind;
  /** The unit, for `stop-service`. */
  readonly subject: string | null;
  readonly begunAt: number;
  readonly result: 'done' | 'failed' | null;
}

/** A debt that has not been paid. */
export interface OpenDebt {
  readonly debt: Debt;
  readonly since: number;
  /** Why the last attempt to pay it failed; null: none was made. */
  readonly why: string | null;
}

/** One reset in the journal: everything that a later pass needs to finish it. */
export interface ResetRun {
  readonly number: number;
  readonly passId: string;
  readonly target: GpuTarget;
  readonly begunAt: number;
  /** Null: it was cut off. */
  readonly endedAt: number | null;
  readonly steps: readonly ResetStep[];
  readonly debts: readonly OpenDebt[];
}

/**
 * What a reset of this board may take away, as the last look saw it: UUID and bus id are the target's own. A reading that
 * is not known cannot be put back, so it is no debt.
 */
export function debtsOf(gpu: Gpu): readonly BoardDebt[] {
  const migs = gpu.migDevices.map(({ uuid, index }) => uuid ?? `device ${index}`).toSorted();
  return [
    ...whenKnown(gpu.persistence, (on) => ({ kind: 'persistence', on })),
    ...whenKnown(gpu.computeMode, (mode) => ({ kind: 'compute-mode', mode })),
    ...whenKnown(gpu.powerLimitW, (watts) => ({ kind: 'power-limit', watts })),
    // A mode that an admin has set for the next reset is what it must come back with.
    ...whenKnown(known(gpu.eccPending) === null ? gpu.eccCurrent : gpu.eccPending, (on) => ({ kind: 'ecc-mode', on })),
    ...(known(gpu.migCurrent) === true ? [{ kind: 'mig-layout' as const, uuids: migs }] : []),
  ];
}

function whenKnown<T>(reading: Reading<T>, debt: (value: T) => BoardDebt): readonly BoardDebt[] {
  const value = known(reading);
  return value === null ? [] : [debt(value)];
}

/** Is the board again as the debt says? A reading that is not known says no. */
export function isPaidBy(debt: BoardDebt, gpu: Gpu): boolean {
  switch (debt.kind) {
    case 'persistence': return known(gpu.persistence) === debt.on;
    case 'compute-mode': return known(gpu.computeMode) === debt.mode;
    case 'power-limit': return known(gpu.powerLimitW) === debt.watts;
    case 'ecc-mode': return known(gpu.eccCurrent) === debt.on;
    case 'mig-layout': return JSON.stringify(gpu.migDevices.map(({ uuid, index }) => uuid ?? `device ${index}`).toSorted()) === JSON.stringify(debt.uuids);
  }
}

/** Two debts with one key are the same debt. */
export function debtKey(debt: Debt): string {
  return debt.kind === 'service' ? `service ${debt.unit}` : debt.kind;
}

/** The debt as an admin reads it: what must be so again. */
export function debtText(debt: Debt): string {
  switch (debt.kind) {
    case 'service': return `${debt.unit} was stopped for the reset and must run again`;
    case 'persistence': return `persistence mode was ${debt.on ? 'on' : 'off'}`;
    case 'compute-mode': return `compute mode was ${debt.mode}`;
    case 'power-limit': return `power limit was ${debt.watts} W`;
    case 'ecc-mode': return `ECC mode was ${debt.on ? 'on' : 'off'}`;
    case 'mig-layout': return `${debt.uuids.length} MIG devices existed`;
  }
}

/** What an admin can do about a debt that gpuctl could not pay. */
export function debtRemedy(debt: Debt, pciBusId: string): string {
  switch (debt.kind) {
    case 'service': return `systemctl start ${debt.unit}`;
    case 'persistence': return `nvidia-smi -pm ${debt.on ? 1 : 0} -i ${pciBusId}`;
    case 'compute-mode': return `nvidia-smi -c ${debt.mode.toUpperCase()} -i ${pciBusId}`;
    case 'power-limit': return `nvidia-smi -pl ${debt.watts} -i ${pciBusId}`;
    case 'ecc-mode': return `nvidia-smi -e ${debt.on ? 1 : 0} -i ${pciBusId}, then reset the GPU at the next quiet moment`;
    case 'mig-layout': return 'create the MIG devices again';
  }
}
