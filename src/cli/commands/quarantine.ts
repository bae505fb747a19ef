import { hostname } from 'node:os';
import type { LoadedConfig } from '../../config/types.ts';
import { resolveReference } from '../../decide/device-reference.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { History, ResetRecord } from '../../model/history.ts';
import { seen } from '../../model/observation.ts';
import { type Debt, debtText } from '../../model/reset.ts';
import { isoTime } from '../../model/time.ts';
import type { OpenLedger } from '../../record/ledger/open.ts';
import { createLock } from '../../record/lock.ts';
import { observerOf, systemClock } from '../compose.ts';
import { withLedger } from '../with-ledger.ts';
import { openSink } from '../event-sink.ts';
import type { Globals } from '../globals.ts';
import { renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';

/** One board that gpuctl does not reset any more, or that a reset left otherwise than it found it. */
interface Held {
  readonly uuid: string;
  /** Null: it is not in quarantine. */
  readonly quarantined_since: string | null;
  readonly resets: readonly { readonly at: string; readonly succeeded: boolean }[];
  /** What was not put back after a reset. */
  readonly owed: readonly string[];
}

/** `gpuctl quarantine list`: for anybody who may read the ledger. */
export const quarantineListCommand: Command = async (loaded, globals) => {
  const held = withLedger(loaded.config, 'read', heldIn);
  if (globals.json === true) process.stdout.write(renderJson({ schema: 1, host: hostname(), devices: held }));
  else if (globals.quiet !== true) process.stdout.write(renderHeld(held));
  return ExitCode.ok;
};

function heldIn(ledger: OpenLedger): readonly Held[] {
  const history = ledger.history();
  const since = new Map(ledger.resets.quarantined().map(({ gpuUuid, at }) => [gpuUuid, at]));
  const uuids = new Set([...since.keys(), ...(history.resetDebts ?? []).map(({ gpuUuid }) => gpuUuid)]);
  return [...uuids].map((uuid) => ({ uuid, quarantined_since: timeOf(since.get(uuid)), resets: resetsOf(history, uuid).map(({ at, succeeded }) => ({ at: isoTime(at), succeeded })), owed: owedOf(history, uuid) }));
}

function timeOf(at: number | undefined): string | null {
  return at === undefined ? null : isoTime(at);
}

function resetsOf({ resets }: History, uuid: string): readonly ResetRecord[] {
  return resets.filter(({ gpuUuid }) => gpuUuid === uuid);
}

function owedOf({ resetDebts = [] }: History, uuid: string): readonly string[] {
  return resetDebts.filter(({ gpuUuid }) => gpuUuid === uuid).map(({ debt, why }) => `${debtText(debt)}${why === null ? '' : ` (${why})`}`);
}

function renderHeld(held: readonly Held[]): string {
  if (held.length === 0) return 'No device is in quarantine.\n';
  return held.map(({ uuid, quarantined_since, resets, owed }) => [
    `${uuid}  ${quarantined_since === null ? 'not in quarantine' : `in quarantine since ${quarantined_since}`}`,
    ...resets.map(({ at, succeeded }) => `  reset ${at}: ${succeeded ? 'it came back' : 'failed, or not known how it ended'}`),
    ...owed.map((text) => `  not put back: ${text}`),
  ].map((line) => `${line}\n`).join('')).join('');
}

/**
 * `gpuctl quarantine clear`: an admin takes the board as it is. It may be reset again, the count of a day starts anew, and
 * what was not put back after its resets is given up. Its cool-down stays.
 */
export function quarantineClearCommand(device: string): Command {
  return async (loaded, globals) => {
    if (process.geteuid?.() !== 0) throw new GpuctlError('only root may clear a quarantine', { code: 'not-permitted', exitCode: ExitCode.usage });
    const uuid = await uuidOf(device, loaded);
    const lock = await createLock().acquire();
    if (lock === null) throw new GpuctlError('another pass holds the lock /run/gpuctl/lock; nothing was changed', { code: 'locked', exitCode: ExitCode.locked, hint: 'try again when it has ended' });
    try {
      const given = withLedger(loaded.config, 'write', (ledger) => ledger.resets.clearQuarantine(uuid, systemClock.now()));
      tell({ uuid, given, loaded, globals });
      return ExitCode.ok;
    } finally {
      lock.release();
    }
  };
}

/** A board that nvidia-smi does not show any more can still be named by its UUID. Throws GpuctlError (exit 2): there is nothing to clear. */
async function uuidOf(device: string, loaded: LoadedConfig): Promise<string> {
  const held = withLedger(loaded.config, 'read', (ledger) => [...new Set([...heldIn(ledger).map(({ uuid }) => uuid), ...ledger.history().resets.map(({ gpuUuid }) => gpuUuid)])]);
  if (held.includes(device)) return device;
  const gpus = held.length === 0 ? [] : (seen((await observerOf(loaded.config).observe()).driver)?.gpus ?? []);
  const [named, another] = new Set(resolveReference(device, gpus).map(({ gpuUuid }) => gpuUuid));
  if (named !== undefined && another === undefined && held.includes(named)) return named;
  throw new GpuctlError(`${JSON.stringify(device)} is not in quarantine`, { code: 'not-in-quarantine', exitCode: ExitCode.usage, hint: 'gpuctl quarantine list shows what is' });
}

interface Cleared {
  readonly uuid: string;
  readonly given: readonly Debt[];
  readonly loaded: LoadedConfig;
  readonly globals: Globals;
}

function tell({ uuid, given, loaded, globals }: Cleared): void {
  const given_up = given.map(debtText);
  const sink = openSink(loaded, globals, null);
  sink.emit({ action: 'gpu.quarantine.cleared', message: `GPU ${uuid} was taken out of quarantine${given_up.length === 0 ? '' : `; given up: ${given_up.join('; ')}`}`, gpu: { uuid }, facts: { given_up } });
  sink.close();
  if (globals.json === true) process.stdout.write(renderJson({ schema: 1, host: hostname(), cleared: uuid, given_up }));
  else if (globals.quiet !== true && globals.events !== true) process.stdout.write(`${uuid} may be reset again; the count of a day starts anew.\n${given_up.map((text) => `Given up: ${text}.\n`).join('')}`);
}
