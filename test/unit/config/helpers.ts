import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/mistake.ts';
import type { LoadedConfig, Mistake } from '../../../src/config/types.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';

/** A folder of this test's own, with these files in it. */
export function folderWith(files: Readonly<Record<string, string | Buffer>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-config-'));
  onTestFinished(() => { rmSync(folder, { recursive: true, force: true }); });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o644 });
  }
  return folder;
}

/** Loads `config.yaml` and `conf.d` of a folder as if it were /etc/gpuctl. */
export function loadFolder(folder: string): Promise<LoadedConfig> {
  return loadConfig({ defaultFile: join(folder, 'config.yaml'), confDir: join(folder, 'conf.d') });
}

export function loadFiles(files: Readonly<Record<string, string | Buffer>>): Promise<LoadedConfig> {
  return loadFolder(folderWith(files));
}

/** Loads one file whose first line is the version. */
export function loadText(text: string): Promise<LoadedConfig> {
  return loadFiles({ 'config.yaml': `version: 1\n${text}` });
}

/** Every mistake, with file names relative to the folder. */
export async function mistakesOf(files: Readonly<Record<string, string | Buffer>>): Promise<readonly Mistake[]> {
  const folder = folderWith(files);
  return refusal(folder, () => loadFolder(folder));
}

export async function refusal(folder: string, load: () => Promise<LoadedConfig>): Promise<readonly Mistake[]> {
  try {
    await load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.mistakes.map((mistake) => ({ ...mistake, file: mistake.file.replace(`${folder}/`, '') }));
  }
  throw new Error('it loaded');
}

/** A plain running container; tests change one thing of it. */
export function container(changed: Partial<InspectedContainer> = {}): InspectedContainer {
  return {
    inspected: true, id: 'a'.repeat(64), name: 'train', image: 'pytorch:2', state: 'running', pid: 4711, createdAt: 0, startedAt: 0, finishedAt: null,
    labels: {}, env: [], runtime: 'runc', privileged: false, deviceRequests: [], deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null,
    ...changed,
  };
}
