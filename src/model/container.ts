export type ContainerState =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'exited'
  | 'dead'
  | 'unknown';

/** One of `HostConfig.DeviceRequests`. */
export interface DeviceRequest {
  readonly driver: string;
  /** −1: all. */
  readonly count: number;
  readonly deviceIds: readonly string[];
  readonly capabilities: readonly (readonly string[])[];
}

/** A container that inspect described. Instants are milliseconds since 1970 UTC; null: never, or not said. */
export interface InspectedContainer {
  readonly inspected: true;
  /** 64 hex digits. */
  readonly id: string;
  /** Without the leading slash. User-controlled. */
  readonly name: string;
  readonly image: string;
  readonly state: ContainerState;
  /** Init's pid on the host while it runs. */
  readonly pid: number | null;
  readonly createdAt: number | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** User-controlled. Of more than 32 Ki characters together the longest are left out, those that rules read last. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of `Config.Env` what sets NVIDIA_VISIBLE_DEVICES, as given: KEY=value. Nothing else of it is kept. */
  readonly env: readonly string[];
  /** `HostConfig.Runtime`, or the engine's default runtime where that is empty. */
  readonly runtime: string | null;
  readonly privileged: boolean;
  readonly deviceRequests: readonly DeviceRequest[];
  /** `HostConfig.Devices[].PathOnHost`. */
  readonly deviceNodes: readonly string[];
  /** Source of every bind mount, of the first 256. */
  readonly bindSources: readonly string[];
  /** Target of every mount that names a device by where it lies, and of the first 256 others. */
  readonly mountTargets: readonly string[];
  /** `NVIDIA_VISIBLE_DEVICES` in the environment of the running init process; null: not running, not set or unreadable. */
  readonly effectiveVisibleDevices: string | null;
}

/** Can what `NVIDIA_VISIBLE_DEVICES` says in its running process add to what the container was configured with? */
export function heedsVisibleDevices({ runtime, deviceRequests }: Pick<InspectedContainer, 'runtime' | 'deviceRequests'>): boolean {
  return (runtime?.includes('nvidia') ?? false) || deviceRequests.length > 0;
}

/** A container in the list whose inspect failed (a 404 is churn and is left out), or whose environment does not answer. It may claim anything. */
export interface UninspectedContainer {
  readonly inspected: false;
  readonly id: string;
  readonly name: string;
  readonly state: ContainerState;
  readonly why: string;
  /** The engine did describe it: what does not answer is the kernel, for the environment of this process. Absent: the engine did not. */
  readonly heldUpBy?: number;
}

export type Container = InspectedContainer | UninspectedContainer;

/** The engine's answer to `GET` by full id, made after a process of that container was seen. */
export interface EngineAnswer {
  readonly containerId: string;
  readonly answer: ContainerState | 'not-found' | 'failed';
  readonly name: string | null;
}

/** What the engine says. */
export interface EngineView {
  readonly kind: 'docker' | 'podman';
  /** `/info`'s ID; null for podman, which makes a new one at every call. */
  readonly engineId: string | null;
  readonly version: string | null;
  readonly containers: readonly Container[];
  /** For every container id that a listed process's cgroup names and the list does not. */
  readonly answers: readonly EngineAnswer[];
}

/** Does this state mean that the container's own processes may be alive? */
export function isLive(state: ContainerState): boolean {
  return state === 'running' || state === 'paused' || state === 'restarting' || state === 'unknown';
}

const FULL_ID = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g;

/** Every full container id in a text that is not part of a longer hex word, each once. */
export function fullIdsIn(text: string): readonly string[] {
  return [...new Set(text.match(FULL_ID) ?? [])];
}
