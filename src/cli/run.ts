import { type LoadedConfig } from '../config/types.ts';
import { loadConfig } from '../config/load.ts';
import { renderMistake } from '../config/mistake.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import { defused } from '../model/text.ts';
import { readUsers } from '../observe/users.ts';
import type { Globals } from './globals.ts';
import { permittedUids } from './permitted-users.ts';
import { rejectConfig } from './reject-config.ts';

/** What a command does once the configuration is read. */
export type Command = (loaded: LoadedConfig, globals: Globals) => Promise<ExitCode>;

/** Reads the configuration, runs the command, sets the exit code. Mistakes that affect only themselves are told on stderr. */
export async function run(command: Command, globals: Globals): Promise<void> {
  await guarded(globals, () => loadAndRun(command, globals));
}

/** The same, throwing what goes wrong. */
export async function loadAndRun(command: Command, globals: Globals): Promise<ExitCode> {
  if (globals.replay !== undefined) return command(await (await import('./replay/open.ts')).defaultsAlone(), globals);
  const loaded = await load(globals).catch((error: unknown) => rejectConfig(error, globals));
  if (globals.quiet !== true) for (const warning of loaded.warnings) process.stderr.write(`gpuctl: warning: ${renderMistake(warning)}\n`);
  return command(loaded, globals);
}

/** What only this host can tell of a configuration is looked at, too. */
async function load({ config }: Globals): Promise<LoadedConfig> {
  const loaded = await loadConfig(config === undefined ? {} : { file: config });
  permittedUids(loaded, readUsers());
  return loaded;
}

/** An error that ends a run on purpose is one line and a hint; anything else is a bug. */
export async function guarded(globals: Globals, work: () => Promise<ExitCode>): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    const known = error instanceof GpuctlError;
    process.stderr.write(defused(known ? `gpuctl: ${error.message}\n${error.hint === null ? '' : `  hint: ${error.hint}\n`}` : `gpuctl: this is a bug: ${String(error)}\n`));
    if (globals.verbose === true || !known) process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`);
    process.exitCode = known ? error.exitCode : ExitCode.bug;
  }
}
