import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes the folder that `file` is to lie in, with its parents. What is made is 0755 whatever the umask is, because users
 * read exports next to the ledger and the lock; a folder that exists is left as it is. Throws what the file system says.
 */
export function makeFolderFor(file: string): void {
  const folder = dirname(file);
  const first = mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) chmodSync(made, 0o755);
}
