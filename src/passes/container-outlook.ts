import { isDemandHigh } from '../decide/demand.ts';
import type { Assessment } from '../decide/assess.ts';
import type { LimitPolicy } from '../decide/limit-rules.ts';
import { claimingIds, claimsNow, standingOf } from '../decide/managed.ts';
import { decideOutlook, type Prospect } from '../decide/outlook.ts';
import { type InspectedContainer, isLive } from '../model/container.ts';
import { REASONS } from '../model/reason.ts';
import { isoTime } from '../model/time.ts';
import { type DatedProspect, datingBy } from './dated-outlook.ts';
import type { Pass } from './pass.ts';
import type { LimitsLedger, LimitsParts } from './ports.ts';

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

/** What is known of one container's future. */
export function describing(latest: Assessment, { ledger, policy, nextRun }: OutlookParts, now: number): (container: InspectedContainer) => Promise<ContainerOutlook> {
  const dated = datingBy(nextRun, now);
  const [clocks, firstStarts, wishes, warnings, once] = [ledger.idleClocks(), ledger.firstStarts(), ledger.keepAlives(), ledger.warnings(), ledger.onceManaged()];
  const claiming = claimingIds(latest);
  const heldBy = Map.groupBy(latest.claims.claims.filter(({ released }) => !released), ({ containerId }) => containerId);
  const allocated = new Set(latest.history.allocations.filter(({ releasedAt }) => releasedAt === null).map(({ containerId }) => containerId));
  const highDemand = isDemandHigh(latest, (each) => policy.rulesOf(each, now).infrastructure, policy.highDemand.atPercent);
  return async (container) => {
    const rules = policy.rulesOf(container, now);
    // That it once claimed a device counts for its removal alone, as in the rounds.
    const claims = !isLive(container.state) && once.has(container.id) ? true : claimsNow(container, latest, claiming);
    const held = heldBy.get(container.id) ?? [];
    const clock = clocks.find((each) => each.containerId === container.id && each.startedAt === container.startedAt) ?? null;
    const prospects = decideOutlook({
      container, rules, policy, highDemand, clock, wishes, now,
      standing: standingOf(claims, rules), firstStartAt: firstStarts.get(container.id) ?? null, firstPassAt: latest.history.firstPassAt,
      holds: held.length > 0 || allocated.has(container.id),
      warnings, ...(latest.history.clock !== undefined && { hostClock: latest.history.clock }),
    });
    return {
      id: container.id, name: container.name, state: container.state, owner: rules.owner,
      devices: [...new Set(held.map((claim) => claim.migUuid ?? claim.gpuUuid))],
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
  /** What an admin wrote of its owner and this limit, with its last day; not `granted`: it does not count, as the owner is only claimed. Not given: nothing. */
  readonly exemption?: NonNullable<Prospect['exemption']>;
}

function prospectReport({ what, at, job, passAt, why, exemption, limit: { shortenedFromMs, ...limit }, spentMs }: DatedProspect): ProspectReport {
  const iso = (instant: number | null): string | null => (instant === null ? null : isoTime(instant));
  return { what, at: iso(passAt ?? at), job: passAt === null ? null : job, due_at: iso(at), reason: why, explanation: why === null ? null : REASONS[why], limit: { ...limit, ...(shortenedFromMs === undefined ? {} : { shortened_from_ms: shortenedFromMs }) }, spent_ms: spentMs, ...(exemption !== undefined && { exemption }) };
}
