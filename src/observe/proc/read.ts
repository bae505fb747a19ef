import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** One look at a /proc entry. *Gone*: its process ended meanwhile, which is no failure. */
export type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly gone: boolean; readonly why: string };

/** Runs one synchronous file call of /proc: such a call never waits, and a promise each would cost more than the read. */
export function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { ok: false, gone: code === 'ENOENT' || code === 'ESRCH', why: code };
  }
}

/** Bytes that are not UTF-8 become U+FFFD. */
export function readText(path: string): Attempt<string> {
  return attempt(() => readFileSync(path, 'utf8'));
}

const CHUNK_BYTES = 64 * 1024;

/** The beginning of a file: all of it where it is no longer than `maxBytes`, else at least that much of it. */
export function readHead(path: string, maxBytes: number): Attempt<Buffer> {
  return attempt(() => {
    const file = openSync(path, 'r');
    try {
      const chunks: Buffer[] = [];
      for (let size = 0; size < maxBytes;) {
        const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        const length = readSync(file, chunk, 0, CHUNK_BYTES, null);
        if (length === 0) break;
        chunks.push(chunk.subarray(0, length));
        size += length;
      }
      return Buffer.concat(chunks);
    } finally {
      closeSync(file);
    }
  });
}
