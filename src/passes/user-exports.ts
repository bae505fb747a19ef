import type { Assessment } from '../decide/assess.ts';
import { seen } from '../model/observation.ts';
import { printable } from '../model/text.ts';
import { isoTime } from '../model/time.ts';
import { containersAfter } from './after-acts.ts';
import { describing, outlookParts } from './container-outlook.ts';
import { freeGpus, freeMigs } from './free.ts';
import { judgedByMemory } from './judged-device.ts';
import type { Pass } from './pass.ts';
import type { DeviceReport, PassReport } from './report.ts';
import { attempt, ownerUidOf } from './user-side.ts';

/** Writes what users without root may read. What was not seen is not written: the earlier files stay, and tell their age. */
export async function shareWithUsers(pass: Pass, report: PassReport): Promise<void> {
  const { users } = pass.parts;
  const { latest } = pass;
  if (users === undefined || latest === null) return;
  const whys = seen(latest.snapshot.engine) === null ? null : await whyExports(pass, latest);
  attempt(pass.parts, 'what users may read could not be written', () => {
    // A pass that was asked about some devices only does not speak of the others.
    if (pass.selected === null) users.exports.writePublic(publicExport(pass, latest, report));
    if (whys !== null) users.exports.writeWhys(whys);
  });
}

/** What `public.json` holds; a contract. */
function publicExport(pass: Pass, latest: Assessment, { observed, devices }: PassReport): object {
  const { id, parts, options } = pass;
  const known = observed.nvidia_smi !== 'failed' && observed.engine !== 'failed';
  // A finding that is switched off hides dirt from the report; a device that is dirty is not free for all that.
  const judged = withoutGone(devices, pass, latest).map((device) => judgedByMemory(device, latest, parts));
  const free = freeGpus(judged);
  const migs = freeMigs(judged);
  return {
    schema: 1, host: parts.host, at: isoTime(parts.clock.now()), pass: id, job: options.job, observed,
    free: known ? free : null, free_mig: known ? migs : null,
    devices: judged.map((device) => ({
      uuid: device.uuid, index: device.index, name: device.name, verdict: device.verdict,
      free: known ? free.includes(device.uuid) : null,
      held_by: new Set(device.claims.filter((claim) => !claim.released).map((claim) => claim.container.id)).size,
      processes: device.processes?.length ?? null,
      used_mib: device.used_mib, total_mib: device.total_mib, utilization_percent: device.utilization_percent,
      mig: device.mig?.map((mig) => ({ ...mig, free: known ? migs.some((each) => each.uuid === mig.uuid) : null })) ?? null,
    })),
  };
}

/** What this pass removed claims nothing any more, though its last look saw it. */
function withoutGone(devices: readonly DeviceReport[], pass: Pass, latest: Assessment): readonly DeviceReport[] {
  if (pass.ended.size === 0) return devices;
  const there = new Set(containersAfter(pass, latest).map(({ id }) => id));
  return devices.map((device) => ({ ...device, claims: device.claims.filter(({ container: { id } }) => there.has(id) || !pass.ended.has(id)) }));
}

/** What each `why/<uid>.json` holds, a contract: the user's own containers. An owner whom this host does not know gets none. */
async function whyExports(pass: Pass, latest: Assessment): Promise<ReadonlyMap<number, object>> {
  const { id, parts } = pass;
  const outlook = outlookParts(parts);
  if (outlook === null) return new Map();
  const now = parts.clock.now();
  const byUid = Map.groupBy(containersAfter(pass, latest), (container) => ownerUidOf(container, parts));
  const refusals = Map.groupBy(outlook.ledger.keepRefusals?.().filter(({ at }) => at <= now && now - at < REFUSAL_SHOWN_MS) ?? [], ({ uid }) => uid);
  const describe = describing(latest, outlook, now);
  const uids = new Set([...byUid.keys(), ...refusals.keys()].filter((uid) => uid !== null));
  return new Map(await Promise.all([...uids].map(async (uid): Promise<[number, object]> => [uid, {
    schema: 1, host: parts.host, at: isoTime(now), pass: id, uid,
    containers: await Promise.all((byUid.get(uid) ?? []).map(describe)),
    keep_refused: (refusals.get(uid) ?? []).map(({ at, why }) => ({ at: isoTime(at), why: printable(why) })),
  }])));
}

/** Whoever asked in the morning still sees the answer in the evening. */
const REFUSAL_SHOWN_MS = 24 * 3_600_000;
