import { accessSync, constants, lstatSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PlaceState } from '../../model/host-facts.ts';

/** Could this user write the file, making it and its folders where they are missing? Nothing is made or opened. */
export function observePlace(file: string): PlaceState {
  try {
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile()) return { state: 'unwritable', why: `${file} is not a plain file` };
    const at = found === undefined ? nearestFolder(dirname(file)) : file;
    accessSync(at, constants.W_OK);
    const { bavail, bsize } = statfsSync(at);
    return { state: 'writable', freeBytes: bavail * bsize };
  } catch (error) {
    return { state: 'unwritable', why: error instanceof Error ? error.message : String(error) };
  }
}

/** Throws where something that is no folder stands in the way. */
function nearestFolder(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return nearestFolder(dirname(path));
  if (!found.isDirectory()) throw new Error(`${path} is not a folder`);
  return path;
}
