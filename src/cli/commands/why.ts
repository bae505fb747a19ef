import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { readPublicExport, readWhyExport, type WhyExport } from '../exported.ts';
import { colours, renderJson } from '../render/text.ts';
import { renderWhy } from '../render/why.ts';
import type { Command } from '../run.ts';

/** `gpuctl why`: the caller's own containers, what will happen to them, when, by which rule and what can be done. Needs no right. */
export function whyCommand({ user }: { readonly user?: string }): Command {
  return async ({ config: { state } }, globals) => {
    const uid = user === undefined ? ownUid() : await uidFor(user);
    const found = readWhyExport(state.dir, uid) ?? nothingFor(uid, state.dir);
    process.stdout.write(globals.json === true ? renderJson(found) : renderWhy(found, Date.now(), colours(globals)));
    return ExitCode.ok;
  };
}

function ownUid(): number {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return uid;
  throw new GpuctlError('why tells a user of his own containers', { code: 'usage', exitCode: ExitCode.usage, hint: 'as root: gpuctl why --user NAME, or gpuctl explain CONTAINER' });
}

async function uidFor(user: string): Promise<number> {
  const { readUsers } = await import('../../observe/users.ts');
  const uid = readUsers().uidOf(user);
  if (uid === null) throw new GpuctlError(`there is no user ${JSON.stringify(user)} on this host`, { code: 'no-such-user', exitCode: ExitCode.usage });
  const own = process.getuid?.() ?? 0;
  if (own === 0 || own === uid) return uid;
  throw new GpuctlError('only root may ask about somebody else', { code: 'not-permitted', exitCode: ExitCode.usage });
}

/** No file, but a public one: that pass saw no container of his. */
function nothingFor(uid: number, stateDir: string): WhyExport {
  const everybody = readPublicExport(stateDir);
  if (everybody !== null) return { schema: 1, host: everybody.host, at: everybody.at, pass: everybody.pass ?? null, uid, containers: [], keep_refused: [] };
  throw new GpuctlError('no pass of gpuctl has told anything yet', { code: 'no-export', exitCode: ExitCode.notObserved, hint: `it would be below ${stateDir}; gpuctl sample, as root, writes it` });
}
