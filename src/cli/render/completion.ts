import { allCommands, type CommandNode, type OptionNode } from '../command-tree.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The completion script of a shell, to be sourced or installed where the shell looks for it. */
export function renderCompletion(shell: Shell, program: CommandNode): string {
  const render = { bash: renderBash, zsh: renderZsh, fish: renderFish };
  return render[shell](program);
}

const HEAD = '# Shell completion of gpuctl; made by: gpuctl completion';

/** `config show` of `gpuctl config show`; empty for the program. */
function pathText({ path }: CommandNode): string {
  return path.join(' ');
}

function namesOf(options: readonly OptionNode[]): readonly string[] {
  return options.flatMap(({ long, short }) => [long, short].filter((name) => name !== null));
}

/** Options of the program are good after any command. */
function optionsFor(node: CommandNode, program: CommandNode): readonly OptionNode[] {
  const own = new Set(namesOf(node.options));
  return node === program ? node.options : [...node.options, ...program.options.filter((option) => !namesOf([option]).some((name) => own.has(name)))];
}

function wordsFor({ children, words }: CommandNode): readonly string[] {
  return [...children.map(({ path }) => path.at(-1) ?? ''), ...words];
}

/** Single quotes hold anything but themselves. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Every option that takes a value, once. */
function valued(program: CommandNode): readonly OptionNode[] {
  const all = allCommands(program).flatMap(({ options }) => options.filter(({ value }) => value !== null));
  return [...new Map(all.map((option) => [namesOf([option]).join(), option])).values()];
}

function renderBash(program: CommandNode): string {
  const commands = allCommands(program);
  const paths = commands.filter(({ path }) => path.length > 0).map((node) => quoted(pathText(node)));
  const values = valued(program).map((option) => `\t${namesOf([option]).join('|')}) ${bashValue(option)}; return ;;`);
  const cases = commands.map((node) => `\t${quoted(pathText(node))}) words=${quoted([...wordsFor(node), ...namesOf(optionsFor(node, program))].join(' '))} ;;`);
  return `${HEAD} bash
_gpuctl() {
	local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' word
	COMPREPLY=()
	case $before in
${values.join('\n')}
	esac
	for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case "$path\${path:+ }$word" in
		${paths.join('|')}) path="$path\${path:+ }$word" ;;
		esac
	done
	case $path in
${cases.join('\n')}
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _gpuctl gpuctl
`;
}

function bashValue({ value }: OptionNode): string {
  if (value === 'file') return 'mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null';
  return `mapfile -t COMPREPLY < <(compgen -W ${quoted((value ?? []).join(' '))} -- "$current")`;
}

function renderZsh(program: CommandNode): string {
  return `#compdef gpuctl
${HEAD} zsh

${allCommands(program).map((node) => zshFunction(node, program)).join('\n\n')}

if [ "$funcstack[1]" = _gpuctl ]; then _gpuctl "$@"; else compdef _gpuctl gpuctl; fi
`;
}

function zshName({ path }: CommandNode): string {
  return ['_gpuctl', ...path].join('_').replaceAll('-', '_');
}

function zshFunction(node: CommandNode, program: CommandNode): string {
  const specs = optionsFor(node, program).flatMap(zshOption);
  if (node.children.length === 0) {
    const words = node.words.length === 0 ? [] : [`${quoted(`1:${node.usage}:(${node.words.join(' ')})`)}`];
    return `${zshName(node)}() {\n\t_arguments -s \\\n\t\t${[...specs, ...words].join(' \\\n\t\t')}\n}`;
  }
  const names = node.children.map((child) => quoted(`${child.path.at(-1)}:${child.description.replaceAll(':', '\\:')}`));
  const cases = node.children.map((child) => `\t\t${child.path.at(-1)}) ${zshName(child)} ;;`);
  return `${zshName(node)}() {
	local context state state_descr line
	typeset -A opt_args
	_arguments -s -C \\
		${[...specs, "'1: :->command'", "'*:: :->rest'"].join(' \\\n\t\t')}
	case $state in
	command)
		local -a commands
		commands=(
			${names.join('\n\t\t\t')}
		)
		_describe command commands ;;
	rest)
		case $line[1] in
${cases.join('\n')}
		esac ;;
	esac
}`;
}

function zshOption(option: OptionNode): readonly string[] {
  const meaning = option.description.replaceAll(/[[\]:\\]/g, (each) => `\\${each}`);
  const value = option.value === null ? '' : option.value === 'file' ? ':file:_files' : `:value:(${option.value.join(' ')})`;
  return namesOf([option]).map((name) => quoted(`${name}[${meaning}]${value}`));
}

function renderFish(program: CommandNode): string {
  const lines = allCommands(program).flatMap((node) => fishLines(node, node === program));
  return `${HEAD} fish
function __gpuctl_path
	set -l path
	for word in (commandline -opc)[2..-1]
		if contains -- (string join ' ' $path $word) ${allCommands(program).filter(({ path }) => path.length > 0).map((node) => quoted(pathText(node))).join(' ')}
			set path $path $word
		end
	end
	string join ' ' $path
end
function __gpuctl_at
	test "$(__gpuctl_path)" = "$argv[1]"
end
complete -c gpuctl -f
${lines.join('\n')}
`;
}

function fishLines(node: CommandNode, everywhere: boolean): readonly string[] {
  const here = `-n ${quoted(`__gpuctl_at ${quoted(pathText(node))}`)}`;
  const commands = node.children.map((child) => `complete -c gpuctl ${here} -a ${quoted(child.path.at(-1) ?? '')} -d ${quoted(child.description)}`);
  const words = node.words.map((word) => `complete -c gpuctl ${here} -a ${quoted(word)}`);
  const options = node.options.filter(({ long }) => everywhere || long !== '--help').map((option) => {
    const value = option.value === null ? '' : option.value === 'file' ? ' -r -F' : ` -x -a ${quoted(option.value.join(' '))}`;
    return `complete -c gpuctl ${everywhere ? '' : `${here} `}${fishFlags(option)}${value} -d ${quoted(option.description)}`;
  });
  return [...commands, ...words, ...options];
}

function fishFlags({ long, short }: OptionNode): string {
  return [short === null ? '' : `-s ${short.slice(1)}`, long === null ? '' : `-l ${long.slice(2)}`].filter((flag) => flag !== '').join(' ');
}
