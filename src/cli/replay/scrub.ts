import { pseudonyms, type Pseudonyms } from './words.ts';
import type { Encoded, Tape } from './tape.ts';

type Fields = { readonly [key: string]: Encoded };

export interface ScrubRules {
  /** Names of host processes that the configuration permits; they are compared, so they stay. */
  readonly permitted: readonly string[];
  /** Labels whose values name devices; they are read, so they stay. */
  readonly deviceLabels: readonly string[];
  /** Users of this host who are people. */
  readonly people: readonly string[];
}

/**
 * The tape without what is private: names of owners and containers, environments, command lines, values of labels, paths
 * of mounts, process titles, and uids of people. What an engine says is cut down to the fields that gpuctl reads. Each
 * word has one stand-in in the whole tape, so rules that compare find what they found before.
 */
export function scrub(tape: Tape, rules: ScrubRules): Tape {
  const names = pseudonyms();
  const context: Context = { names, rules };
  // First whoever is named in so many words, so that a name is known wherever else it stands.
  for (const person of [...rules.people, ...ownersIn(tape)]) names.of('user', person);
  const engines = mapAnswers(tape, (question) => question.startsWith('engine.'), (question, value) => scrubEngine(question, value, context));
  const named = mapAnswers(engines, (question) => !question.startsWith('engine.') && !question.startsWith('nvidia-smi.'), (question, value) => scrubValue(question.startsWith('rules.ownerOf') ? 'owner' : '', value, context));
  const told = mapAnswers(named, (question) => question.startsWith('nvidia-smi.'), (_, value) => scrubSmi(value, context));
  const shapes = Object.fromEntries(Object.entries(told.shapes).map(([part, shape]) => [part, part === 'host' ? shape : { ...shape, values: scrubValue('', shape.values, context) as Fields }]));
  // Last, every word that was met anywhere, in whatever text it stands.
  return everywhere({ shapes, answers: told.answers } as Tape, names);
}

function ownersIn({ answers }: Tape): readonly string[] {
  return Object.entries(answers).flatMap(([question, all]) => (question.startsWith('rules.ownerOf(') ? all.flatMap(({ value }) => (typeof value === 'string' ? [value] : [])) : []));
}

interface Context {
  readonly names: Pseudonyms;
  readonly rules: ScrubRules;
}

function mapAnswers(tape: Tape, concerns: (question: string) => boolean, change: (question: string, value: Encoded) => Encoded): Tape {
  const answers = Object.entries(tape.answers).map(([question, all]) => [question, concerns(question) ? all.map((answer) => ({ ...answer, value: change(question, answer.value) })) : all] as const);
  return { shapes: tape.shapes, answers: Object.fromEntries(answers) };
}

function isFields(value: Encoded | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textIn(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === 'string' ? value : '';
}

function listIn(fields: Fields, key: string): readonly Encoded[] {
  const value = fields[key];
  return Array.isArray(value) ? value : [];
}

/** Replies of the engine: of those that it gave, only the fields that gpuctl reads. A reply of another form is kept but for its texts. */
function scrubEngine(question: string, reply: Encoded, context: Context): Encoded {
  if (!isFields(reply) || reply['ok'] !== true) return reply;
  const { value } = reply;
  if (question.startsWith('engine.list') && Array.isArray(value)) return { ...reply, value: value.map((row: Encoded) => (isFields(row) ? scrubRow(row, context) : null)) };
  if (question.startsWith('engine.info') && isFields(value)) return { ...reply, value: only(value, ['ID', 'ServerVersion', 'DefaultRuntime', 'BuildahVersion']) };
  if (question.startsWith('engine.inspect') && isFields(value)) return { ...reply, value: scrubInspect(value, context) };
  return question.startsWith('engine.version') ? reply : { ...reply, value: null };
}

function only(fields: Fields, keys: readonly string[]): Fields {
  return Object.fromEntries(keys.flatMap((key) => (fields[key] === undefined ? [] : [[key, fields[key]]])));
}

/** Slashes tell the own name from those of links. */
function scrubName(name: string, { names }: Context): string {
  return name.split('/').map((part) => names.of('container', part)).join('/');
}

function scrubRow(row: Fields, context: Context): Fields {
  return { ...only(row, ['Id', 'State']), Names: listIn(row, 'Names').map((name) => (typeof name === 'string' ? scrubName(name, context) : null)) };
}

function scrubInspect(body: Fields, context: Context): Fields {
  const [state, config, host] = [body['State'], body['Config'], body['HostConfig']];
  return {
    ...only(body, ['Id', 'Created']),
    Name: scrubName(textIn(body, 'Name'), context),
    ...(isFields(state) ? { State: only(state, ['Status', 'Running', 'Paused', 'Restarting', 'Pid', 'StartedAt', 'FinishedAt']) } : {}),
    ...(isFields(config) ? { Config: scrubConfig(config, context) } : {}),
    ...(isFields(host) ? { HostConfig: { ...only(host, ['Runtime', 'Privileged', 'DeviceRequests']), Devices: listIn(host, 'Devices').map((device) => (isFields(device) ? only(device, ['PathOnHost']) : device)) } } : {}),
    Mounts: listIn(body, 'Mounts').map((mount) => (isFields(mount) ? { ...only(mount, ['Type']), Source: scrubPath(textIn(mount, 'Source'), context), Destination: scrubPath(textIn(mount, 'Destination'), context) } : mount)),
  };
}

function scrubConfig(config: Fields, context: Context): Fields {
  const { names, rules } = context;
  const labels = config['Labels'];
  const kept = new Set([...rules.deviceLabels, 'ds01.gpu.allocated']);
  const env = listIn(config, 'Env').filter((entry) => typeof entry === 'string' && entry.startsWith('NVIDIA_VISIBLE_DEVICES='));
  return {
    Image: names.of('image', textIn(config, 'Image')),
    Env: env,
    ...(isFields(labels) ? { Labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, kept.has(key) || typeof value !== 'string' ? value : names.of('label', value)])) } : {}),
  };
}

