import * as v from 'valibot';
import type { EngineClient } from '../../callout/engine.ts';
import type { ContainerState } from '../../model/container.ts';
import { complete, failed, type Observed } from '../../model/observation.ts';
import { observeEngine, type EngineFacts } from './identity.ts';
import { describeIssue } from './issue.ts';
import { parseState } from './state.ts';

/** One row of the container list. */
export interface ListedContainer {
  readonly id: string;
  /** Without the leading slash; empty: the engine has taken the name away already (a container that is being removed). */
  readonly name: string;
  readonly state: ContainerState;
}

/** Every container that the engine knew when it was asked, and which engine that was. */
export interface ContainerList {
  readonly engine: EngineFacts;
  readonly containers: readonly ListedContainer[];
}

const LIST = v.array(v.object({
  Id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'not a full container id')),
  Names: v.nullish(v.array(v.string()), []),
  State: v.optional(v.string(), ''),
}));

/**
 * The first half of observing containers: it may run while the driver is asked. Never partial: a row that cannot be
 * read might be any container, so then the list has failed.
 */
export async function listContainers(engine: EngineClient): Promise<Observed<ContainerList>> {
  const [facts, list] = await Promise.all([observeEngine(engine), engine.list()]);
  if (!facts.ok) return failed(facts.code, facts.why);
  if (!list.ok) return failed(list.code, `container list: ${list.why}`);
  const parsed = v.safeParse(LIST, list.value);
  if (!parsed.success) return failed('malformed', `container list: ${describeIssue(parsed.issues[0])}`);
  const containers = parsed.output.map(({ Id, Names, State }) => ({ id: Id, name: ownName(Names), state: parseState(State) }));
  return complete({ engine: facts.value, containers });
}

/** Legacy links give a container further names, of the form /other/alias. */
function ownName(names: readonly string[]): string {
  const name = names.find((each) => each.lastIndexOf('/') <= 0) ?? names[0] ?? '';
  return name.replace(/^\//, '');
}
