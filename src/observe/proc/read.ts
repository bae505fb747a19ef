import { close, open, read, readFileSync } from 'node:fs';

/** One look at a /proc entry. *Gone*: its process ended meanwhile, which is no failure. */
export type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  /** `unanswered`: the kernel did not come back from it, or it was not asked any more. */
  | { readonly ok: false; readonly gone: boolean; readonly why: string; readonly unanswered?: true };

/**
 * Runs one synchronous file call of /proc: a promise each would cost more than the read. Only for what the kernel answers
 * from its own memory; what can sleep on a lock of that process or on a file system goes through a queue (queue.ts).
 */
export function attempt<T>(look: () => T): Attempt<T> {
  try {
    return { ok: true, value: look() };
  } catch (error) {
    return failure(error);
  }
}

/** What a file call that failed says. */
export function failure(error: unknown): Extract<Attempt<never>, { ok: false }> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return { ok: false, gone: code === 'ENOENT' || code === 'ESRCH', why: code };
}

/** Bytes that are not UTF-8 become U+FFFD. */
export function readText(path: string): Attempt<string> {
  return attempt(() => readFileSync(path, 'utf8'));
}

/** How a file call of Node's ends. */
export type Done<T> = (error: Error | null, value?: T) => void;

const CHUNK_BYTES = 64 * 1024;

/** The beginning of a file: all of it where it is no longer than `maxBytes`, else at least that much of it. */
export function readHead(path: string, maxBytes: number, done: Done<Buffer>): void {
  open(path, 'r', (failed, file) => {
    if (failed !== null) { done(failed); return; }
    const chunks: Buffer[] = [];
    const finish = (error: Error | null): void => { close(file, () => { done(error, Buffer.concat(chunks)); }); };
    const next = (size: number): void => {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      read(file, chunk, 0, CHUNK_BYTES, null, (error, length) => {
        if (error === null) chunks.push(chunk.subarray(0, length));
        // A file of /proc gives less than was asked for only at its end, and another question would cost as much as this one.
        if (error !== null || length < CHUNK_BYTES || size + length >= maxBytes) finish(error);
        else next(size + length);
      });
    };
    next(0);
  });
}
