import { join } from 'node:path';
import type { Arranged } from './run.ts';
import type { Stage } from './stage.ts';

/** This checkout's. */
export const GPUCTL = join(import.meta.dirname, '..', '..', 'bin', 'gpuctl');

/** Runs gpuctl after a few shell commands in its mount namespace, where `D` is the host's folder. */
export function inNamespace({ host }: Pick<Stage, 'host'>, commands: string, { after = '' }: { readonly after?: string } = {}): Arranged {
  const run = after === '' ? 'exec "$@"' : `"$@"; rc=$?; ${after}; exit $rc`;
  return { options: { program: ['sh', '-c', `D=$1; shift; ${commands} && ${run}`, 'sh', host.dir, GPUCTL] } };
}
