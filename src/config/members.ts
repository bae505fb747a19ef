import { dirname, resolve } from 'node:path';
import type { Position } from './document.ts';
import { isTree } from './merge.ts';
import { fileMistake, keyText, quote } from './mistake.ts';
import { USER_NAME, USER_NAME_FORM } from './names.ts';
import { readTrustedFile } from './trusted-file.ts';
import type { Mistake, Origin, Tree, Value } from './types.ts';

type Origins = ReadonlyMap<string, Origin & Position>;

/** Groups whose members are all inline, and what was wrong on the way there. */
export interface ResolvedGroups {
  readonly groups: Tree;
  readonly mistakes: readonly Mistake[];
}

/** Reads every `members_file`, which is relative to the folder of the file that names it, and adds its users to `members`. */
export function resolveGroups(groups: Tree, origins: Origins): ResolvedGroups {
  const resolved = Object.entries(groups).map(([name, group]) => ({ name, ...resolveGroup({ name, group, origins }) }));
  return {
    groups: Object.fromEntries(resolved.map(({ name, group }) => [name, group])),
    mistakes: resolved.flatMap(({ mistakes }) => mistakes),
  };
}

interface GroupSource {
  readonly name: string;
  readonly group: Value;
  readonly origins: Origins;
}

function resolveGroup({ name, group, origins }: GroupSource): { readonly group: Value; readonly mistakes: readonly Mistake[] } {
  if (!isTree(group)) return { group, mistakes: [] };
  const path = ['limits', 'groups', name];
  const file = group['members_file'];
  if (typeof file !== 'string') return { group, mistakes: memberless(group, path, origins) };
  const key = keyText([...path, 'members_file']);
  const { users, mistakes } = readMembers(file, origins.get(key), key);
  const { members_file: _read, members = [], ...rest } = group;
  return { group: { ...rest, members: [...(Array.isArray(members) ? members : []), ...users] }, mistakes };
}

function memberless(group: Tree, path: readonly string[], origins: Origins): readonly Mistake[] {
  if (group['members'] !== undefined || group['group'] !== undefined) return [];
  const origin = origins.get(keyText(path));
  if (origin === undefined) return [];
  return [{ ...origin, key: keyText(path), message: 'nobody belongs to this group: it needs members, members_file or group' }];
}

interface Members {
  readonly users: readonly string[];
  readonly mistakes: readonly Mistake[];
}

function readMembers(named: string, origin: (Origin & Position) | undefined, key: string): Members {
  const file = resolve(dirname(origin?.file ?? '/'), named);
  const read = readTrustedFile(file);
  if (read.state === 'read') return parseMembers(read.value, file);
  const why = read.state === 'absent' ? 'does not exist' : read.why;
  const place = origin ?? fileMistake(file, '');
  return { users: [], mistakes: [{ ...place, key, message: `${file} ${why}` }] };
}

/** One user a line; `#` begins a comment. */
function parseMembers(text: string, file: string): Members {
  const lines = text.split('\n').map((line, index) => ({ user: line.replace(/#.*/s, '').trim(), line: index + 1 })).filter(({ user }) => user !== '');
  const bad = lines.filter(({ user }) => !USER_NAME.test(user));
  return {
    users: lines.map(({ user }) => user),
    mistakes: bad.map(({ user, line }) => ({ file, line, column: 1, key: '', message: `${quote(user)} is not ${USER_NAME_FORM}` })),
  };
}
