import type { HungSmi } from '../model/lost.ts';

/** The process that a latch names, now. `unknown`: /proc does not tell; `unnamed`: the latch names none. */
export type HolderState = 'lives' | 'gone' | 'unknown' | 'unnamed';

export interface LatchFacts {
  readonly hung: HungSmi | null;
  /** Null: unreadable. */
  readonly bootId: string | null;
  readonly holder: HolderState;
  /** Only a pass that holds the host's lock may probe, so that there is one probe at a time. */
  readonly mayProbe: boolean;
}

/** *Ask*: nvidia-smi may be asked. *Lift*: so it may, and the latch is out of date. *Probe*: one short question first. *Wait*: no question at all. */
export type LatchDecision = 'ask' | 'lift' | 'probe' | 'wait';

/** May nvidia-smi be asked, after one that hung? What is not known counts as still hung. */
export function decideLatch({ hung, bootId, holder, mayProbe }: LatchFacts): LatchDecision {
  if (hung === null) return 'ask';
  if (bootId !== null && bootId !== hung.bootId) return mayProbe ? 'lift' : 'ask';
  if (bootId === null || holder === 'lives' || holder === 'unknown') return 'wait';
  return mayProbe ? 'probe' : 'wait';
}
