import { ExitCode } from '../../model/errors.ts';
import type { Allocation } from '../../model/history.ts';
import { isoTime } from '../../model/time.ts';
import { withLedger } from '../with-ledger.ts';
import { printable } from '../../model/text.ts';
import { colours, renderJson, renderTable } from '../render/text.ts';
import type { Command } from '../run.ts';

/** `gpuctl allocations`: the ledger's open allocations; with `--all` the released ones that it still knows as well. */
export function allocationsCommand({ all = false }: { readonly all?: boolean }): Command {
  return async ({ config }, globals) => {
    const shown = withLedger(config, 'read', (ledger) => ledger.history()).allocations.filter((each) => all || each.releasedAt === null);
    process.stdout.write(globals.json === true ? renderJson(shown.map(toJson)) : renderAllocations(shown, globals));
    return ExitCode.ok;
  };
}

function toJson({ containerId, containerName, owner, gpuUuid, migUuid, observedAt, releasedAt, releaseReason }: Allocation): object {
  return {
    container: { id: containerId, name: containerName }, owner, gpu: gpuUuid, mig: migUuid,
    observed_at: isoTime(observedAt), released_at: releasedAt === null ? null : isoTime(releasedAt), release_reason: releaseReason,
  };
}

function renderAllocations(allocations: readonly Allocation[], globals: Parameters<typeof colours>[0]): string {
  if (allocations.length === 0) return 'No allocations.\n';
  const paint = colours(globals);
  const rows = allocations.map((each) => [
    each.migUuid ?? each.gpuUuid, printable(each.containerName, 40), each.containerId.slice(0, 12), each.owner ?? '-', isoTime(each.observedAt),
    each.releasedAt === null ? '' : `${isoTime(each.releasedAt)} (${each.releaseReason ?? '?'})`,
  ]);
  return `${renderTable([['DEVICE', 'CONTAINER', 'ID', 'OWNER', 'SINCE', 'RELEASED'], ...rows], (cell, row) => (row === 0 ? paint.dim(cell) : cell))}\n`;
}
