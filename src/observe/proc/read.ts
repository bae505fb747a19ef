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

/** At most the first `maxBytes`. */
export function readHead(path: string, maxBytes: number): Attempt<Buffer> {
  return attempt(() => {
    const file = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(maxBytes);
      let length = 0;
      for (let got = -1; got !== 0 && length < maxBytes; length += got) got = readSync(file, buffer, length, maxBytes - length, null);
      return buffer.subarray(0, length);
    } finally {
      closeSync(file);
    }
  });
}
