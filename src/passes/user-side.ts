import type { KeepAlive } from '../model/activity.ts';
import { claimingIds, claimsNow, standingOf } from '../decide/managed.ts';
import { isDemandHigh } from '../decide/demand.ts';
import { decideKeepRequest, type KeepAnswer } from '../decide/keep-request.ts';
import type { LimitPolicy } from '../decide/limit-rules.ts';
import { decideOutlook, type Prospect } from '../decide/outlook.ts';
import type { Assessment } from '../decide/assess.ts';
import type { Container, InspectedContainer } from '../model/container.ts';
import { seen } from '../model/observation.ts';
import type { GpuctlEvent } from '../model/event.ts';
import { REASONS } from '../model/reason.ts';
import { isoTime } from '../model/time.ts';
import { printable } from '../model/text.ts';
import { freeGpus, freeMigs } from './free.ts';
import { judgedByMemory } from './judged-device.ts';
import type { Pass } from './pass.ts';
import { type DatedProspect, datingBy } from './dated-outlook.ts';
import type { KeepRequest, KeepRequests, LimitsLedger, LimitsParts, UserExports } from './ports.ts';
import type { PassReport } from './report.ts';

/** How a pass deals with the users of the host who are not root: what they may read of it, and what they ask of it. */
export interface UserSide {
  readonly exports: UserExports;
  readonly requests: KeepRequests;
  /** Uid of a user of this host; null: there is none of that name. */
  readonly uidOf: (name: string) => number | null;
}

/** What the outlook of a container needs of a pass. */
export interface OutlookParts {
  readonly ledger: Pick<LimitsLedger, 'idleClocks' | 'firstStarts' | 'keepAlives' | 'keepRefusals' | 'recordKeepAlive' | 'warnings' | 'onceManaged'>;
  readonly policy: LimitPolicy;
  readonly nextRun: LimitsParts['nextRun'];
}

/** Null: the pass has nothing to do with limits. */
export function outlookParts({ limits, policy }: Pick<Pass['parts'], 'limits' | 'policy'>): OutlookParts | null {
  return limits === undefined || policy.limits === undefined ? null : { ledger: limits.ledger, policy: policy.limits, nextRun: limits.nextRun };
}

/**
 * Takes the wishes that users dropped and grants those that may be granted. Not where the containers are not known: then
 * they wait. Never throws for what users can do.
 */
export function takeKeepRequests({ parts }: Pass, { snapshot }: Assessment): void {
  const { users, sink, limits, clock } = parts;
  const engine = seen(snapshot.engine);
  if (users === undefined || engine === null || outlookParts(parts) === null) return;
  const taken = attempt(parts, 'the folder of keep requests cannot be read', () => users.requests.take());
  for (const { uid, why } of taken?.refused ?? []) sink.emit({ action: 'keep.refused', message: `a request of uid ${uid} was thrown away: ${why}`, outcome: 'failure', facts: { uid } });
  const answers = (taken?.requests ?? []).map((request) => ({ uid: request.uid, answer: answerKeepRequest(parts, { request, containers: engine.containers }) }));
  // Whoever dropped a wish is not there to be answered. What is granted ends the refusals of earlier passes, not those of this one.
  for (const { uid, answer } of answers) if (answer.granted) limits?.ledger.forgetKeepRefusals?.(uid);
  const refused = [...(taken?.refused ?? []), ...answers.flatMap(({ uid, answer }) => (answer.granted ? [] : [{ uid, why: answer.why }]))];
  for (const refusal of refused) limits?.ledger.recordKeepRefusal?.(refusal, clock.now());
}

interface Asked {
  readonly request: KeepRequest;
  readonly containers: readonly Container[];
}

/** Grants or refuses one wish, and tells it. What is granted is in the ledger. */
export function answerKeepRequest(parts: Pick<Pass['parts'], 'clock' | 'limits' | 'ownerOf' | 'policy' | 'sink' | 'users'>, { request, containers }: Asked): KeepAnswer {
  const outlook = outlookParts(parts);
  if (outlook === null) throw new TypeError('a pass without limits was asked to keep a container');
  const { ledger, policy } = outlook;
  const now = parts.clock.now();
  const answer = decideKeepRequest({
    reference: request.container, uid: request.uid, forMs: request.forMs, containers, now,
    clocks: ledger.idleClocks(), wishes: ledger.keepAlives(),
    ownerUidOf: (container) => ownerUidOf(container, parts),
    keepAliveMaxMs: (container) => policy.rulesOf(container, now).keepAliveMaxMs,
  });
  if (answer.granted) ledger.recordKeepAlive(answer.keep);
  parts.sink.emit(answer.granted ? granted(answer.keep, answer.container.name) : { action: 'keep.refused', message: `a request to keep a container was refused: ${printable(answer.why)}`, outcome: 'failure', facts: { uid: request.uid } });
  return answer;
}

function granted(keep: KeepAlive, name: string): GpuctlEvent {
  return { action: 'keep.granted', message: `container ${name} is kept from the idle stop until ${isoTime(keep.until)}`, outcome: 'success', container: { id: keep.containerId, name }, facts: { uid: keep.uid, until: isoTime(keep.until) } };
}

