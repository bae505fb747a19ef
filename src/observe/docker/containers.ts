import type { EngineClient, EngineReply } from '../../callout/engine.ts';
import { type Container, type EngineView, heedsVisibleDevices } from '../../model/container.ts';
import { failed, observed, type Observed } from '../../model/observation.ts';
import { parseAnswer } from './answers.ts';
import { inspectEach, saysNotFound } from './ask.ts';
import { observeEngine, sameEngine } from './identity.ts';
import { type InspectContext, parseInspect } from './inspect.ts';
import type { ContainerList, ListedContainer } from './list.ts';

type VisibleDevices = string | null | { readonly why: string };
type ReadVisibleDevices = (pid: number) => VisibleDevices | Promise<VisibleDevices>;

/** What the second half needs beside the list. */
export interface InspectRequest {
  readonly list: ContainerList;
  /** Container ids that listed processes name; those that the list does not have are asked for by themselves. */
  readonly namedIds: readonly string[];
  /** `NVIDIA_VISIBLE_DEVICES` in a running process's environment; null: not set or unreadable; `why`: the kernel does not answer. */
  readonly readVisibleDevices: ReadVisibleDevices;
  /** As InspectContext has it. */
  readonly readLabels?: ReadonlySet<string> | undefined;
  /** Done while the engine says once more who it is. */
  readonly meanwhile?: () => Promise<void>;
}

/**
 * The second half: every listed container and every named id, inspected once each. To be called after the processes
 * were read, for only then is an answer evidence about them. A container that has gone since the list is left out (and
 * answered for where a process names it); any other failure makes it uninspected and the view partial, and so does an
 * environment that may name more devices and does not answer. Failed where another engine answers at the end than at the
 * beginning.
 */
export async function inspectContainers(engine: EngineClient, { list, namedIds, readVisibleDevices, readLabels, meanwhile }: InspectRequest): Promise<Observed<EngineView>> {
  const listedIds = new Set(list.containers.map((container) => container.id));
  const extraIds = [...new Set(namedIds)].filter((id) => !listedIds.has(id));
  const ids = [...listedIds, ...extraIds];
  const replies = await inspectEach(engine, ids);
  const byId = new Map(ids.map((id, at) => [id, replies[at]]));
  const asked = observeEngine(engine);
  const read = Promise.all(list.containers.flatMap((each) => readContainer(each, byId.get(each.id), { defaultRuntime: list.engine.defaultRuntime, readLabels })).map((each) => withEnvironment(each, readVisibleDevices)));
  const [containers] = await Promise.all([read, meanwhile?.()]);
  const now = await asked;
  if (!now.ok) return failed(now.code, now.why);
  if (!sameEngine(now.value, list.engine)) return failed('untrusted', 'another engine took over the socket in the middle');

  const kept = new Set(containers.map((container) => container.id));
  const answers = [...new Set(namedIds)].filter((id) => !kept.has(id)).map((id) => parseAnswer(id, byId.get(id)));
  const view: EngineView = { kind: list.engine.kind, engineId: list.engine.engineId, version: list.engine.version, containers, answers };
  return observed(view, containers.flatMap((each) => (each.inspected ? [] : [{ subject: each.id, why: each.why }])));
}

function readContainer({ id, name, state }: ListedContainer, reply: EngineReply | undefined, context: Omit<InspectContext, 'id'>): readonly Container[] {
  if (reply === undefined) return [{ inspected: false, id, name, state, why: 'it was not asked for' }];
  if (!reply.ok) return saysNotFound(reply) ? [] : [{ inspected: false, id, name, state, why: reply.why }];
  const container = parseInspect(reply.value, { id, ...context });
  return [container.inspected ? container : { inspected: false, id, name, state, why: container.why }];
}

/** The NVIDIA runtime's hook and an image may set the variable where `Config.Env` does not show it. */
async function withEnvironment(container: Container, readVisibleDevices: ReadVisibleDevices): Promise<Container> {
  if (!container.inspected || container.pid === null) return container;
  const effectiveVisibleDevices = await readVisibleDevices(container.pid);
  if (typeof effectiveVisibleDevices !== 'object' || effectiveVisibleDevices === null) return { ...container, effectiveVisibleDevices };
  const { id, name, state, pid } = container;
  return heedsVisibleDevices(container) ? { inspected: false, id, name, state, why: `the environment of its process ${pid}: ${effectiveVisibleDevices.why}`, heldUpBy: pid } : container;
}
