import { loadConfig } from '../../config/load.ts';
import type { LoadedConfig } from '../../config/types.ts';
import type { Clock } from '../../passes/ports.ts';
import { readBundle } from './bundle.ts';
import { steppedClock } from './clock.ts';
import { contentsOf, type Manifest } from './contents.ts';
import { player, type Seam, type Tape } from './tape.ts';

/** A recorded host in the place of this one. */
export interface Replay {
  readonly manifest: Manifest;
  readonly seam: Seam;
  readonly clock: Clock;
  /** The defaults: what the configuration said is on the tape, in the terms of the rules. */
  readonly loaded: LoadedConfig;
}

/** Opens a bundle for one pass. Throws GpuctlError (exit 2) where it cannot be used. */
export async function openReplay(path: string): Promise<Replay> {
  const { manifest, tape } = contentsOf(path, readBundle(path));
  return { manifest, loaded: await defaultsAlone(), ...playing(tape, manifest.at) };
}

/** A tape from its beginning. */
export function playing(tape: Tape, at: number): Pick<Replay, 'seam' | 'clock'> {
  return steppedClock(player(tape), undefined, { at, sleep: async () => { /* nobody waits for what has happened */ } });
}

/** Whatever the files of this machine say has nothing to do with it. */
export function defaultsAlone(): Promise<LoadedConfig> {
  return loadConfig({ defaultFile: '/nonexistent', confDir: '/nonexistent' });
}
