import * as v from 'valibot';
import type { ContainerState, InspectedContainer } from '../../model/container.ts';
import { describeIssue } from './issue.ts';
import { parseState } from './state.ts';
import { parseEngineTime } from './time.ts';

/** An inspect as far as gpuctl reads it: one wrong field, and nothing of it is used. Go writes null for an empty list. */
const texts = v.nullish(v.array(v.string()), []);

/** More references than any host has devices, and longer ones than name them all, are there to be in the way: what they mean is not known. */
const MAX_REFERENCES = 1024;
const MAX_REFERENCE_CHARS = 65_536;
/** Mounts that are kept besides those that may be claims. */
const MAX_MOUNTS = 256;
/** No longer path can be mounted (limits.h). */
const PATH_MAX = 4096;
/** Of all labels of a container together. The short ones are those that say something. */
const MAX_LABEL_CHARS = 32_768;
const flag = v.optional(v.boolean(), false);
const instant = v.pipe(
  v.nullish(v.string(), ''),
  v.transform((text) => (text === '' ? null : parseEngineTime(text))),
  v.custom<number | null>((at) => at !== undefined, 'not a time'),
);

/** An array passes for an object without keys, which would read as "no labels". */
const keyed = v.custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'not an object');

const BODY = v.object({
  Id: v.string(),
  Name: v.string(),
  Created: instant,
  State: v.object({ Status: v.string(), Running: flag, Paused: flag, Restarting: flag, Pid: v.pipe(v.number(), v.safeInteger()), StartedAt: instant, FinishedAt: instant }),
  Config: v.pipe(keyed, v.object({ Image: v.optional(v.string(), ''), Env: texts, Labels: v.nullish(v.pipe(keyed, v.record(v.string(), v.string())), {}) })),
  HostConfig: v.object({
    Runtime: v.nullish(v.string(), ''),
    Privileged: v.boolean(),
    DeviceRequests: v.nullish(v.array(v.object({
      Driver: v.nullish(v.string(), ''),
      Count: v.nullish(v.pipe(v.number(), v.safeInteger()), 0),
      DeviceIDs: texts,
      Capabilities: v.nullish(v.array(v.nullish(v.array(v.string()), [])), []),
    })), []),
    Devices: v.nullish(v.array(v.object({ PathOnHost: v.string() })), []),
  }),
  Mounts: v.nullish(v.array(v.object({ Type: v.optional(v.string(), ''), Source: v.optional(v.string(), ''), Destination: v.optional(v.string(), '') })), []),
});
type Body = v.InferOutput<typeof BODY>;

/** What stands around an inspect: which container was asked for, and the engine's default runtime. */
export interface InspectContext {
  readonly id: string;
  readonly defaultRuntime: string | null;
  /** Labels that rules read, so that no others crowd them out: an image brings as many as its maker likes. Absent: none. */
  readonly readLabels?: ReadonlySet<string> | undefined;
}

/** An inspect that could not be read: of another container, or not of the shape that is expected. */
export interface UnreadableInspect {
  readonly inspected: false;
  readonly why: string;
}

/**
 * One container from the body of its inspect. An engine finds containers by name and by the beginning of an id as well,
 * so a body about another id is unreadable. `effectiveVisibleDevices` is null here: no body says it.
 */
export function parseInspect(body: unknown, { id, defaultRuntime, readLabels = new Set() }: InspectContext): InspectedContainer | UnreadableInspect {
  const parsed = v.safeParse(BODY, body);
  if (!parsed.success) return { inspected: false, why: `its inspect is malformed: ${describeIssue(parsed.issues[0])}` };
  const { output } = parsed;
  if (output.Id !== id) return { inspected: false, why: 'the engine answered with another container' };
  if (isOverloaded(output)) return { inspected: false, why: 'it refers to more devices than a host can have' };
  return { inspected: true, id, ...identityOf(output, readLabels), ...claimsOf(output, defaultRuntime), effectiveVisibleDevices: null };
}

