import { type Command, command, type Entry, UsageError } from './command.js'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** @param root returns the commands of the program, of which this command is one */
export function completion(root: () => Command): Command {
  return command({
    about: 'Print a script that completes commands and options in bash, zsh or fish',
    details: `
  bash:  source <(latchkey completion bash)       in ~/.bashrc
  zsh:   source <(latchkey completion zsh)        in ~/.zshrc, after compinit
  fish:  latchkey completion fish | source        in ~/.config/fish/config.fish`,
    names: ['SHELL'],
    async run({ names: [shell] }) {
      if (!isShell(shell)) throw new UsageError(`SHELL must be one of ${SHELLS.join(', ')}`)
      const script = scripts[shell](entriesOf(root()))
      return { text: script, json: { shell, script } }
    },
  })
}

const isShell = (text: string): text is Shell => SHELLS.some((shell) => shell === text)

interface Place {
  /** The words before: `users create`. */
  path: string
  entries: readonly Entry[]
}

/** What may follow each command, the longest paths first. */
function entriesOf(root: Command, path = ''): Place[] {
  const below = root.entries.flatMap(({ name, command: each }) =>
    each ? entriesOf(each, `${path} ${name}`.trim()) : [],
  )
  return [...below, { path, entries: root.entries }]
}

const scripts: Record<Shell, (places: readonly Place[]) => string> = {
  bash: bashScript,
  // zsh reads completions of bash.
  zsh: (places) => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(places)}`,
  fish: fishScript,
}

function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ path, entries }) => {
    const pattern = path === '' ? '*' : `" ${path}"*`
    return `    ${pattern}) choices='${entries.map(({ name }) => name).join(' ')}' ;;`
  })
  return `_latchkey() {
  local choices current=\${COMP_WORDS[COMP_CWORD]} before
  printf -v before ' %s' "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  case "$before" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
complete -o default -F _latchkey latchkey`
}

function fishScript(places: readonly Place[]): string {
  return places
    .flatMap(({ path, entries }) => {
      const words = path.split(' ').filter(Boolean)
      const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`)
      const commands = entries.filter(({ command: each }) => each).map(({ name }) => name)
      const notYet = commands.length > 0 ? [`not __fish_seen_subcommand_from ${commands.join(' ')}`] : []
      const condition = [...seen, ...notYet].join('; and ')
      return entries.map(({ name, about }) => {
        const what = name.startsWith('--') ? `-l ${name.slice(2)}` : `-f -a ${name}`
        return `complete -c latchkey -n '${condition}' ${what} -d '${about.replaceAll("'", "\\'")}'`
      })
    })
    .join('\n')
}
