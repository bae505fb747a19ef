import type { InspectedContainer } from '../model/container.ts';
import { seen } from '../model/observation.ts';
import type { Assessment } from './assess.ts';
import type { LimitRules } from './limit-rules.ts';

/**
 * How a container stands to the limits. Only *managed* ones are warned, stopped or removed. *Unknown*: the driver did not
 * tell of its devices, so what the container claims is not known.
 */
export type Standing = 'managed' | 'protected' | 'infrastructure' | 'unclaimed' | 'unknown';

/** `claims`: it claims a device, or, for leftovers, once did; null: not known. */
export function standingOf(claims: boolean | null, rules: Pick<LimitRules, 'protected' | 'infrastructure'>): Standing {
  if (rules.infrastructure) return 'infrastructure';
  if (rules.protected) return 'protected';
  if (claims === null) return 'unknown';
  return claims ? 'managed' : 'unclaimed';
}

/** Ids of the containers that claim a device of this host, by anything but the lack of an inspect. */
export function claimingIds({ claims }: Pick<Assessment, 'claims'>): ReadonlySet<string> {
  return new Set(claims.claims.filter((claim) => claim.source !== 'uninspected').map((claim) => claim.containerId));
}

/** Does it claim a device now? Null: the driver was not seen, or the container refers to something that may be a device that was not. */
export function claimsNow(container: InspectedContainer, assessment: Assessment, claiming: ReadonlySet<string>): boolean | null {
  if (claiming.has(container.id)) return true;
  const { driver } = assessment.snapshot;
  if (seen(driver) === null) return null;
  const unresolved = assessment.claims.unresolved.some((claim) => claim.containerId === container.id);
  return driver.state === 'partial' && unresolved ? null : false;
}

/** How many containers are managed now, whatever their state: what the breaker takes its share of. */
export function countManaged({ snapshot, claims }: Assessment, rulesOf: (container: InspectedContainer) => Pick<LimitRules, 'protected' | 'infrastructure'>): number {
  const claiming = claimingIds({ claims });
  return (seen(snapshot.engine)?.containers ?? []).filter((each) => each.inspected && standingOf(claiming.has(each.id), rulesOf(each)) === 'managed').length;
}
