import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { printable } from '../../model/text.ts';
import { renderDuration } from '../../config/units.ts';
import type { ContainerOutlook, ProspectReport } from '../../passes/user-side.ts';
import { ageOf, readPublicExport, readWhyExport, type WhyExport } from '../exported.ts';
import { colours, renderAge, renderJson } from '../render/text.ts';
import type { Globals } from '../globals.ts';
import type { Command } from '../run.ts';

/** `gpuctl why`: the caller's own containers, what will happen to them, when, by which rule and what can be done. Needs no right. */
export function whyCommand({ user }: { readonly user?: string }): Command {
  return async ({ config: { state } }, globals) => {
    const uid = user === undefined ? ownUid() : await uidFor(user);
    const found = readWhyExport(state.dir, uid) ?? nothingFor(uid, state.dir);
    process.stdout.write(globals.json === true ? renderJson(found) : renderWhy(found, Date.now(), globals));
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
  if (everybody !== null) return { host: everybody.host, at: everybody.at, uid, containers: [] };
  throw new GpuctlError('no pass of gpuctl has told anything yet', { code: 'no-export', exitCode: ExitCode.notObserved, hint: `it would be below ${stateDir}; gpuctl sample, as root, writes it` });
}

function renderWhy(why: WhyExport, now: number, globals: Globals): string {
  const paint = colours(globals);
  const age = `as of ${renderAge(ageOf(why, now))} ago`;
  const refusals = (why.keep_refused ?? []).map(({ at, why: reason }) => `gpuctl keep was refused at ${printable(at, 30)}: ${printable(reason, 300)}\n`).join('');
  if (why.containers.length === 0) return `No container of uid ${why.uid} on ${printable(why.host)}, ${age}.\n${refusals}`;
  const blocks = why.containers.map((each) => [paint.bold(`${printable(each.name, 60)} (${printable(each.state, 20)})`) + devicesText(each), ...each.prospects.flatMap((prospect) => prospectLines(prospect, each, now)), ...warningLines(each)].join('\n'));
  return `${blocks.join('\n\n')}\n\n${refusals}${paint.dim(age)}\n`;
}

function devicesText({ devices }: ContainerOutlook): string {
  return devices.length === 0 ? '' : `  ${devices.map((device) => printable(device, 60)).join(', ')}`;
}

const EVENTS_TO_COME = { 'idle-stop': 'stopped for idleness', 'runtime-stop': 'stopped at its runtime limit', 'gpu-release': 'its devices are released', 'removal': 'removed' } as const;

function prospectLines(prospect: ProspectReport, container: ContainerOutlook, now: number): readonly string[] {
  const { what, at, job, explanation, limit, spent_ms: spent } = prospect;
  const demand = limit.shortened_from_ms === undefined ? [] : [`shortened from ${renderDuration(limit.shortened_from_ms)} while most devices are taken`];
  const whence = [...(limit.from === null ? [] : [printable(limit.from, 80)]), ...demand].join('; ');
  const rule = `${printable(limit.key, 40)} ${renderDuration(limit.ms === null ? null : roundMs(limit.ms))}${whence === '' ? '' : ` (${whence})`}`;
  const so = spent === null ? '' : `; ${renderAge(spent)} so far`;
  if (at === null) return [`  not ${EVENTS_TO_COME[what]}: ${printable(explanation ?? '', 200)}; ${rule}`];
  const put = explanation === null ? '' : `; ${printable(explanation, 200)}`;
  const when = `  ${EVENTS_TO_COME[what]} in ${renderAge(Math.max(0, Date.parse(at) - now))} at the earliest (${at.slice(0, 16).replace('T', ' ')} UTC${job === null || job === undefined ? '' : `, by ${printable(job, 40)}`}): ${rule}${so}${put}`;
  return [when, ...wayOut(what, container)];
}

/** What the owner can do about it. */
function wayOut(what: ProspectReport['what'], { name, state, keep_alive_max_ms: most }: ContainerOutlook): readonly string[] {
  if (what === 'idle-stop') return [most === 0 ? '      use it: any activity begins the time anew' : `      use it, or: gpuctl keep ${printable(name, 60)} --for ${renderDuration(most)} (the most in one idle spell)`];
  if (what === 'runtime-stop') return ['      it cannot be put off; an admin grants exemptions'];
  return [`      start it${state === 'created' ? '' : ' again'}: docker start ${printable(name, 60)}`];
}

/** A limit may be shortened by high demand to a part of a second. */
function roundMs(ms: number): number {
  return ms === 0 ? 0 : Math.max(1000, Math.round(ms / 1000) * 1000);
}

function warningLines({ warnings }: ContainerOutlook): readonly string[] {
  return warnings.map(({ kind, stage, at }) => `  ${stage === 'final' ? 'final warning' : stage === 'notice' ? 'notice' : 'warning'} (${printable(kind, 20)}) given at ${printable(at, 30)}`);
}
