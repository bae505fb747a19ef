import { fileURLToPath } from 'node:url';
import { allCommands, commandTree, type CommandNode, type OptionNode } from '../src/cli/command-tree.ts';
import { createProgram } from '../src/cli/program.ts';

/** What the manual says of itself. `date`: YYYY-MM-DD. */
export interface ManFacts {
  readonly version: string;
  readonly date: string;
}

const SECTION = 8;

/** gpuctl(8): names and options from the parser, the rest from the prose below. */
export function renderMan({ version, date }: ManFacts): string {
  const program = commandTree(createProgram());
  const commands = allCommands(program).filter(({ path, children }) => path.length > 0 && children.length === 0);
  return `${[
    `.TH GPUCTL ${SECTION} ${date} ${quoted(`gpuctl ${version}`)} ${quoted('System administration')}`,
    '.SH NAME', `gpuctl \\- ${escaped('keep a shared GPU host clean')}`,
    '.SH SYNOPSIS', '.B gpuctl', '.RI [ option ...]', '.I command', '.RI [ argument ...]',
    '.SH DESCRIPTION', ...paragraphs(DESCRIPTION),
    '.SH COMMANDS', ...commands.flatMap(commandLines),
    '.SH OPTIONS', 'These are accepted by every command.', ...program.options.flatMap(optionLines),
    '.SH EXIT STATUS', ...EXITS.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escaped(meaning)]),
    '.SH FILES', ...FILES.flatMap(([file, meaning]) => ['.TP', `.I ${escaped(file)}`, escaped(meaning)]),
    '.SH ENVIRONMENT', ...ENVIRONMENT.flatMap(([name, meaning]) => ['.TP', `.B ${name}`, escaped(meaning)]),
    '.SH EXAMPLES', ...EXAMPLES.flatMap(([meaning, line]) => [escaped(meaning), '.PP', '.RS 4', '.EX', escaped(line), '.EE', '.RE', '.PP']),
    '.SH SEE ALSO', '.BR nvidia\\-smi (1),', '.BR docker (1),', '.BR crontab (5),', '.BR systemd.timer (5)',
  ].join('\n')}\n`;
}

const DESCRIPTION = [
  'gpuctl runs on one machine with NVIDIA GPUs and Docker. It releases GPU allocations that nobody uses any more, ends GPU processes that outlived their container, resets a GPU when, and only when, nothing refers to it, and alerts an admin where a reset would hurt somebody. It is run by root: by cron, by systemd timers, or by hand.',
  'What is seen, what is decided and what is done are kept apart. --dry-run shows the whole plan of any pass and does nothing. On a terminal a pass shows its plan and asks first. One pass that changes the host runs at a time; another one exits with 75. A source that failed is never taken for an empty one: what is not known is left alone.',
];

const EXITS: readonly (readonly [number, string])[] = [
  [0, 'Nothing to do, or all of it done.'],
  [1, 'Findings that need an admin; an observation that was only partial is one.'],
  [2, 'The command line or the configuration is wrong; nothing was done.'],
  [3, 'The host could not be observed; nothing was done that needs what is not known.'],
  [4, 'An act failed, or was refused by the check right before it.'],
  [70, 'A bug of gpuctl.'],
  [75, 'Another pass holds the lock; nothing was done.'],
];

const FILES: readonly (readonly [string, string])[] = [
  ['/etc/gpuctl/config.yaml', 'The configuration; every key is explained in it. A file that others than root may write is refused.'],
  ['/etc/gpuctl/conf.d/*.yaml', 'Read after it, in order of their names. Maps merge key by key, lists replace.'],
  ['/var/lib/gpuctl/ledger.db', 'The ledger: who holds what since when, what was done and how it ended.'],
  ['/var/log/gpuctl/events.jsonl', 'What happened, one JSON object a line. Its schema is /usr/share/gpuctl/event.schema.json.'],
  ['/run/gpuctl/lock', 'The lock of the pass that runs; it ends with the process.'],
  ['/usr/share/doc/gpuctl/docs/', 'The documents, for admins first; README.md there names them.'],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['DOCKER_HOST', 'The engine, where no file sets engine.host. Local sockets only.'],
  ['NO_COLOR', 'No colours, whatever its value.'],
];

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['What would be done now, without doing it:', 'gpuctl release-stale --dry-run'],
  ['Two healthy devices that nobody claims, for a script:', 'gpuctl free --count 2'],
  ['Can it work on this host?', 'gpuctl doctor'],
];

/** Text as troff takes it: a minus stays a minus, nothing begins a request. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('’', "\\(cq").replaceAll('…', '...').replaceAll(/^([.'])/gm, '\\&$1');
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`;
}

function sentence(text: string): string {
  return escaped(`${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`);
}

function paragraphs(texts: readonly string[]): readonly string[] {
  return texts.flatMap((text, index) => (index === 0 ? [escaped(text)] : ['.PP', escaped(text)]));
}

function commandLines({ path, usage, description, options }: CommandNode): readonly string[] {
  const own = options.filter(({ long }) => long !== '--help');
  return [
    '.TP', `.B ${escaped(`gpuctl ${path.join(' ')}${usage === '' ? '' : ` ${usage}`}`)}`, sentence(description),
    ...(own.length === 0 ? [] : ['.RS', ...own.flatMap(optionLines), '.RE']),
  ];
}

function optionLines({ flags, description }: OptionNode): readonly string[] {
  return ['.TP', `.B ${escaped(flags)}`, sentence(description)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(renderMan({ version: process.argv[2] ?? '0', date: process.argv[3] ?? '1970-01-01' }));
