import { loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/mistake.ts';
import type { LoadedConfig } from '../config/types.ts';
import type { Globals } from './globals.ts';
import { type Command, guarded, run } from './run.ts';

/** Nothing is there, so that the defaults apply. */
const NOWHERE = { defaultFile: '/nonexistent/config.yaml', confDir: '/nonexistent/conf.d' };

/**
 * Runs a command that any user of the host may run. A configuration that holds secrets is readable for root alone: then the
 * default places are looked in, and that is said.
 */
export async function runForUser(command: Command, globals: Globals): Promise<void> {
  if (process.geteuid?.() === 0) return run(command, globals);
  return guarded(globals, async () => command(await load(globals), globals));
}

async function load(globals: Globals): Promise<LoadedConfig> {
  try {
    return await loadConfig(globals.config === undefined ? {} : { file: globals.config });
  } catch (error) {
    const secret = error instanceof ConfigError && error.mistakes.every(({ message }) => message.endsWith('may not be read by this user'));
    if (!secret) throw error;
    if (globals.quiet !== true) process.stderr.write('gpuctl: the configuration may not be read by this user; the default places are looked in\n');
    return loadConfig(NOWHERE);
  }
}