/** Paths of the system say which devices a container sees; all others say whose it is. */
function scrubPath(path: string, { names }: Context): string {
  return path === '/' || /^\/(?:dev|proc|sys|run|var\/run)(?:\/|$)/.test(path) || path === '' ? path : `/${names.of('path', path)}`;
}

/** What nvidia-smi printed: process titles are all in it that anybody chose. */
function scrubSmi(result: Encoded, { names }: Context): Encoded {
  if (!isFields(result)) return result;
  const stdout = textIn(result, 'stdout').replace(/(<process_name>)([\s\S]*?)(<\/process_name>)/g, (_, open: string, title: string, close: string) => `${open}${names.of('process', title)}${close}`);
  return { ...result, stdout };
}

/** Keys under which a name stands, in whatever a part answers. */
const NAMED: Readonly<Record<string, string>> = { name: 'container', containerName: 'container', owner: 'user', command: 'command', processName: 'process' };
const UIDS: ReadonlySet<string> = new Set(['uid', 'uids']);

function scrubValue(key: string, value: Encoded, context: Context): Encoded {
  const { names } = context;
  if (typeof value === 'number') return UIDS.has(key) ? names.uid(value) : value;
  if (typeof value === 'string') return scrubText(key, value, context);
  if (value === null || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((each) => scrubValue(key, each, context));
  if (key === 'idleExemption' || key === 'runtimeExemption') return { ...value, reason: 'scrubbed' };
  const fields = value as Fields;
  return Object.fromEntries(Object.entries(fields).map(([inner, each]) => [inner, scrubValue(inner.startsWith('$') ? key : isBoard(fields) && inner === 'name' ? '' : inner, each, context)]));
}

/** The name of a GPU's model is nobody's. */
function isBoard(fields: Fields): boolean {
  return Object.hasOwn(fields, 'pciBusId');
}

function scrubText(key: string, text: string, { names, rules }: Context): string {
  if (key === 'cgroups') return scrubCgroup(text, names);
  if (key === 'exemptFromIdle' || key === 'exemptFromRuntime') return 'scrubbed';
  const kind = Object.hasOwn(NAMED, key) ? NAMED[key] : undefined;
  if (kind === 'command') return keepsCommand(text, rules) ? text : names.of('command', text);
  return kind === undefined ? text : names.of(kind, text);
}

/** Names that rules compare with: the permitted ones, cut as the kernel cuts them, and those of NVIDIA's own daemons. */
function keepsCommand(command: string, { permitted }: ScrubRules): boolean {
  return command.startsWith('nvidia') || permitted.some((name) => name.slice(0, 15) === command);
}

/** The manager, the kind of unit and container ids stay; what people named, and their uids, do not. */
function scrubCgroup(path: string, names: Pseudonyms): string {
  const parts = path.split('/').map((part) => part
    .replace(/^(user-|user@)(\d+)(\.slice|\.service)$/, (_, before: string, uid: string, after: string) => `${before}${names.uid(Number(uid))}${after}`));
  const user = parts.findIndex((part) => /^user@\d+\.service$/.test(part));
  return parts.map((part, at) => (user >= 0 && at > user && part !== '' ? `unit-${names.of('unit', part).slice('unit-'.length)}${/\.(?:service|scope|slice)$/.exec(part)?.[0] ?? ''}` : part)).join('/');
}

function everywhere(tape: Tape, names: Pseudonyms): Tape {
  const replace = (value: Encoded): Encoded => {
    if (typeof value === 'string') return names.within(value);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(replace);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replace(each as Encoded)]));
  };
  return replace(tape as unknown as Encoded) as unknown as Tape;
}
