import { openEngine } from '../../callout/engine.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { observeEngine } from '../../observe/docker/index.ts';
import { openLedger } from '../../record/ledger/open.ts';
import { createLock } from '../../record/lock.ts';
import { ask } from '../ask.ts';
import { engineHost, ledgerFile, systemClock } from '../compose.ts';
import type { Globals } from '../globals.ts';
import type { Command } from '../run.ts';

/**
 * `gpuctl doctor --accept-engine`: from now on the ledger belongs to the engine that answers. What gpuctl knew of the other
 * one's containers no longer authorises any act. The lock is taken after the question, and the engine asked again.
 */
export const acceptEngineCommand: Command = async (loaded, globals) => {
  refuseUnasked(globals);
  const [known, found] = [knownEngine(loaded), await engineId(loaded)];
  if (known === found) return say(globals, known === null ? 'podman has no lasting id: there is nothing to accept' : `${found} is the engine that the ledger knows; nothing to accept`);
  if (found === null) return say(globals, 'podman has no lasting id: there is nothing to accept');
  if (known === null) return say(globals, 'the ledger knows no engine yet: the next pass learns it; nothing to accept');
  if (globals.yes !== true && !(await ask(`The ledger knows the engine ${known}; now ${found} answers at ${engineHost(loaded.config)}. Is that the engine of this host from now on?`))) return say(globals, 'nothing was changed');
  return accept(found, loaded, globals);
};

function refuseUnasked({ yes }: Globals): void {
  if (yes === true || process.stdin.isTTY === true) return;
  throw new GpuctlError('--accept-engine needs a terminal, or --yes', { code: 'usage', exitCode: ExitCode.usage, hint: 'see first what gpuctl doctor says of the engine' });
}

function knownEngine({ config }: LoadedConfig): string | null {
  const ledger = openLedger({ file: ledgerFile(config), now: systemClock.now, mode: 'read' });
  try {
    if (ledger.unreadable !== null) throw new GpuctlError(`the ledger cannot be read: ${ledger.unreadable}`, { code: 'ledger-unreadable', exitCode: ExitCode.notObserved, hint: 'run as root' });
    return ledger.history().engineId;
  } finally {
    ledger.close();
  }
}

/** Null: podman. */
async function engineId({ config }: LoadedConfig): Promise<string | null> {
  const reply = await observeEngine(openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs }));
  if (!reply.ok) throw new GpuctlError(`the engine did not answer: ${reply.why}`, { code: 'not-observed', exitCode: ExitCode.notObserved, hint: 'gpuctl doctor tells more' });
  return reply.value.engineId;
}

async function accept(shown: string, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const held = await createLock().acquire();
  if (held === null) {
    process.stderr.write('gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was changed\n');
    return ExitCode.locked;
  }
  try {
    if ((await engineId(loaded)) !== shown) throw new GpuctlError('another engine answers now than a moment ago; nothing was changed', { code: 'engine-changed', exitCode: ExitCode.notObserved, hint: 'find out which engine serves this socket' });
    const ledger = openLedger({ file: ledgerFile(loaded.config), now: systemClock.now, mode: 'write' });
    ledger.acceptEngine(shown);
    ledger.close();
    return say(globals, `accepted: ${shown} is the engine of this host from now on`);
  } finally {
    held.release();
  }
}

function say({ quiet }: Globals, text: string): ExitCode {
  if (quiet !== true) process.stderr.write(`gpuctl: ${text}\n`);
  return ExitCode.ok;
}
