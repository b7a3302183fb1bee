import { parseArgs } from 'node:util'

/** What a command has to say: `text` to people, `json` to machines. */
export interface Output {
  text: string
  json: unknown
}

interface Option {
  type: 'string' | 'boolean'
  /** May be given several times. */
  multiple?: true
  /** What stands for its value in the usage. */
  value?: string
  about: string
}

type Options = Readonly<Record<string, Option>>

type Values<Given extends Options> = {
  [Name in keyof Given]: Given[Name] extends { type: 'boolean' }
    ? boolean
    : Given[Name] extends { multiple: true }
      ? string[]
      : string | undefined
}

interface Definition<Names extends readonly string[], Given extends Options> {
  /** One line. */
  about: string
  /** What one must know before using it, for its own `--help`. */
  details?: string
  /** What must be named, in this order. */
  names?: Names
  /** What may be named after it, any number of times. */
  more?: string
  options?: Given
  run(named: {
    names: { [Name in keyof Names]: string }
    more: string[]
    options: Values<Given>
    /** Whether machines read the answer. */
    json: boolean
  }): Promise<Output | undefined>
}

/** A command of the command line, or a word with commands below it. */
export interface Command {
  about: string
  /** Runs it, and answers with what it has to say. `path` is what it was called by, for the help. */
  run(args: string[], path: string): Promise<string>
}

/** What the caller got wrong, in one line. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export function command<const Names extends readonly string[] = [], const Given extends Options = Record<never, never>>(
  definition: Definition<Names, Given>,
): Command {
  const { about, details, names = [], more, options = {} as Given, run } = definition
  const all: Options = { ...options, ...common }

  function help(path: string): string {
    const usage = [path, ...names, ...(more ? [`[${more}…]`] : []), '[OPTIONS]'].join(' ')
    const left = Object.entries(all).map(([name, { value }]) => `--${name}${value ? ` ${value}` : ''}`)
    const right = Object.values(all).map((option) => option.about)
    return [
      about,
      '',
      `  ${usage}`,
      ...(details ? ['', details.trim()] : []),
      '',
      'Options:',
      columns(left, right),
    ].join('\n')
  }

  return {
    about,
    async run(args, path) {
      const { values, positionals } = parse(args, all, path)
      if (values.help) return help(path)
      const missing = names[positionals.length]
      if (missing !== undefined) throw new CommandError(`${missing} is missing: see ${path} --help`)
      if (positionals.length > names.length && !more) {
        throw new CommandError(`what is ${JSON.stringify(positionals[names.length])}? See ${path} --help`)
      }
      const output = await run({
        names: positionals.slice(0, names.length) as { [Name in keyof Names]: string },
        more: positionals.slice(names.length),
        options: Object.fromEntries(
          Object.entries(options).map(([name, { type, multiple }]) => [
            name,
            values[name] ?? (type === 'boolean' ? false : multiple ? [] : undefined),
          ]),
        ) as Values<Given>,
        json: values.json === true,
      })
      if (!output) return ''
      return values.json ? JSON.stringify(output.json) : output.text
    },
  }
}

/** A word with commands below it: `clients`, with `create` and `list`. */
export function group(about: string, commands: Readonly<Record<string, Command>>): Command {
  const help = (path: string) => {
    const abouts = Object.values(commands).map((each) => each.about)
    return [about, '', columns(Object.keys(commands), abouts), '', `More on each: ${path} COMMAND --help`].join('\n')
  }
  return {
    about,
    async run([name = '--help', ...args], path) {
      if (name === '--help' || name === '-h') return help(path)
      const chosen = Object.hasOwn(commands, name) ? commands[name] : undefined
      if (!chosen) throw new CommandError(`there is no command ${JSON.stringify(name)}: see ${path} --help`)
      return chosen.run(args, `${path} ${name}`)
    },
  }
}

const common = {
  json: { type: 'boolean', about: 'answer in JSON, for machines' },
  help: { type: 'boolean', about: 'show this' },
} as const satisfies Options

// One in 64 ids of keys and sessions begins with a dash: it is no option. Options are shorter.
const ID_WITH_DASH = /^-[\w-]{19,}$/
/** Stands before such an id while Node parses: an argument cannot have it. */
const MARK = '\0'
const unmarked = <Value>(value: Value) => (typeof value === 'string' ? value.replace(MARK, '') : value)

function parse(args: string[], options: Options, path: string) {
  try {
    const { values, positionals } = parseArgs({
      args: args.map((arg) => (ID_WITH_DASH.test(arg) ? MARK + arg : arg)),
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(options).map(([name, { type, multiple = false }]) => [
          name,
          name === 'help' ? { type, short: 'h' } : { type, multiple },
        ]),
      ),
    })
    return {
      values: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, unmarked(value)])),
      positionals: positionals.map(unmarked),
    }
  } catch (error) {
    const [sentence = ''] = (error as Error).message.split('. ')
    throw new CommandError(`${sentence.replace(/\.$/, '')}: see ${path} --help`)
  }
}

function columns(left: readonly string[], right: readonly string[]): string {
  const width = Math.max(...left.map((text) => text.length))
  return left.map((text, index) => `  ${text.padEnd(width)}   ${right[index]}`).join('\n')
}

/** Rows for people, each column as wide as its widest cell. */
export function table(rows: readonly Readonly<Record<string, string>>[], none: string): string {
  const [first] = rows
  if (!first) return none
  const names = Object.keys(first)
  const lines = [names.map((name) => name.toUpperCase()), ...rows.map((row) => names.map((name) => shown(row[name])))]
  const widths = names.map((_, column) => Math.max(...lines.map((line) => [...(line[column] as string)].length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell + ' '.repeat((widths[column] as number) - [...cell].length))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}

/** A cell: what callers have sent (device names, user agents) must not move the cursor or colour the terminal. */
function shown(text = ''): string {
  const plain = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '�')
  return plain === '' ? '-' : plain.length > 60 ? `${plain.slice(0, 59)}…` : plain
}

export function time(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}

export const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000)
