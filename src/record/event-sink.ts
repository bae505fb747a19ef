import type { EventSink } from '../passes/ports.ts';
import { createLineFile, holdsLately, type LineFile } from './event-file.ts';
import { type EventContext, renderEvent } from './events.ts';

/** Standard output or error, as far as it is needed here. */
export interface TextOut {
  write(text: string): unknown;
}

export interface EventSinkOptions {
  /** Null: to no file. */
  readonly file: string | null;
  readonly context: EventContext;
  readonly stderr: TextOut;
  /** Given: every line goes there as well (`--events`). */
  readonly stdout?: TextOut;
}

/** Where the events of one run go, and whether they got there. */
export interface OpenEventSink extends EventSink {
  /** True: at least one event is not in the file. */
  failed(): boolean;
  holds(text: string): boolean;
  close(): void;
}

/**
 * Appends each event to the file. Never throws: a file that cannot be written is reported on stderr once and remembered,
 * and each later event tries again. A dry run's events never reach the file, only `stdout`.
 */
export function createEventSink({ file, context, stderr, stdout }: EventSinkOptions): OpenEventSink {
  const lines: LineFile | null = file === null || context.dryRun ? null : createLineFile(file);
  let failed = false;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!failed) stderr.write(`gpuctl: events cannot be written to ${file}: ${error instanceof Error ? error.message : String(error)}\n`);
      failed = true;
    }
  };
  return {
    emit(event) {
      const line = renderEvent(event, context);
      attempt(() => { lines?.append(line); });
      stdout?.write(line);
    },
    failed: () => failed,
    holds: (text) => file !== null && holdsLately(file, text),
    close: () => { attempt(() => { lines?.close(); }); },
  };
}
