import { parseArgs } from 'node:util'
import type { AuditEvent } from '../audit.js'
import { writeAudit } from './audit.js'

/** The answer of a command: `text` for people, `json` for programs. */
export interface Output {
  text: string
  json: unknown
  /** What the command changed. */
  audit?: readonly AuditEvent[]
}

interface Option {
  type: 'string' | 'boolean'
  /** May be given several times. */
  multiple?: true
  /** The placeholder of its value in the usage. */
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
  /** What a caller must know before using the command. Shown by its own `--help`. */
  details?: string
  /** The required arguments, in this order. */
  names?: Names
  /** An argument that may follow them any number of times. */
  more?: string
  options?: Given
  run(given: {
    names: { [Name in keyof Names]: string }
    more: string[]
    options: Values<Given>
    /** Whether a program reads the answer. */
    json: boolean
    /** Writes the audit line of a change at once: what follows the change may fail. Other changes are in {@link Output}. */
    record(event: AuditEvent): void
  }): Promise<Output | undefined>
}

/** What may follow a command: a command below it, or an option. */
export interface Entry {
  name: string
  about: string
  command?: Command
}

/** A command, or a group of commands. */
export interface Command {
  about: string
  entries: readonly Entry[]
  /** Runs the command and returns its answer. `path` is the name it was called by, for the help. */
  run(args: string[], path: string): Promise<string>
}

/** A mistake of the caller, in one line. */
export class CommandError extends Error {
  override readonly name: string = 'CommandError'
}

/** The command was called wrongly: an argument or an option that does not exist, or is missing. The exit status is 2. */
export class UsageError extends CommandError {
  override readonly name: string = 'UsageError'
}

export function command<const Names extends readonly string[] = [], const Given extends Options = Record<never, never>>(
  definition: Definition<Names, Given>,
): Command {
  const { about, details, names = [], more, options = {} as Given, run } = definition
  const all: Options = { ...options, ...common }

  function help(path: string): string {
    const usage = [path, ...names, ...(more ? [`[${more}…]`] : []), '[OPTIONS]'].join(' ')
    const flags = Object.entries(all).map(([name, { value }]) => `--${name}${value ? ` ${value}` : ''}`)
    const abouts = Object.values(all).map((option) => option.about)
    return [
      about,
      '',
      `  ${usage}`,
      ...(details ? ['', details.trim()] : []),
      '',
      'Options:',
      columns(flags, abouts),
    ].join('\n')
  }

  return {
    about,
    entries: Object.entries(all).map(([name, option]) => ({ name: `--${name}`, about: option.about })),
    async run(args, path) {
      const { values, positionals } = parse(args, all, path)
      if (values.help) return help(path)
      const missing = names[positionals.length]
      if (missing !== undefined) throw new UsageError(`${missing} is missing: see ${path} --help`)
      if (positionals.length > names.length && !more) {
        throw new UsageError(`unexpected argument ${JSON.stringify(positionals[names.length])}: see ${path} --help`)
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
        record: (event) => writeAudit(path, [event]),
      })
      if (!output) return ''
      if (output.audit) writeAudit(path, output.audit)
      return values.json ? JSON.stringify(output.json) : output.text
    },
  }
}

/** Commands under one name: `clients` has `create` and `list`. */
export function group(about: string, commands: Readonly<Record<string, Command>>): Command {
  const help = (path: string) => {
    const abouts = Object.values(commands).map((each) => each.about)
    return [about, '', columns(Object.keys(commands), abouts), '', `Help for one command: ${path} help COMMAND`].join(
      '\n',
    )
  }
  return {
    about,
    entries: Object.entries(commands).map(([name, each]) => ({ name, about: each.about, command: each })),
    async run([name = '--help', ...args], path) {
      if (name === '--help' || name === '-h' || (name === 'help' && args.length === 0)) return help(path)
      if (name === 'help') return this.run([...args, '--help'], path)
      const chosen = Object.hasOwn(commands, name) ? commands[name] : undefined
      if (!chosen) throw new UsageError(`there is no command ${JSON.stringify(name)}: see ${path} --help`)
      return chosen.run(args, `${path} ${name}`)
    },
  }
}

const common = {
  json: { type: 'boolean', about: 'print JSON, for programs' },
  help: { type: 'boolean', about: 'show this help' },
} as const satisfies Options

// One in 64 key and session ids begins with a dash. Such an id is longer than an option, or is not the name of one.
const ID_WITH_DASH = /^-[\w-]{19,}$/
/** Precedes such an id while Node parses the arguments. No argument can contain this character. */
const MARK = '\0'
const unmarked = <Value>(value: Value) => (typeof value === 'string' ? value.replace(MARK, '') : value)

function parse(args: string[], options: Options, path: string) {
  const isId = (arg: string) => ID_WITH_DASH.test(arg) && !Object.hasOwn(options, arg.slice(2))
  try {
    const { values, positionals } = parseArgs({
      args: args.map((arg) => (isId(arg) ? MARK + arg : arg)),
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
    throw new UsageError(`${sentence.replace(/\.$/, '')}: see ${path} --help`)
  }
}

function columns(left: readonly string[], right: readonly string[]): string {
  const width = Math.max(...left.map((text) => text.length))
  return left.map((text, index) => `  ${text.padEnd(width)}   ${right[index]}`).join('\n')
}

/** A table for people. Each column is as wide as its widest cell. `empty` is the text of a table without rows. */
export function table(rows: readonly Readonly<Record<string, string>>[], empty: string): string {
  const [first] = rows
  if (!first) return empty
  const names = Object.keys(first)
  const lines = [
    names.map((name) => name.toUpperCase()),
    ...rows.map((row) => names.map((name) => printable(row[name]))),
  ]
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

/** The text of a cell. Text from callers (device names, user agents) must not move the cursor or colour the terminal. */
function printable(text = ''): string {
  const plain = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '�')
  return plain === '' ? '-' : plain.length > 60 ? `${plain.slice(0, 59)}…` : plain
}

export function time(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}
