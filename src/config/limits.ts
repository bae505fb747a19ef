import { type LimitKey, limitKeys, limitNames, type Limits } from './limit-fields.ts';
import { keyText } from './mistake.ts';
import type { Config, Origin, OriginOf } from './types.ts';

/** What is known of the one whose container is judged. */
export interface OwnerFacts {
  /** Null: unknown. */
  readonly owner: string | null;
  /** Null: unknown. */
  readonly type: string | null;
  /** The owner's Unix groups on this host; empty where they are not known. */
  readonly unixGroups: readonly string[];
}

/** One effective limit and where it comes from. */
export interface EffectiveLimit<T> {
  /** Milliseconds, or a count; null: never. */
  readonly value: T;
  /** `default`, `type api`, `group researcher` or `user bob`. */
  readonly from: string;
  /** Null: a built-in default. */
  readonly origin: Origin | null;
  /** The level whose looser value was not granted, as it rests on what the container says of itself; null: none. */
  readonly withheld: string | null;
}

export type EffectiveLimits = { readonly [K in keyof Limits]: EffectiveLimit<Limits[K]> };

/** One level of limits: `default`, a type, a group or a user. */
interface Layer {
  readonly name: string;
  readonly path: readonly string[];
  readonly limits: Partial<Limits>;
}

const unknownOwner: OwnerFacts = { owner: null, type: null, unixGroups: [] };

/**
 * The effective limits of one owner and container: default < type < group < user, each level changing only the keys it
 * names. Type and owner are what the container says of itself, by labels, its name or its mounts: unless
 * `limits.trust_labels` lists them, they may only tighten. Each key then has the strictest value of those with and
 * without each untrusted fact, so that saying more never gains anything.
 */
export function limitsOf(facts: OwnerFacts, config: Config, originOf: OriginOf = () => null): EffectiveLimits {
  const claimed = layersOf(facts, config);
  const worlds = believable(facts, config).map((each) => layersOf(each, config));
  const entries = limitKeys.map((key) => {
    const granted = worlds.map((layers) => winner(layers, key)).reduce((a, b) => (valueOf(b, key) < valueOf(a, key) ? b : a));
    const asked = winner(claimed, key);
    const withheld = valueOf(asked, key) > valueOf(granted, key) ? asked.name : null;
    return [limitNames[key], { value: granted.limits[limitNames[key]], from: granted.name, origin: originOf(keyText([...granted.path, key])), withheld }];
  });
  return Object.fromEntries(entries) as EffectiveLimits;
}

/** The effective values alone. */
export function limitValuesOf(facts: OwnerFacts, config: Config): Limits {
  return Object.fromEntries(Object.entries(limitsOf(facts, config)).map(([name, { value }]) => [name, value])) as unknown as Limits;
}

/** An exemption that an admin wrote for an owner. */
export interface OwnerExemption {
  readonly reason: string;
  /** Its last day, as the file has it: `2026-12-24`. */
  readonly until: string;
  /** False: it does not count, as the owner is only claimed, and not trusted. */
  readonly granted: boolean;
}

/** The live exemption of an owner from one limit; null: there is none. An owner that is only claimed, and not trusted, is not granted it: an exemption loosens. */
export function exemptionFrom(key: LimitKey, { owner }: Pick<OwnerFacts, 'owner'>, { config, now }: { readonly config: Config; readonly now: number }): OwnerExemption | null {
  const listed = config.exemptions.find((each) => each.user === owner && now < each.untilAt && (each.from as readonly string[]).includes(key));
  return listed === undefined ? null : { reason: listed.reason, until: lastDay(listed.untilAt), granted: config.limits.trustLabels.includes('owner') };
}

/** It ends with that day of this host's calendar. */
function lastDay(untilAt: number): string {
  const day = new Date(untilAt - 1);
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) => String(part).padStart(2, '0')).join('-');
}

/** Every reading of the facts that leaves out some of what is not trusted, all of it first, none of it last. */
function believable(facts: OwnerFacts, { limits }: Config): readonly OwnerFacts[] {
  const typed = { ...unknownOwner, type: facts.type };
  const owned = { ...facts, type: null };
  const trustsOwner = limits.trustLabels.includes('owner');
  const trustsType = limits.trustLabels.includes('type');
  if (trustsOwner && trustsType) return [facts];
  if (trustsOwner) return [owned, facts];
  return trustsType ? [typed, facts] : [unknownOwner, typed, owned, facts];
}

function layersOf({ owner, type, unixGroups }: OwnerFacts, { limits }: Config): readonly Layer[] {
  const group = owner === null
    ? undefined
    : limits.groups.find(({ members, unixGroup }) => members.includes(owner) || (unixGroup !== null && unixGroups.includes(unixGroup)));
  return [
    { name: 'default', path: ['limits', 'default'], limits: limits.default },
    ...named('type', type, limits.types),
    ...(group === undefined ? [] : [{ name: `group ${group.name}`, path: ['limits', 'groups', group.name], limits: group.limits }]),
    ...named('user', owner, limits.users),
  ];
}

function named(kind: 'type' | 'user', name: string | null, table: Readonly<Record<string, Partial<Limits>>>): readonly Layer[] {
  // Names come from containers: `toString` must not find what every object has.
  const limits = name !== null && Object.hasOwn(table, name) ? table[name] : undefined;
  return limits === undefined || name === null ? [] : [{ name: `${kind} ${name}`, path: ['limits', `${kind}s`, name], limits }];
}

/** The last layer that names the key; the first, the default, names them all. */
function winner(layers: readonly Layer[], key: LimitKey): Layer {
  const layer = layers.findLast(({ limits }) => limits[limitNames[key]] !== undefined);
  if (layer === undefined) throw new TypeError(`no default for ${key}`);
  return layer;
}

/** For comparing: less is stricter for every limit, and never is the least strict. */
function valueOf(layer: Layer, key: LimitKey): number {
  return layer.limits[limitNames[key]] ?? Infinity;
}
