import { parse } from 'valibot';
import { checkCron, checkTree, exemptionProblems, nearestPosition } from './check.ts';
import { rawDefaults } from './defaults.ts';
import { parseYaml } from './document.ts';
import { resolveGroups } from './members.ts';
import { isTree, type Merged, mergeSources, type Source } from './merge.ts';
import { ConfigError, fileMistake, keyText } from './mistake.ts';
import { configSchema } from './schema.ts';
import { isPlainText } from './notify-schema.ts';
import { type Read, readTrustedFile, readTrustedFolder } from './trusted-file.ts';
import { withoutEffect } from './untrusted.ts';
import type { LoadedConfig, Mistake, Tree, Value } from './types.ts';

/** Where the configuration is looked for. With `file`, that file alone counts, and must exist. */
export interface ConfigPlaces {
  readonly file?: string;
  readonly defaultFile?: string;
  readonly confDir?: string;
}

/**
 * Reads, checks and merges the configuration; without any file it is the defaults.
 * @throws ConfigError with every mistake in every file, located. Nothing else.
 */
export async function loadConfig({ file, defaultFile = '/etc/gpuctl/config.yaml', confDir = '/etc/gpuctl/conf.d' }: ConfigPlaces = {}): Promise<LoadedConfig> {
  const found = file === undefined ? listFiles(defaultFile, confDir) : { files: [{ path: file, required: true }], mistakes: [], warnings: [] };
  const read = await Promise.all(found.files.map(readSource));
  refuse([...found.mistakes, ...read.flatMap(({ mistakes }) => mistakes)]);
  const sources = read.flatMap(({ source }) => (source === null ? [] : [source]));
  return conclude(sources, mergeSources(rawDefaults, sources), found.warnings);
}

function refuse(mistakes: readonly Mistake[]): void {
  if (mistakes.length > 0) throw new ConfigError(mistakes);
}

interface Listing {
  readonly files: readonly { readonly path: string; readonly required: boolean }[];
  readonly mistakes: readonly Mistake[];
  readonly warnings: readonly Mistake[];
}

function listFiles(defaultFile: string, confDir: string): Listing {
  const main = { path: defaultFile, required: false };
  const folder = readTrustedFolder(confDir);
  if (folder.state === 'absent') return { files: [main], mistakes: [], warnings: [] };
  if (folder.state === 'refused') return { files: [main], mistakes: [fileMistake(confDir, folder.why)], warnings: [] };
  const names = folder.value.filter((name) => !name.startsWith('.')).toSorted();
  const paths = (ending: string) => names.filter((name) => name.endsWith(ending)).map((name) => `${confDir}/${name}`);
  return {
    files: [main, ...paths('.yaml').map((path) => ({ path, required: true }))],
    mistakes: [],
    warnings: paths('.yml').map((path) => fileMistake(path, 'is not read: its name does not end in .yaml')),
  };
}

interface SourceRead {
  /** Null: there is no such file, or nothing can be made of it. */
  readonly source: Source | null;
  readonly mistakes: readonly Mistake[];
}

async function readSource({ path, required }: Listing['files'][number]): Promise<SourceRead> {
  const read: Read<string> = readTrustedFile(path);
  if (read.state === 'absent') return { source: null, mistakes: required ? [fileMistake(path, 'does not exist')] : [] };
  if (read.state === 'refused') return { source: null, mistakes: [fileMistake(path, read.why)] };
  const document = await parseYaml(read.value, path);
  const source = { file: path, tree: document.tree, positions: document.positions };
  if (document.mistakes.length > 0) return { source, mistakes: document.mistakes };
  const mistakes = checkTree(path, document);
  const cron = (await cronMistakes(source)).filter(({ key }) => mistakes.every((mistake) => mistake.key !== key));
  return { source, mistakes: [...mistakes, ...cron] };
}

async function cronMistakes({ file, tree, positions }: Source): Promise<readonly Mistake[]> {
  const { schedule } = tree;
  if (!isTree(schedule)) return [];
  const problems = await checkCron(schedule);
  return problems.map(({ job, message }) => {
    const key = keyText(['schedule', job]);
    const { line = 1, column = 1 } = positions.get(key) ?? {};
    return { file, line, column, key, message };
  });
}

function conclude(sources: readonly Source[], { tree, origins }: Merged, warnings: readonly Mistake[]): LoadedConfig {
  const limits = tree['limits'] as Tree;
  const { groups, mistakes } = resolveGroups(limits['groups'] as Tree, origins);
  refuse(mistakes);
  const { exemptions, malformed } = sortExemptions(tree['exemptions'] as readonly Value[], origins);
  const config = parse(configSchema, { ...tree, limits: { ...limits, groups }, exemptions });
  return {
    config,
    sources: sources.map((source) => source.file),
    configured: { limits: origins.has('limits'), leftovers: origins.has('leftovers') },
    warnings: [...warnings, ...malformed, ...withoutEffect(config, origins), ...inPlainText(config, origins)],
    originOf: (key) => origins.get(key) ?? null,
    written: tree,
  };
}

/** Alerts name containers and users. */
function inPlainText({ notify }: LoadedConfig['config'], origins: Merged['origins']): readonly Mistake[] {
  return notify.admin.flatMap((sink, index) => {
    if (sink.kind !== 'webhook' || !isPlainText(sink.url)) return [];
    const key = ['notify', 'admin', index, 'webhook'];
    const place = nearestPosition(key, (each) => origins.get(each)) ?? { file: '', line: null, column: null };
    return [{ ...place, key: keyText(key), message: 'alerts cross the network unencrypted; use https' }];
  });
}

/** A malformed exemption is left out and reported; the others, and the file, stay good. */
function sortExemptions(all: readonly Value[], origins: Merged['origins']): { readonly exemptions: readonly Value[]; readonly malformed: readonly Mistake[] } {
  const judged = all.map((exemption, index) => ({ exemption, index, problems: exemptionProblems(exemption) }));
  const malformed = judged.flatMap(({ index, problems }) => problems.map(({ path, message }): Mistake => {
    const whole = ['exemptions', index, ...path];
    const place = nearestPosition(whole, (key) => origins.get(key)) ?? { file: '', line: null, column: null };
    return { ...place, key: keyText(whole), message: `this exemption does not count: ${message}` };
  }));
  return { exemptions: judged.filter(({ problems }) => problems.length === 0).map(({ exemption }) => exemption), malformed };
}
