import { closeSync, constants, fchmodSync, openSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LastPass } from '../../model/metrics.ts';
import type { MetricsSink } from '../../passes/ports.ts';
import { familiesOf } from './families.ts';
import { renderMetrics } from './render.ts';

export interface MetricsFileOptions {
  /** For node_exporter's textfile collector, which reads every `*.prom` of its folder. */
  readonly file: string;
  readonly version: string;
  /** The last pass of each job that ended, from the ledger. */
  readonly lastPasses: () => readonly LastPass[];
}

/** The file of metrics. Its folder is the collector's: where it is absent, nobody collects, and nothing is written. */
export function createMetricsFile({ file, version, lastPasses }: MetricsFileOptions): MetricsSink {
  return {
    write(view) {
      if (!isFolder(dirname(file))) return;
      replace(file, renderMetrics(familiesOf({ ...view, version, lastPasses: lastPasses() })));
    },
  };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** A reader sees the old file or the new one. The other name does not end in `.prom`, or half a file would be read. */
function replace(file: string, text: string): void {
  // Only a pass that holds the host's lock writes here; what lies there is of one that was killed.
  const temporary = join(dirname(file), `.${basename(file)}.new`);
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    writeFileSync(fd, text);
    fchmodSync(fd, 0o644);
    renameSync(temporary, file);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  } finally {
    closeSync(fd);
  }
}
