import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inNamespace } from '../arrange.ts';
import { eventsIn } from '../check.ts';
import { linesOf } from '../stage.ts';
import type { LimitCase } from './run.ts';
import type { LimitStage } from './stage.ts';

/** What users may read of a pass, where it cannot be written: the pass goes on and says so once, and nobody ever reads half of it. */
export function exportCases(): readonly LimitCase[] {
  return [
    mounted('why: disk full', 'mkdir -p $D/state/why && mount -t tmpfs -o size=4k,mode=711 tmpfs $D/state/why && head -c 65536 /dev/zero >$D/state/why/filler 2>/dev/null; true'),
    mounted('why: no file more', 'mkdir -p $D/state/why && mount -t tmpfs -o nr_inodes=1,mode=711 tmpfs $D/state/why'),
    mounted('why: read-only', 'mkdir -p $D/state/why && mount --bind $D/state/why $D/state/why && mount -o remount,bind,ro $D/state/why'),
    mounted('public.json: may not be replaced', 'touch $D/state/public.json && mount --bind $D/state/public.json $D/state/public.json'),
    mounted('the new file: may not be made', ': >$D/state/.new && mount --bind $D/state/.new $D/state/.new'),
    placed('why: a file in its place', 'why', (path) => { writeFileSync(path, ''); }, true),
    placed('why: a link in its place', 'why', (path, stage) => { mkdirSync(join(stage.host.dir, 'elsewhere')); symlinkSync(join(stage.host.dir, 'elsewhere'), path); }, true),
    placed('public.json: a folder in its place', 'public.json', (path) => { mkdirSync(path); }, true),
    placed('public.json: a link in its place', 'public.json', (path, stage) => { writeFileSync(join(stage.host.dir, 'target'), 'kept'); symlinkSync(join(stage.host.dir, 'target'), path); }, false),
    placed('the new file: a folder in its place', '.new', (path) => { mkdirSync(path); }, true),
    placed('the new file: a link in its place', '.new', (path, stage) => { writeFileSync(join(stage.host.dir, 'target'), 'kept'); symlinkSync(join(stage.host.dir, 'target'), path); }, false),
    placed('the new file: half of it, of a pass that was killed', '.new', (path) => { writeFileSync(path, '{"schema":1,"dev'); }, false),
  ];
}

/** In the pass's own mount namespace. */
function mounted(fault: string, commands: string): LimitCase {
  return exported(fault, true, (stage) => inNamespace(stage, commands));
}

/** Something else lies where it is to be written; taken away afterwards, where gpuctl did not. */
function placed(fault: string, name: string, place: (path: string, stage: LimitStage) => void, fails: boolean): LimitCase {
  return exported(fault, fails, (stage) => {
    const path = join(stage.host.stateDir, name);
    const kept = `${stage.host.dir}/kept`;
    if (existsSync(path)) renameSync(path, kept);
    place(path, stage);
    return { undo: () => {
      if (!fails) return;
      rmSync(path, { recursive: true });
      if (existsSync(kept)) renameSync(kept, path);
    } };
  });
}

function exported(fault: string, fails: boolean, arrange: LimitCase['arrange']): LimitCase {
  return {
    callOut: 'exports', fault, kind: 'quiet', arrange,
    expected: {
      exits: [0], says: [],
      between: (stage) => [
        ...(failures(stage) === (fails ? 1 : 0) ? [] : [`${failures(stage)} events say that it failed`]),
        ...untouched(stage),
        ...whole(stage, join(stage.host.stateDir, 'public.json')),
        ...(fails ? whole(stage, whyOf(stage)) : []),
      ],
      finally: (stage) => [...untouched(stage), ...renewed(stage), ...(failures(stage) === (fails ? 1 : 0) ? [] : ['it failed again'])],
    },
  };
}

const whyOf = ({ host, uid }: LimitStage): string => join(host.stateDir, 'why', `${uid}.json`);

function failures(stage: LimitStage): number {
  return eventsIn(linesOf(stage)).filter((event) => event['event.action'] === 'notify.failed' && event['event.reason'] === 'export').length;
}

/** A link's target is nobody's export. */
function untouched({ host }: LimitStage): readonly string[] {
  const [target, elsewhere] = [join(host.dir, 'target'), join(host.dir, 'elsewhere')];
  return [
    ...(existsSync(target) && readFileSync(target, 'utf8') !== 'kept' ? ['the target of a link was written to'] : []),
    ...(existsSync(elsewhere) && readdirSync(elsewhere).length > 0 ? ['something was written behind a link'] : []),
  ];
}

/** An earlier one, a new one or none, but not half of one. */
function whole({ host }: LimitStage, path: string): readonly string[] {
  // Where something else lies in its place, nobody reads anything.
  if (!existsSync(path) || !lstatSync(path).isFile()) return [];
  try {
    JSON.parse(readFileSync(path, 'utf8'));
    return [];
  } catch {
    return [`${path.replace(host.dir, '…')} is torn`];
  }
}

/** After the next pass both are of that pass, whole, and of the right user. */
function renewed(stage: LimitStage): readonly string[] {
  const { host: { stateDir }, uid, id } = stage;
  const pass = eventsIn(linesOf(stage)).at(-1)?.['gpuctl.pass'];
  const files = [[join(stateDir, 'public.json'), 0o644, 0], [whyOf(stage), 0o400, uid]] as const;
  const problems = files.flatMap(([path, mode, owner]) => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() !== true) return [`there is no ${path}`];
    const text = readFileSync(path, 'utf8');
    const isRight = (stats.mode & 0o7777) === mode && stats.uid === owner && (JSON.parse(text) as { pass: unknown }).pass === pass;
    return isRight ? [] : [`${path} is not of the last pass, or not its reader's: ${(stats.mode & 0o7777).toString(8)} ${stats.uid} ${text.slice(0, 200)}`];
  });
  const left = readdirSync(stateDir).includes('.new') || readdirSync(join(stateDir, 'why')).some((name) => !/^\d+\.json$/.test(name));
  return [...problems, ...(left ? ['something is left behind'] : []), ...(problems.length > 0 || readFileSync(whyOf(stage), 'utf8').includes(id) ? [] : ['the container is not in it'])];
}
