import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultConfig } from '../src/config/defaults.ts';
import { renderCronFile } from '../src/schedule/cron-file.ts';
import { renderUnits } from '../src/schedule/units.ts';
import { settleGenerated } from './generated.ts';

/** Every shipped file of the default schedule, by its path in the repository. */
export function renderShipped(): Readonly<Record<string, string>> {
  const config = defaultConfig();
  const units = Object.entries(renderUnits(config)).map(([name, text]) => [`systemd/${name}`, text]);
  return { 'config/cron.d/gpuctl': renderCronFile(config.schedule), ...Object.fromEntries(units) };
}

/** Writes the files, or with --check only compares: 1 where one differs, or one is there that nobody makes. */
function main(args: readonly string[]): number {
  const check = args.includes('--check');
  const shipped = renderShipped();
  const strange = ['config/cron.d', 'systemd'].flatMap((folder) => namesIn(new URL(`../${folder}/`, import.meta.url)).map((name) => `${folder}/${name}`)).filter((path) => !(path in shipped));
  for (const path of strange) process.stderr.write(`${path} is not one that tools/generate-schedule.ts makes\n`);
  const stale = settleGenerated(shipped, { check, maker: 'tools/generate-schedule.ts' });
  return check && stale + strange.length > 0 ? 1 : 0;
}

function namesIn(folder: URL): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