function identityOf({ Name, Created, State, Config }: Body, readLabels: ReadonlySet<string>): Pick<InspectedContainer, 'name' | 'image' | 'state' | 'pid' | 'createdAt' | 'startedAt' | 'finishedAt' | 'labels' | 'env'> {
  return {
    name: Name.replace(/^\//, ''),
    image: Config.Image,
    state: stateOf(State),
    pid: State.Pid > 0 ? State.Pid : null,
    createdAt: Created,
    startedAt: State.StartedAt,
    finishedAt: State.FinishedAt,
    labels: shortest(Config.Labels, readLabels),
    env: Config.Env.filter(isReference),
  };
}

/** Of the environment only this says anything. What else is in it may be long and secret, and is not kept. */
function isReference(entry: string): boolean {
  return entry.startsWith('NVIDIA_VISIBLE_DEVICES=');
}

/** Where the toolkit can take the names of devices from mounts. */
function isDeviceList(target: string): boolean {
  return target.startsWith('/var/run/nvidia-container-devices/');
}

function targetsOf(mounts: Body['Mounts']): readonly string[] {
  const targets = (mounts ?? []).map(({ Destination }) => Destination).filter(({ length }) => length <= PATH_MAX);
  return targets.filter((target, at) => at < MAX_MOUNTS || isDeviceList(target));
}

/** Nothing of a reference may be left out unnoticed, since it may be a claim. */
function isOverloaded({ Config, HostConfig, Mounts }: Body): boolean {
  const lists = [Config.Env.filter(isReference), HostConfig.DeviceRequests.flatMap(({ DeviceIDs }) => DeviceIDs), HostConfig.Devices.map(({ PathOnHost }) => PathOnHost), targetsOf(Mounts).filter(isDeviceList)];
  return HostConfig.DeviceRequests.length > MAX_REFERENCES || lists.some((list) => list.length > MAX_REFERENCES || list.reduce((sum, each) => sum + each.length, 0) > MAX_REFERENCE_CHARS);
}

/** Labels of bounded length together: first those that a rule reads, and the shortest of each, so that a long one crowds out itself. */
function shortest(labels: Readonly<Record<string, string>>, read: ReadonlySet<string>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels).map((entry) => ({ entry, size: entry[0].length + entry[1].length }));
  if (entries.reduce((sum, { size }) => sum + size, 0) <= MAX_LABEL_CHARS) return labels;
  let left = MAX_LABEL_CHARS;
  return Object.fromEntries(entries.toSorted((a, b) => Number(read.has(b.entry[0])) - Number(read.has(a.entry[0])) || a.size - b.size).filter(({ size }) => (left -= size) >= 0).map(({ entry }) => entry));
}

function claimsOf({ HostConfig, Mounts }: Body, defaultRuntime: string | null): Pick<InspectedContainer, 'runtime' | 'privileged' | 'deviceRequests' | 'deviceNodes' | 'bindSources' | 'mountTargets'> {
  return {
    runtime: HostConfig.Runtime || defaultRuntime,
    privileged: HostConfig.Privileged,
    deviceRequests: HostConfig.DeviceRequests.map(({ Driver, Count, DeviceIDs, Capabilities }) => ({ driver: Driver, count: Count, deviceIds: DeviceIDs, capabilities: Capabilities })),
    deviceNodes: HostConfig.Devices.map((device) => device.PathOnHost),
    bindSources: Mounts.filter((mount) => mount.Type === 'bind').map((mount) => mount.Source).slice(0, MAX_MOUNTS),
    mountTargets: targetsOf(Mounts),
  };
}

/** The word, unless a flag says that it lives: of two answers that disagree neither is believed. */
function stateOf({ Status, Running, Paused, Restarting }: Body['State']): ContainerState {
  const state = parseState(Status);
  const over = state === 'created' || state === 'exited' || state === 'dead';
  return over && (Running || Paused || Restarting) ? 'unknown' : state;
}
