import { fullIdsIn } from '../model/container.ts';

/**
 * Elements of a cgroup path that belong to a manager other than the Docker engine. One of them anywhere, in any
 * hierarchy, makes a process theirs. Sources: systemd's slices, the kubelet, podman, LXC, Slurm, containerd's CRI and
 * nerdctl, CRI-O, as their documentation names them.
 */
const MANAGERS: readonly (readonly [RegExp, string])[] = [
  [/^user\.slice$|^user-\d+\.slice$|^user@\d+\.service$/, 'a user session'],
  [/^machine\.slice$|^machine-/, 'systemd-machined'],
  [/^kubepods/, 'Kubernetes'],
  [/^libpod/, 'podman'],
  [/^lxc(?:\.|$)|^lxc\.payload|^lxc\.monitor/, 'LXC'],
  [/^slurm/, 'Slurm'],
  [/^nerdctl/, 'nerdctl'],
  [/^(?:cri|crio)-/, 'a Kubernetes runtime'],
];

const ID = /^[0-9a-f]{64}$/;
const SCOPE = /^docker-([0-9a-f]{64})\.scope$/;

function segments(path: string): readonly string[] {
  return path.split('/');
}

/** The manager that the cgroup paths name; null: none. */
export function managerIn(cgroups: readonly string[]): string | null {
  for (const segment of cgroups.flatMap(segments)) {
    const manager = MANAGERS.find(([pattern]) => pattern.test(segment));
    if (manager !== undefined) return manager[1];
  }
  return null;
}

/** Ids that a Docker engine's cgroup drivers write: 64 hex digits after `docker/`, or in `docker-….scope`. Outermost first, each once. */
export function dockerIdsIn(cgroups: readonly string[]): readonly string[] {
  const ids = cgroups.flatMap((path) => {
    const parts = segments(path);
    return parts.flatMap((part, at) => SCOPE.exec(part)?.[1] ?? (ID.test(part) && parts[at - 1] === 'docker' ? part : []));
  });
  return [...new Set(ids)];
}

/** Every 64-hex id anywhere in the paths, whoever wrote it: wide, for protecting, never for blaming. */
export function containerIdsIn(cgroups: readonly string[]): readonly string[] {
  return fullIdsIn(cgroups.join('\n'));
}

/** The systemd unit of a process that is in no container; null: none. */
export function unitIn(cgroups: readonly string[]): string | null {
  const units = cgroups.flatMap(segments).filter((segment) => /\.(?:service|scope)$/.test(segment));
  return units[units.length - 1] ?? null;
}

/**
 * The system service whose cgroup this is: slices, then the unit. The *first* service counts, since whoever a unit
 * delegates its cgroup to may name what lies below it as he likes. Null: none, or a container or another manager is in
 * the path, in which anybody can have a unit of any name.
 */
export function systemServiceIn(cgroups: readonly string[] | null): string | null {
  if (cgroups === null || managerIn(cgroups) !== null || containerIdsIn(cgroups).length > 0) return null;
  const services = new Set(cgroups.flatMap((path) => SYSTEM_SERVICE.exec(path)?.[1] ?? []));
  const [service] = services;
  return services.size === 1 ? (service ?? null) : null;
}

const SYSTEM_SERVICE = /^\/(?:[^/]+\.slice\/)+([^/]+\.service)(?:\/|$)/;
