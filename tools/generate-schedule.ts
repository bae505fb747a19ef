import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultConfig } from '../src/config/defaults.ts';
import { renderCronFile } from '../src/schedule/cron-file.ts';
import { renderUnits } from '../src/schedule/units.ts';

/** Every shipped file of the default schedule, by its path in the repository. */
export function renderShipped(): Readonly<Record<string, string>> {
  const config = defaultConfig();
  const units = Object.entries(renderUnits(config)).map(([name, text]) => [`systemd/${name}`, text]);
  return { 'config/cron.d/gpuctl': renderCronFile(config.schedule), ...Object.fromEntries(units) };
}

/** Writes the files, or with --check only compares: 1 where one differs, or one is there that nobody makes. */
function main(args: readonly string[]): number {
  const root = new URL('../', import.meta.url);
  const shipped = renderShipped();
  const stale = Object.entries(shipped).filter(([path, text]) => contentOf(new URL(path, root)) !== text);
  const strange = ['config/cron.d', 'systemd'].flatMap((folder) => namesIn(new URL(`${folder}/`, root)).map((name) => `${folder}/${name}`)).filter((path) => !(path in shipped));
  for (const path of strange) process.stderr.write(`${path} is not one that tools/generate-schedule.ts makes\n`);
  for (const [path, text] of stale) {
    if (args.includes('--check')) process.stderr.write(`${path} is not what tools/generate-schedule.ts makes\n`);
    else write(new URL(path, root), text);
  }
  return args.includes('--check') && stale.length + strange.length > 0 ? 1 : 0;
}

function write(file: URL, text: string): void {
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, text);
}

function contentOf(file: URL): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function namesIn(folder: URL): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
