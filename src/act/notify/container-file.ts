import type { ContainerTarget } from '../../model/decision.ts';
import type { FailureCode } from '../../model/observation.ts';
import { isoTime } from '../../model/time.ts';
import { renderTar } from './tar.ts';

const FOLDER = '/workspace';
/** Of the notice inside the container. */
export const NOTICE_NAME = 'GPUCTL-NOTICE.txt';

/** What this needs of the engine. */
export interface ArchiveEngine {
  inspect(id: string): Promise<Reply>;
  /** Unpacks a tar archive in a folder of the container. */
  putArchive(id: string, folder: string, tar: Buffer): Promise<Reply>;
}

type Reply = { readonly ok: true; readonly value: unknown } | NotThere;

/** Why a notice is not there. `code` is the engine's, where it was its answer; `timeout`: it gave none in time. */
export interface NotThere {
  readonly ok: false;
  readonly code?: FailureCode;
  readonly why: string;
}

/** Puts the notice in the container's /workspace, in place of an earlier one. Null: it is there. */
export async function putNotice(engine: ArchiveEngine, target: ContainerTarget, { message, now }: { readonly message: string; readonly now: number }): Promise<NotThere | null> {
  const seen = await engine.inspect(target.containerId);
  if (!seen.ok) return seen;
  // The engine writes below a tmpfs, not on it, and would say that all went well.
  if (hasTmpfs(seen.value)) return { ok: false, why: `${FOLDER} is a tmpfs, which the engine cannot write to from outside` };
  const content = `${message}\n\n(gpuctl, ${isoTime(now)}. This file replaces earlier notices; it may be deleted.)\n`;
  const put = await engine.putArchive(target.containerId, FOLDER, renderTar({ name: NOTICE_NAME, mode: 0o644, content, modifiedS: now / 1000 }));
  return put.ok ? null : put;
}

function hasTmpfs(inspection: unknown): boolean {
  const { HostConfig, Mounts } = (inspection ?? {}) as { readonly HostConfig?: { readonly Tmpfs?: unknown }; readonly Mounts?: unknown };
  const inHostConfig = Object.keys(HostConfig?.Tmpfs ?? {}).some(isFolder);
  const mounted = Array.isArray(Mounts) && Mounts.some((mount: { readonly Type?: unknown; readonly Destination?: unknown } | null) => mount?.Type === 'tmpfs' && isFolder(mount.Destination));
  return inHostConfig || mounted;
}

function isFolder(path: unknown): boolean {
  return typeof path === 'string' && path.replace(/\/+$/, '') === FOLDER;
}
