/**
 * Words that a shell offers behind TAB: commands, then their options. Where a file or a text is expected it offers none, and
 * the shell itself offers files. Knows the table of commands only as an argument.
 */

/** The words of a command that can be completed. */
interface CompletedCommand {
  readonly name: string;
  readonly operands: string;
  readonly options: readonly { readonly name: string; readonly value: string }[];
}

/** Words that may replace the last of `words`, which stand behind the program's name; [] = a file is expected. */
export function completions(commands: readonly CompletedCommand[], words: readonly string[]): readonly string[] {
  const [first = '', ...rest] = words;
  const startingWith = (names: readonly string[], begun: string) => names.filter((name) => name.startsWith(begun));
  if (rest.length === 0) return startingWith([...commands.map(({ name }) => name), 'completion', '--help', '--version'], first);
  const command = commands.find(({ name }) => name === first);
  const current = rest.at(-1) as string;
  const before = rest.at(-2);
  const isValue = command?.options.some(({ name, value }) => value !== '' && before === `--${name}`);
  // An operand may be a file, and no other operand can be listed.
  if (command === undefined || isValue || rest.slice(0, -1).includes('--')) return [];
  if (!current.startsWith('-') && (current !== '' || command.operands !== '')) return [];
  return startingWith([...command.options.map(({ name }) => `--${name}`), '--help'], current);
}

/** The script for the shell at `shell`; null = there is none, because that shell reads neither. Of sh and of nothing it is that of bash. */
export function completionScript(shell: string): readonly string[] | null {
  const name = shell.replace(/^.*\//s, '');
  if (name === 'zsh') return ZSH.split('\n');
  return ['bash', 'sh', 'dash', ''].includes(name) ? BASH.split('\n') : null;
}

const ZSH = `_nospool() {
  local -a offered
  offered=("\${(@f)$(nospool --complete "\${(@)words[2,CURRENT]}")}")
  if [[ -n "$offered" ]]; then compadd -- "\${offered[@]}"; else _files; fi
}
compdef _nospool nospool`;

const BASH = `_nospool() {
  local IFS=$'\\n'
  COMPREPLY=($(nospool --complete "\${COMP_WORDS[@]:1:COMP_CWORD}"))
}
complete -o bashdefault -o default -F _nospool nospool`;
