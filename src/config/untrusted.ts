import { limitKeys, limitNames, type Limits } from './limit-fields.ts';
import { keyText } from './mistake.ts';
import type { Position } from './document.ts';
import type { Config, Mistake, Origin } from './types.ts';

type Origins = ReadonlyMap<string, Origin & Position>;

/**
 * Settings of a file that can have no effect, as they loosen something for a type or an owner that is not trusted: the
 * reader of that file should learn it from gpuctl and not from a stopped container.
 */
export function withoutEffect({ limits, exemptions }: Config, origins: Origins): readonly Mistake[] {
  const levels = [
    ...Object.entries(limits.types).map(([name, each]) => ({ fact: 'type', path: ['types', name], limits: each } as const)),
    ...limits.groups.map(({ name, limits: each }) => ({ fact: 'owner', path: ['groups', name], limits: each } as const)),
    ...Object.entries(limits.users).map(([name, each]) => ({ fact: 'owner', path: ['users', name], limits: each } as const)),
  ];
  const looser = [
    ...levels.flatMap(({ fact, path, limits: each }) => looserKeys(limits.default, each, path).map((key) => ({ key, fact }))),
    ...(exemptions.length > 0 ? [{ key: 'exemptions', fact: 'owner' } as const] : []),
  ];
  return looser.filter(({ fact }) => !limits.trustLabels.includes(fact)).flatMap(({ key, fact }) => {
    const origin = origins.get(key);
    const message = `loosens a limit by the ${fact} that a container claims; it counts only where limits.trust_labels lists ${fact}`;
    return origin === undefined ? [] : [{ ...origin, key, message }];
  });
}

function looserKeys(base: Limits, limits: Partial<Limits>, path: readonly string[]): readonly string[] {
  return limitKeys
    .filter((key) => {
      const value = limits[limitNames[key]];
      return value !== undefined && (value ?? Infinity) > (base[limitNames[key]] ?? Infinity);
    })
    .map((key) => keyText(['limits', ...path, key]));
}
