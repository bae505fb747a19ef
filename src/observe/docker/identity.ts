import * as v from 'valibot';
import type { EngineClient, EngineProblem, EngineReply } from '../../callout/engine.ts';
import type { EngineIdentity } from '../../model/snapshot.ts';
import { describeIssue } from './issue.ts';

/** Who answers on the socket, as `/info` says. */
export interface EngineFacts extends EngineIdentity {
  readonly version: string | null;
  /** What a container without a runtime of its own runs in. */
  readonly defaultRuntime: string | null;
}

const INFO = v.object({
  ID: v.optional(v.string(), ''),
  ServerVersion: v.nullish(v.string(), null),
  DefaultRuntime: v.nullish(v.string(), null),
  /** Podman's own addition to Docker's answer. */
  BuildahVersion: v.optional(v.unknown()),
});

/**
 * The engine's identity now: never kept, since another engine may take over the socket at any moment. A Docker
 * engine that does not say its id is a problem: acts depend on it.
 */
export async function observeEngine(engine: EngineClient): Promise<EngineReply<EngineFacts>> {
  const version = await engine.version();
  if (!version.ok) return version;
  const info = await engine.info();
  if (!info.ok) return { ...info, why: `info: ${info.why}` };
  const parsed = v.safeParse(INFO, info.value);
  if (!parsed.success) return malformed(describeIssue(parsed.issues[0]));
  const { ID, ServerVersion, DefaultRuntime, BuildahVersion } = parsed.output;
  const kind = version.value.kind === 'podman' || BuildahVersion !== undefined ? 'podman' : 'docker';
  if (kind === 'docker' && ID === '') return malformed('the engine does not say its id');
  return { ok: true, value: { kind, engineId: kind === 'podman' ? null : ID, version: ServerVersion, defaultRuntime: DefaultRuntime || null } };
}

function malformed(why: string): EngineProblem {
  return { ok: false, code: 'malformed', status: null, why: `info: ${why}` };
}

/** Is it one and the same engine? Of podman only the kind can be compared. */
export function sameEngine(a: EngineIdentity, b: EngineIdentity): boolean {
  return a.kind === b.kind && a.engineId === b.engineId;
}
