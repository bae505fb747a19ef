import { chmodSync, closeSync, constants, fchmodSync, fchownSync, lstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { UserExports } from '../passes/ports.ts';

/** For everybody: devices, and what is free. */
export function publicFile(stateDir: string): string {
  return join(stateDir, 'public.json');
}

/** For this user alone: what will happen to his containers. */
export function whyFile(stateDir: string, uid: number): string {
  return join(stateDir, 'why', `${uid}.json`);
}

/**
 * Where passes leave what users without root may read. Each file is written whole under another name and then renamed, so
 * that a reader sees the old one or the new one. Throws what the file system says.
 */
export function openUserExports(stateDir: string): UserExports {
  return {
    writePublic(value) {
      makeFolder(stateDir, null);
      replace(publicFile(stateDir), value, { mode: 0o644, uid: null });
    },
    writeWhys(byUid) {
      const folder = join(stateDir, 'why');
      makeFolder(stateDir, null);
      // Users may open what is theirs, but not see who else there is.
      makeFolder(folder, 0o711);
      // One file that cannot be written or given away, as where its user is over his quota, is no harm to the others.
      const failures: unknown[] = [];
      const orGoOn = (step: () => void): void => {
        try {
          step();
        } catch (error) {
          failures.push(error);
        }
      };
      for (const [uid, value] of byUid) orGoOn(() => { replace(whyFile(stateDir, uid), value, { mode: 0o400, uid }); });
      const kept = new Set([...byUid.keys()].map((uid) => `${uid}.json`));
      for (const name of readdirSync(folder)) if (!kept.has(name)) orGoOn(() => { unlinkSync(join(folder, name)); });
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** `mode` null: a folder that is there stays as it is. */
function makeFolder(folder: string, mode: number | null): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const stats = lstatSync(folder);
  if (!stats.isDirectory()) throw new Error(`${folder} is not a folder`);
  if (mode !== null && (stats.mode & 0o7777) !== mode) chmodSync(folder, mode);
}

function replace(file: string, value: object, { mode, uid }: { readonly mode: number; readonly uid: number | null }): void {
  // Only a pass that holds the host's lock writes here; what lies there is of one that was killed.
  const temporary = join(dirname(file), '.new');
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    writeFileSync(fd, `${JSON.stringify(value)}\n`);
    fchmodSync(fd, mode);
    if (uid !== null) fchownSync(fd, uid, process.getegid?.() ?? 0);
  } catch (error) {
    closeSync(fd);
    unlinkSync(temporary);
    throw error;
  }
  closeSync(fd);
  renameSync(temporary, file);
}
