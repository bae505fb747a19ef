import { hostname } from 'node:os';
import type { LoadedConfig } from '../../config/types.ts';
import { resolveReference } from '../../decide/device-reference.ts';
import { defaultHealthRules, healthFactsOf } from '../../decide/health/facts.ts';
import { acceptHealth } from '../../decide/health/marks.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { Gpu } from '../../model/device.ts';
import type { History } from '../../model/history.ts';
import { seen } from '../../model/observation.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { createLock } from '../../record/lock.ts';
import { ask } from '../ask.ts';
import { observerOf } from '../compose.ts';
import { say } from '../say.ts';
import { withLedger } from '../with-ledger.ts';
import { openSink } from '../event-sink.ts';
import type { Globals } from '../globals.ts';
import { baselinesOf, renderBaselines } from '../render/baselines.ts';
import { renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';

/** `gpuctl health-check --baseline`: what the readings of each device are compared with, and what they are now. Changes nothing. */
export function showBaselineCommand(devices: readonly string[]): Command {
  return async (loaded, globals) => {
    const { snapshot, history } = await look(loaded);
    const shown = baselinesOf(history, gpusIn(snapshot), selected(devices, snapshot));
    if (globals.json === true) process.stdout.write(renderJson({ schema: 1, host: hostname(), devices: shown }));
    else if (globals.quiet !== true) process.stdout.write(renderBaselines(shown));
    return snapshot.driver.state === 'failed' ? ExitCode.notObserved : ExitCode.ok;
  };
}

/**
 * `gpuctl health-check --baseline accept`: the devices are taken as they are now, after a change of hardware. Counters and
 * PCIe levels count from here, the idle memory is learned anew; without --device, GPUs that are missing are forgotten.
 * The lock is taken after the question, and everything looked at again.
 */
export function acceptBaselineCommand(devices: readonly string[]): Command {
  return async (loaded, globals) => {
    if (globals.dryRun === true) return showBaselineCommand(devices)(loaded, globals);
    refuseUnasked(globals);
    const { snapshot, history } = await look(loaded);
    const uuids = acceptable(devices, snapshot);
    if (globals.yes !== true) {
      process.stderr.write(renderBaselines(baselinesOf(history, gpusIn(snapshot), uuids)));
      if (!(await ask(question(devices, uuids, history, snapshot)))) return say(globals, 'nothing was changed');
    }
    return accept({ devices, uuids, loaded, globals });
  };
}

function refuseUnasked({ yes }: Globals): void {
  if (process.geteuid?.() !== 0) throw new GpuctlError('only root may accept a baseline', { code: 'not-permitted', exitCode: ExitCode.usage });
  if (yes === true || process.stdin.isTTY === true) return;
  throw new GpuctlError('--baseline accept needs a terminal, or --yes', { code: 'usage', exitCode: ExitCode.usage, hint: 'see first what gpuctl health-check --baseline shows' });
}

interface Look {
  readonly snapshot: Snapshot;
  readonly history: History;
}

async function look(loaded: LoadedConfig): Promise<Look> {
  const history = withLedger(loaded.config, 'read', (ledger) => ledger.history());
  return { history, snapshot: await observerOf(loaded.config).observe() };
}

function gpusIn({ driver }: Snapshot): readonly Gpu[] {
  return seen(driver)?.gpus ?? [];
}

/** Null: all of them. Throws GpuctlError (exit 2) for a reference to no device. */
function selected(devices: readonly string[], snapshot: Snapshot): ReadonlySet<string> | null {
  if (devices.length === 0) return null;
  return new Set(devices.flatMap((device) => {
    const uuids = [...new Set(resolveReference(device, gpusIn(snapshot)).map(({ gpuUuid }) => gpuUuid))];
    if (uuids.length === 0) throw new GpuctlError(`${JSON.stringify(device)} names no device of this host`, { code: 'no-such-device', exitCode: ExitCode.usage, hint: 'gpuctl status lists them' });
    return uuids;
  }));
}

/** Throws GpuctlError where it is not certain what would be accepted: exit 3 where nvidia-smi does not answer, 2 for a reference that could mean several devices. */
function acceptable(devices: readonly string[], snapshot: Snapshot): ReadonlySet<string> {
  const { driver } = snapshot;
  if (driver.state === 'failed') throw new GpuctlError(`nvidia-smi: ${driver.why}; nothing was changed`, { code: 'not-observed', exitCode: ExitCode.notObserved, hint: 'gpuctl doctor tells more' });
  const named = selected(devices, snapshot) ?? new Set(gpusIn(snapshot).map(({ uuid }) => uuid));
  if (devices.length > 0 && named.size > devices.length && !devices.includes('all')) throw new GpuctlError('the devices cannot be told apart by what was given; nothing was changed', { code: 'ambiguous-device', exitCode: ExitCode.usage, hint: 'name them by UUID' });
  return named;
}

function question(devices: readonly string[], uuids: ReadonlySet<string>, { inventory = [] }: History, snapshot: Snapshot): string {
  const there = new Set(gpusIn(snapshot).map(({ uuid }) => uuid));
  const missing = devices.length > 0 ? [] : inventory.filter((entry) => entry.missingSince !== null && !there.has(entry.gpuUuid));
  const forgotten = missing.length === 0 ? '' : ` Forgotten, as missing: ${missing.map(({ gpuUuid }) => gpuUuid).join(', ')}.`;
  return `${uuids.size === 1 ? '1 device is taken as it is' : `${uuids.size} devices are taken as they are`} now: counters and PCIe links count from here, the idle memory is learned anew.${forgotten} Go on?`;
}

interface Accepting {
  readonly devices: readonly string[];
  readonly uuids: ReadonlySet<string>;
  readonly loaded: LoadedConfig;
  readonly globals: Globals;
}

async function accept({ devices, uuids, loaded, globals }: Accepting): Promise<ExitCode> {
  const held = await createLock().acquire();
  if (held === null) {
    process.stderr.write('gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was changed\n');
    return ExitCode.locked;
  }
  try {
    const { snapshot, history } = await look(loaded);
    const gpus = gpusIn(snapshot).filter(({ uuid }) => uuids.has(uuid));
    if (gpus.length < uuids.size) throw new GpuctlError('nvidia-smi does not show every one of these devices any more; nothing was changed', { code: 'not-observed', exitCode: ExitCode.notObserved });
    const forgotten = withLedger(loaded.config, 'write', (ledger) => {
      ledger.recordHealth(acceptHealth(gpus.map((gpu) => healthFactsOf(gpu, { snapshot, history, claims: { claims: [], unresolved: [] } }, defaultHealthRules))));
      return devices.length === 0 ? ledger.acceptInventory() : [];
    });
    tell({ gpus, forgotten, loaded, globals });
    return say(globals, `accepted: ${gpus.length === 1 ? '1 device as it is' : `${gpus.length} devices as they are`} now${forgotten.length === 0 ? '' : `; forgotten: ${forgotten.join(', ')}`}`);
  } finally {
    held.release();
  }
}

function tell({ gpus, forgotten, loaded, globals }: { readonly gpus: readonly Gpu[]; readonly forgotten: readonly string[]; readonly loaded: LoadedConfig; readonly globals: Globals }): void {
  const sink = openSink(loaded, globals, null);
  for (const { uuid, index, pciBusId } of gpus) sink.emit({ action: 'gpu.baseline.accepted', message: `the readings of GPU ${index ?? uuid} are its baseline from now on`, gpu: { uuid, index, busId: pciBusId } });
  for (const uuid of forgotten) sink.emit({ action: 'gpu.baseline.accepted', message: `GPU ${uuid} is no longer missed`, gpu: { uuid }, facts: { forgotten: true } });
  sink.close();
}
