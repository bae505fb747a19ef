import { type ChildResult, runChild } from '../callout/child.ts';
import type { GpuTarget } from '../model/decision.ts';
import type { BoardDebt } from '../model/reset.ts';
import type { StepResult } from '../passes/ports.ts';

/** Runs a program to its end or its deadline; never throws. */
export type Run = typeof runChild;

export interface SmiParts {
  readonly nvidiaSmi: { readonly path: string; readonly timeoutMs: number };
  /** How children are run; the real way where it is not given. */
  readonly run?: Run;
}

/** Calls nvidia-smi. */
export function callSmi({ nvidiaSmi, run = runChild }: SmiParts, args: readonly string[]): Promise<ChildResult> {
  return run({ file: nvidiaSmi.path, args, timeoutMs: nvidiaSmi.timeoutMs });
}

/** `nvidia-smi -c`'s numbers for the words of its own report (nvidia-smi's manual page, 2026-11). */
const COMPUTE_MODES: ReadonlyMap<string, string> = new Map([['default', '0'], ['exclusive_thread', '1'], ['prohibited', '2'], ['exclusive_process', '3']]);

/** Puts one setting of one GPU back, where nvidia-smi can without another reset; null: it cannot. */
export async function restoreSetting(parts: SmiParts, { pciBusId }: GpuTarget, debt: BoardDebt): Promise<StepResult | null> {
  const args = argumentsFor(debt);
  return args === null ? null : resultOf(await callSmi(parts, [...args, '-i', pciBusId]));
}

function argumentsFor(debt: BoardDebt): readonly string[] | null {
  switch (debt.kind) {
    case 'persistence': return ['-pm', debt.on ? '1' : '0'];
    case 'compute-mode': {
      const number = COMPUTE_MODES.get(debt.mode.toLowerCase());
      return number === undefined ? null : ['-c', number];
    }
    case 'power-limit': return ['-pl', String(debt.watts)];
    case 'ecc-mode':
    case 'mig-layout': return null;
  }
}

/** A child's end as the end of a step. */
export function resultOf({ exitCode, stdout, stderr, problem }: ChildResult): StepResult {
  const text = [stdout, stderr].join('\n').trim().replace(/\s+/g, ' ').slice(0, 300);
  if (problem === null && exitCode === 0) return { result: 'done', detail: text };
  return { result: 'failed', detail: `${problem ?? `exit ${exitCode}`}: ${text}` };
}
