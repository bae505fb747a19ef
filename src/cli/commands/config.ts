import type { OwnerFacts } from '../../config/limits.ts';
import { ConfigError } from '../../config/mistake.ts';
import { ownerOf, typeOf } from '../../config/owner.ts';
import { renderConfigShow, showConfig } from '../../config/show.ts';
import { renderDefaultConfig } from '../../config/template.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { openEngine } from '../../callout/engine.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { seen } from '../../model/observation.ts';
import { counted } from '../../model/text.ts';
import { inspectContainers, listContainers } from '../../observe/docker/index.ts';
import { readUsers } from '../../observe/users.ts';
import { refuseCollisions } from '../collisions.ts';
import { engineHost } from '../compose.ts';
import type { Globals } from '../globals.ts';
import { renderJson } from '../render/text.ts';
import { type Command, guarded, loadAndRun } from '../run.ts';

/** `gpuctl config check`: all mistakes at once, on stderr; with `--json` they are the document as well. */
export function configCheck(globals: Globals): Promise<void> {
  return guarded(globals, async () => {
    try {
      return await loadAndRun(configCheckCommand, globals);
    } catch (error) {
      if (globals.json === true && error instanceof ConfigError) process.stdout.write(renderJson({ schema: 1, valid: false, mistakes: error.mistakes }));
      throw error;
    }
  });
}

/** Mistakes have ended the run before this, but for a schedule whose passes collide. */
const configCheckCommand: Command = async (loaded, globals) => {
  refuseCollisions(loaded, globals);
  const { sources, warnings } = loaded;
  if (globals.json === true) process.stdout.write(renderJson({ schema: 1, valid: true, sources, warnings }));
  else if (globals.quiet !== true) process.stdout.write(`${sources.length === 0 ? 'no file: the built-in defaults apply' : `${sources.join(', ')}: no mistakes`}${warnings.length === 0 ? '' : `, ${counted(warnings.length, 'warning')}`}\n`);
  return warnings.length === 0 ? ExitCode.ok : ExitCode.findings;
};

/** `gpuctl config show`: the whole, or the limits of one container or owner, each with its origin. */
export function configShowCommand({ container, user }: { readonly container?: string; readonly user?: string }): Command {
  return async (loaded, globals) => {
    const subject = container === undefined ? (user === undefined ? null : ownerFacts(user, null)) : await containerFacts(container, loaded);
    print(loaded, subject, globals);
    return ExitCode.ok;
  };
}

/** `gpuctl config init`: the commented defaults, for the admin to redirect into a file. */
export function printDefaultConfig(): void {
  process.stdout.write(renderDefaultConfig());
}

function print(loaded: LoadedConfig, subject: OwnerFacts | null, globals: Globals): void {
  const shown = showConfig(loaded, subject);
  process.stdout.write(globals.json === true ? renderJson(shown) : `${renderConfigShow(shown)}\n`);
}

function ownerFacts(owner: string | null, type: string | null): OwnerFacts {
  return { owner, type, unixGroups: owner === null ? [] : readUsers().groupsOf(owner) };
}

/** By name or by the start of its id. Throws GpuctlError where the engine does not answer or has no such container. */
async function containerFacts(reference: string, { config }: LoadedConfig): Promise<OwnerFacts> {
  const engine = openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs });
  const list = await listContainers(engine);
  const view = list.state === 'failed' ? list : await inspectContainers(engine, { list: list.value, namedIds: [], readVisibleDevices: () => null });
  if (view.state === 'failed') throw new GpuctlError(`the engine did not answer: ${view.why}`, { code: 'not-observed', exitCode: ExitCode.notObserved });
  const found = (seen(view)?.containers ?? []).filter((each) => each.name === reference || (reference.length >= 4 && each.id.startsWith(reference)));
  const [only] = found;
  if (only === undefined || found.length > 1 || !only.inspected) throw new GpuctlError(only === undefined ? `there is no container ${JSON.stringify(reference)}` : found.length > 1 ? `${JSON.stringify(reference)} names ${found.length} containers` : `container ${JSON.stringify(reference)} could not be inspected`, { code: 'no-such-container', exitCode: ExitCode.usage, hint: 'by its name, or the start of its id' });
  return ownerFacts(ownerOf(only, config, readUsers().nameOf).owner, typeOf(only, config));
}
