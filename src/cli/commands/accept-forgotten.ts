import type { LoadedConfig } from '../../config/types.ts';
import { type ForgottenContainer, forgottenContainers } from '../../decide/engine.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { EngineIdentity } from '../../model/snapshot.ts';
import { createLock } from '../../record/lock.ts';
import { ask } from '../ask.ts';
import { observerOf, systemClock } from '../compose.ts';
import { say } from '../say.ts';
import { withLedger } from '../with-ledger.ts';
import { openSink } from '../event-sink.ts';
import type { Globals } from '../globals.ts';

/**
 * The part of `gpuctl doctor --accept-engine` for the engine that the ledger knows: containers that it has forgotten while their
 * shims live cast no more doubt on it. They are left alone for good: what has a live shim is nobody's orphan. Null: it has
 * forgotten none. Throws GpuctlError (exit 3) where that cannot be seen.
 */
export async function acceptForgotten(engine: EngineIdentity, loaded: LoadedConfig, globals: Globals): Promise<ExitCode | null> {
  const shown = await observeForgotten(loaded);
  if (shown.length === 0) return null;
  const list = shown.map(({ id, pid }) => `${id.slice(0, 12)} (pid ${pid})`).join(', ');
  if (globals.yes !== true && !(await ask(`The engine no longer lists containers that still run: ${list}. Are they to be left alone, and is it to be trusted all the same?`))) return say(globals, 'nothing was changed');
  const held = await createLock().acquire();
  if (held === null) {
    process.stderr.write('gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was changed\n');
    return ExitCode.locked;
  }
  try {
    return await accept({ engine, shown, list }, loaded, globals);
  } finally {
    held.release();
  }
}

interface Acceptance {
  readonly engine: EngineIdentity;
  readonly shown: readonly ForgottenContainer[];
  readonly list: string;
}

async function accept({ engine, shown, list }: Acceptance, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const ids = shown.map(({ id }) => id);
  if ((await observeForgotten(loaded)).some(({ id }) => !ids.includes(id))) throw new GpuctlError('the engine has forgotten more than a moment ago; nothing was changed', { code: 'engine-changed', exitCode: ExitCode.notObserved, hint: 'see again what gpuctl doctor says' });
  withLedger(loaded.config, 'write', (ledger) => { ledger.acceptContainers(ids, systemClock.now()); });
  const sink = openSink(loaded, globals, null);
  const identity = { kind: engine.kind, id: engine.engineId };
  sink.emit({ action: 'engine.accepted', message: `an admin accepted that the engine has forgotten ${list}`, outcome: 'success', facts: { engine: identity, was: identity, containers: ids } });
  sink.close();
  return say(globals, `accepted: ${list} cast no more doubt on the engine, and are left alone`);
}

async function observeForgotten({ config }: LoadedConfig): Promise<readonly ForgottenContainer[]> {
  const { engine, processes } = await observerOf(config).observe();
  if (engine.state === 'failed') throw notObserved(`the engine did not answer: ${engine.why}`);
  if (processes.state === 'failed') throw notObserved(`shims could not be looked for: ${processes.why}`);
  return forgottenContainers(engine.value, processes.value, withLedger(config, 'read', (ledger) => ledger.history()));
}

function notObserved(message: string): GpuctlError {
  return new GpuctlError(message, { code: 'not-observed', exitCode: ExitCode.notObserved, hint: 'gpuctl doctor tells more' });
}
