import { ConfigError, keyText } from '../config/mistake.ts';
import type { LoadedConfig } from '../config/types.ts';
import type { Users } from '../observe/users.ts';

/**
 * The uids of `orphans.permit.users`. Throws ConfigError for users that this host does not know: silently permitting nobody
 * would get their processes reported.
 */
export function permittedUids({ config, originOf }: Pick<LoadedConfig, 'config' | 'originOf'>, users: Pick<Users, 'uidOf'>): ReadonlySet<number> {
  const named = config.orphans.permit.users.map((name, index) => ({ name, uid: users.uidOf(name), key: keyText(['orphans', 'permit', 'users', index]) }));
  const mistakes = named.filter(({ uid }) => uid === null).map(({ name, key }) => {
    const { file = 'built-in defaults', line = null } = originOf(key) ?? {};
    return { file, line, column: null, key, message: `there is no user ${JSON.stringify(name)} on this host; for one of a directory service write the uid, in quotes` };
  });
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return new Set(named.flatMap(({ uid }) => uid ?? []));
}
