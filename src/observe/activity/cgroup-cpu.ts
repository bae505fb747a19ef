/** Where this host has its cgroup hierarchies. Null: it has none of that kind. */
export interface Mounts {
  /** Version 1, the controller cpuacct. */
  readonly cpuacct: string | null;
  readonly unified: string | null;
}

/** One line of /proc/PID/cgroup that names a container. */
export interface Hierarchy {
  /** Empty: version 2. */
  readonly controllers: readonly string[];
  /** Down to the folder that bears the container's id, and no further. */
  readonly path: string;
}

/** A file that counts CPU time, and how it is read; nanoseconds, or null where it is malformed. */
export interface CpuFile {
  readonly path: string;
  readonly parse: (text: string) => number | null;
}

/** The mounts of /proc/self/mounts; the first of each kind counts. Blanks in a path stand there as `\040`. */
export function parseMounts(text: string): Mounts {
  const mounts = text.split('\n').map((line) => line.split(' '));
  const placeOf = (type: string, option: string | null): string | null => {
    const mount = mounts.find(([, , kind, options = '']) => kind === type && (option === null || options.split(',').includes(option)));
    return mount?.[1]?.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))) ?? null;
  };
  return { cpuacct: placeOf('cgroup', 'cpuacct'), unified: placeOf('cgroup2', null) };
}

/**
 * The hierarchies in which a process is in a folder that bears this container's id. A container may have moved its first
 * process further down, away from its others: what counts is the folder of the container.
 */
export function parseHierarchies(text: string, containerId: string): readonly Hierarchy[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    const parts = path.split('/');
    const at = parts.findIndex((part) => part.includes(containerId));
    if (at < 0 || parts.includes('..')) return [];
    return [{ controllers: controllers === '' ? [] : controllers.split(','), path: parts.slice(0, at + 1).join('/') }];
  });
}

/** The file that counts: version 1 where it has the controller, else version 2. Empty: this host does not count CPU time by container. */
export function cpuFiles(hierarchies: readonly Hierarchy[], { cpuacct, unified }: Mounts): readonly CpuFile[] {
  const first = hierarchies.find(({ controllers }) => controllers.includes('cpuacct'));
  if (first !== undefined && cpuacct !== null) return [{ path: `${cpuacct}${first.path}/cpuacct.usage`, parse: parseUsage }];
  const second = hierarchies.find(({ controllers }) => controllers.length === 0);
  return second !== undefined && unified !== null ? [{ path: `${unified}${second.path}/cpu.stat`, parse: parseStat }] : [];
}

function parseUsage(text: string): number | null {
  return /^\d{1,19}\n?$/.test(text) ? Number(text) : null;
}

function parseStat(text: string): number | null {
  const usec = /^usage_usec (\d{1,16})$/m.exec(text)?.[1];
  return usec === undefined ? null : Number(usec) * 1000;
}
