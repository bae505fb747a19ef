import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ulid } from 'ulid';
import { parseDuration, renderDuration } from '../../config/units.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { seen } from '../../model/observation.ts';
import { printable } from '../../model/text.ts';
import { isoTime } from '../../model/time.ts';
import { answerKeepRequest } from '../../passes/user-side.ts';
import { keepFolder, renderKeepRequest } from '../../record/keep-requests.ts';
import { createLock } from '../../record/lock.ts';
import { compose } from '../compose.ts';
import type { Globals } from '../globals.ts';
import { renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';

interface Wish {
  readonly container: string;
  readonly forMs: number;
}

/** `gpuctl keep`: defers the idle stop. Root writes it into the ledger; anybody else drops a wish, which the next pass checks. */
export function keepCommand(container: string, { for: duration = '24h' }: { readonly for?: string }): Command {
  return async (loaded, globals) => {
    const wish = parseWish(container, duration);
    return process.geteuid?.() === 0 ? keepAsRoot(wish, loaded, globals) : dropWish(wish, loaded, globals);
  };
}

function parseWish(container: string, duration: string): Wish {
  const parsed = parseDuration(duration);
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(container)) throw usage(`${JSON.stringify(container)} is not the name or id of a container`);
  if ('problem' in parsed) throw usage(`--for: ${parsed.problem}`);
  if (parsed.value === null || parsed.value === 0) throw usage(`--for ${duration}: expected a time such as 4h`);
  return { container, forMs: parsed.value };
}

function usage(message: string): GpuctlError {
  return new GpuctlError(message, { code: 'usage', exitCode: ExitCode.usage });
}

/** Whole in one write: a pass that looks meanwhile finds it empty, and leaves it. */
async function dropWish(wish: Wish, { config }: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const folder = keepFolder(config.state.dir);
  let fd: number;
  try {
    fd = openSync(join(folder, `${ulid()}.json`), constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new GpuctlError(`the wish cannot be put into ${folder}: ${(error as Error).message}`, { code: 'keep-impossible', exitCode: ExitCode.notObserved, hint: 'the first pass of gpuctl makes that folder; ask your admin', cause: error });
  }
  try {
    writeSync(fd, renderKeepRequest(wish));
  } finally {
    closeSync(fd);
  }
  tell(globals, { asked: { container: wish.container, for_ms: wish.forMs } }, `Asked to keep ${printable(wish.container, 128)} for ${renderDuration(wish.forMs)}. The next pass checks it; see then: gpuctl why`);
  return ExitCode.ok;
}

async function keepAsRoot(wish: Wish, loaded: LoadedConfig, globals: Globals): Promise<ExitCode> {
  const held = await createLock().acquire();
  if (held === null) throw new GpuctlError('another pass holds the lock /run/gpuctl/lock; nothing was done', { code: 'locked', exitCode: ExitCode.locked, hint: 'try again when it has ended' });
  const composed = compose({ loaded, globals, stopping: () => null, options: { id: ulid(), job: 'sample', dryRun: false, acts: false, records: true, overBudget: false, devices: [] } });
  try {
    const { engine } = await composed.parts.observer.observe();
    const view = seen(engine);
    if (view === null) throw new GpuctlError(`the engine did not answer${engine.state === 'failed' ? `: ${engine.why}` : ''}`, { code: 'not-observed', exitCode: ExitCode.notObserved });
    const answer = answerKeepRequest(composed.parts, { request: { uid: 0, ...wish }, containers: view.containers });
    if (!answer.granted) throw new GpuctlError(answer.why, { code: 'keep-refused', exitCode: ExitCode.usage });
    const [{ id, name }, until] = [answer.container, isoTime(answer.keep.until)];
    tell(globals, { kept: { container: { id, name }, until } }, `Container ${printable(name, 128)} is kept from the idle stop until ${until}.`);
    return ExitCode.ok;
  } finally {
    composed.close();
    held.release();
  }
}

/** With `--events` the event has said it. */
function tell({ json, events, quiet }: Globals, document: object, sentence: string): void {
  if (json === true) process.stdout.write(renderJson({ schema: 1, host: hostname(), ...document }));
  else if (quiet !== true && events !== true) process.stdout.write(`${sentence}\n`);
}
