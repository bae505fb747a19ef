import { openEngine } from '../../callout/engine.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { EngineIdentity } from '../../model/snapshot.ts';
import { observeEngine, sameEngine } from '../../observe/docker/index.ts';
import { createLock } from '../../record/lock.ts';
import { ask } from '../ask.ts';
import { acceptForgotten } from './accept-forgotten.ts';
import { engineHost } from '../compose.ts';
import { say } from '../say.ts';
import { withLedger } from '../with-ledger.ts';
import { openSink } from '../event-sink.ts';
import type { Globals } from '../globals.ts';
import type { Command } from '../run.ts';

/**
 * `gpuctl doctor --accept-engine`: from now on the ledger belongs to the engine that answers. What gpuctl knew of the other
 * one's containers no longer authorises any act. Where it is the engine that the ledger knows, what it has forgotten may be
 * accepted. The lock is taken after the question, and the engine asked again.
 */
export const acceptEngineCommand: Command = async (loaded, globals) => {
  if (process.geteuid?.() !== 0) throw new GpuctlError('only root may accept an engine', { code: 'not-permitted', exitCode: ExitCode.usage });
  refuseUnasked(globals);
  const [known, found] = [knownEngine(loaded), await engineNow(loaded)];
  if (known === null) return say(globals, 'the ledger knows no engine yet: the next pass learns it; nothing to accept');
  if (sameEngine(known, found)) return (await acceptForgotten(found, loaded, globals)) ?? say(globals, `${nameOf(found)} is the engine that the ledger knows; nothing to accept`);
  if (globals.yes !== true && !(await ask(`The ledger knows the engine ${nameOf(known)}; now ${nameOf(found)} answers at ${engineHost(loaded.config)}. Is that the engine of this host from now on?`))) return say(globals, 'nothing was changed');
  return accept({ known, found }, loaded, globals);
};

/** Podman has no lasting id. */
function nameOf({ kind, engineId }: EngineIdentity): string {
  return engineId ?? kind;
}

function refuseUnasked({ yes }: Globals): void {
  if (yes === true || process.stdin.isTTY === true) return;
  throw new GpuctlError('--accept-engine needs a terminal, or --yes', { code: 'usage', exitCode: ExitCode.usage, hint: 'see first what gpuctl doctor says of the engine' });
}

/** Null: none yet. */
function knownEngine({ config }: LoadedConfig): EngineIdentity | null {
  const { engineId, engineKind } = withLedger(config, 'read', (ledger) => ledger.history());
  return engineId === null && (engineKind ?? null) === null ? null : { engineId, kind: engineKind ?? 'docker' };
}

async function engineNow({ config }: LoadedConfig): Promise<EngineIdentity> {
  const reply = await observeEngine(openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs }));
  if (!reply.ok) throw new GpuctlError(`the engine did not answer: ${reply.why}`, { code: 'not-observed', exitCode: ExitCode.notObserved, hint: 'gpuctl doctor tells more' });
  return { kind: reply.value.kind, engineId: reply.value.engineId };
}

interface Change {
  readonly known: EngineIdentity;
  /** As it was shown when the question was asked. */
  readonly found: EngineIdentity;
}

async function accept({ known, found }: Change, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const held = await createLock().acquire();
  if (held === null) {
    process.stderr.write('gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was changed\n');
    return ExitCode.locked;
  }
  try {
    if (!sameEngine(await engineNow(loaded), found)) throw new GpuctlError('another engine answers now than a moment ago; nothing was changed', { code: 'engine-changed', exitCode: ExitCode.notObserved, hint: 'find out which engine serves this socket' });
    withLedger(loaded.config, 'write', (ledger) => { ledger.acceptEngine(found.engineId, found.kind); });
    tell({ known, found }, loaded, globals);
    return say(globals, `accepted: ${nameOf(found)} is the engine of this host from now on`);
  } finally {
    held.release();
  }
}

/** For whoever wonders later why containers of the other engine count for nothing. */
function tell({ known, found }: Change, loaded: LoadedConfig, globals: Globals): void {
  const sink = openSink(loaded, globals, null);
  sink.emit({ action: 'engine.accepted', message: `an admin accepted ${nameOf(found)} as the engine of this host; it was ${nameOf(known)}`, outcome: 'success', facts: { engine: { kind: found.kind, id: found.engineId }, was: { kind: known.kind, id: known.engineId } } });
  sink.close();
}
