import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeFolderFor } from '../../../src/record/folder.ts';
import { testFolder } from './folders.ts';

it('a folder that is made can be entered by users, as can all that is made above it, whatever the umask is', () => {
  const there = testFolder();
  mkdirSync(join(there, 'private'), { mode: 0o700 });
  const before = process.umask(0o077);
  try {
    makeFolderFor(join(there, 'private', 'srv', 'gpuctl', 'ledger.db'));
  } finally {
    process.umask(before);
  }
  expect(['private/srv/gpuctl', 'private/srv', 'private'].map((path) => statSync(join(there, path)).mode & 0o777)).toEqual([0o755, 0o755, 0o700]);
});
