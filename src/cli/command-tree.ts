import type { Command, Option } from 'commander';

/** One option as shell completion and the manual need it. */
export interface OptionNode {
  /** `--device`; null: it has no long form. */
  readonly long: string | null;
  /** `-q`; null: it has no short form. */
  readonly short: string | null;
  /** As the help shows it: `--device <id...>`. */
  readonly flags: string;
  readonly description: string;
  /** What its value is: a file, or one of these words; null: it takes none. An empty list: anything. */
  readonly value: 'file' | readonly string[] | null;
}

/** One command of the command line, or the program itself, whose path is empty. */
export interface CommandNode {
  /** `['config', 'show']`. */
  readonly path: readonly string[];
  readonly description: string;
  /** Its arguments as the help shows them: `<shell>`. */
  readonly usage: string;
  readonly options: readonly OptionNode[];
  /** Words that its first argument may be; empty: anything, or there is none. */
  readonly words: readonly string[];
  readonly children: readonly CommandNode[];
}

/** The command line as a value, read from the parser itself, so that what is made of it cannot go stale. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode {
  const [argument] = command.registeredArguments;
  return {
    path,
    description: command.description(),
    usage: command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`) + (each.variadic ? '...' : '')).join(' '),
    options: [...command.options.filter((option) => !option.hidden).map(optionNode), HELP],
    words: argument?.argChoices ?? [],
    children: command.commands.map((child) => commandTree(child, [...path, child.name()])),
  };
}

/** The command itself and all below it, in the order of the help. */
export function allCommands(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(allCommands)];
}

const HELP: OptionNode = { long: '--help', short: '-h', flags: '-h, --help', description: 'show the help of the command', value: null };

function optionNode(option: Option): OptionNode {
  const { long = null, short = null, flags, description, argChoices } = option;
  const takesValue = option.required || option.optional;
  return { long, short, flags, description, value: takesValue ? (isFile(flags) ? 'file' : (argChoices ?? [])) : null };
}

function isFile(flags: string): boolean {
  return /[<[](?:file|folder|path)/i.test(flags);
}
