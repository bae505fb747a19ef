import { readFileSync } from 'node:fs';

/** The users and groups of this host, as /etc/passwd and /etc/group name them. Directory services are not asked. */
export interface Users {
  /** Null: no user has this uid. */
  nameOf(uid: number): string | null;
  /** Null: there is no such user. A name of digits is a uid. */
  uidOf(name: string): number | null;
  /** Primary and supplementary groups; empty where the user is not known. */
  groupsOf(name: string): readonly string[];
}

/** Reads both files once, when first asked. A file that cannot be read knows nobody. */
export function readUsers(): Users {
  let passwd: readonly (readonly string[])[] | null = null;
  let group: readonly (readonly string[])[] | null = null;
  const users = (): readonly (readonly string[])[] => (passwd ??= readTable('/etc/passwd'));
  const groups = (): readonly (readonly string[])[] => (group ??= readTable('/etc/group'));
  return {
    nameOf: (uid) => users().find((row) => row[2] === String(uid))?.[0] ?? null,
    uidOf: (name) => (/^\d+$/.test(name) ? Number(name) : asNumber(users().find((row) => row[0] === name)?.[2])),
    groupsOf: (name) => {
      const primary = users().find((row) => row[0] === name)?.[3];
      return groups().filter((row) => row[2] === primary || (row[3] ?? '').split(',').includes(name)).flatMap((row) => row[0] ?? []);
    },
  };
}

/** Names of this host's users who are people: uids from 1000, but for those that stand for nobody. */
export function readPeople(): readonly string[] {
  return readTable('/etc/passwd').filter((row) => Number(row[2]) >= 1000 && Number(row[2]) < 65_534).flatMap((row) => row[0] ?? []);
}

function readTable(file: string): readonly (readonly string[])[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(':'));
  } catch {
    return [];
  }
}

function asNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