function ownerUidOf(container: InspectedContainer, { ownerOf, users }: Pick<Pass['parts'], 'ownerOf' | 'users'>): number | null {
  const owner = ownerOf(container);
  return owner === null || users === undefined ? null : users.uidOf(owner);
}

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

/** The pass goes on without, and says so. */
function attempt<T>({ sink }: Pass['parts'], what: string, work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    sink.emit({ action: 'notify.failed', message: `${what}: ${error instanceof Error ? error.message : String(error)}`, outcome: 'failure', reason: 'export' });
    return null;
  }
}

/** What `public.json` holds; a contract. */
function publicExport({ id, parts, options }: Pass, latest: Assessment, { observed, devices }: PassReport): object {
  const known = observed.nvidia_smi !== 'failed' && observed.engine !== 'failed';
  // A finding that is switched off hides dirt from the report; a device that is dirty is not free for all that.
  const judged = devices.map((device) => judgedByMemory(device, latest, parts));
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

/** What each `why/<uid>.json` holds, a contract: the user's own containers. An owner whom this host does not know gets none. */
async function whyExports({ id, parts }: Pass, latest: Assessment): Promise<ReadonlyMap<number, object>> {
  const outlook = outlookParts(parts);
  if (outlook === null) return new Map();
  const now = parts.clock.now();
  const containers = (seen(latest.snapshot.engine)?.containers ?? []).filter((each): each is InspectedContainer => each.inspected);
  const byUid = Map.groupBy(containers, (container) => ownerUidOf(container, parts));
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

/** What is known of one container's future. */
export function describing(latest: Assessment, { ledger, policy, nextRun }: OutlookParts, now: number): (container: InspectedContainer) => Promise<ContainerOutlook> {
  const dated = datingBy(nextRun, now);
  const [clocks, firstStarts, wishes, warnings, once] = [ledger.idleClocks(), ledger.firstStarts(), ledger.keepAlives(), ledger.warnings(), ledger.onceManaged()];
  const claiming = claimingIds(latest);
  const containers = seen(latest.snapshot.engine)?.containers ?? [];
  const infrastructure = new Set(containers.filter((each) => each.inspected && policy.rulesOf(each, now).infrastructure).map((each) => each.id));
  const highDemand = isDemandHigh(latest, infrastructure, policy.highDemand.atPercent);
  return async (container) => {
    const rules = policy.rulesOf(container, now);
    const claims = claimsNow(container, latest, claiming);
    const managed = claims === false && once.has(container.id) ? true : claims;
    const clock = clocks.find((each) => each.containerId === container.id && each.startedAt === container.startedAt) ?? null;
    const prospects = decideOutlook({
      container, rules, policy, highDemand, clock, wishes, now,
      standing: standingOf(managed, rules), firstStartAt: firstStarts.get(container.id) ?? null, firstPassAt: latest.history.firstPassAt,
      warnings, ...(latest.history.clock !== undefined && { hostClock: latest.history.clock }),
    });
    return {
      id: container.id, name: container.name, state: container.state, owner: rules.owner,
      devices: [...new Set(latest.claims.claims.filter((claim) => claim.containerId === container.id && !claim.released).map((claim) => claim.migUuid ?? claim.gpuUuid))],
      prospects: (await Promise.all(prospects.map(dated))).map(prospectReport),
      warnings: warnings.filter((each) => each.containerId === container.id).map(({ kind, stage, at }) => ({ kind, stage, at: isoTime(at) })),
      keep_alive_max_ms: rules.keepAliveMaxMs,
    };
  };
}

/** One container as its owner reads of it; plain JSON. */
export interface ContainerOutlook {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly owner: string | null;
  readonly devices: readonly string[];
  readonly prospects: readonly ProspectReport[];
  readonly warnings: readonly { readonly kind: string; readonly stage: string; readonly at: string }[];
  /** 0: `gpuctl keep` defers nothing. */
  readonly keep_alive_max_ms: number;
}

export interface ProspectReport {
  readonly what: Prospect['what'];
  /** When the first pass of the schedule begins that may do it, or, without such a pass, when the limit is reached; null: there is no such time, `reason` says why. */
  readonly at: string | null;
  /** That pass; null: the schedule has none. Not given: written by an older gpuctl. */
  readonly job?: string | null;
  /** When the limit is reached. */
  readonly due_at: string | null;
  readonly reason: string | null;
  readonly explanation: string | null;
  /** `shortened_from_ms`: what it is while demand is not high; not given: demand has not shortened it. */
  readonly limit: { readonly key: string; readonly ms: number | null; readonly from: string | null; readonly shortened_from_ms?: number };
  readonly spent_ms: number | null;
}

function prospectReport({ what, at, job, passAt, why, limit: { shortenedFromMs, ...limit }, spentMs }: DatedProspect): ProspectReport {
  const iso = (instant: number | null): string | null => (instant === null ? null : isoTime(instant));
  return { what, at: iso(passAt ?? at), job: passAt === null ? null : job, due_at: iso(at), reason: why, explanation: why === null ? null : REASONS[why], limit: { ...limit, ...(shortenedFromMs === undefined ? {} : { shortened_from_ms: shortenedFromMs }) }, spent_ms: spentMs };
}
