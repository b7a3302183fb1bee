import { type DestinationStream, type Logger, pino } from 'pino'

/** What carries a secret, wherever it stands in what is logged. We log none of these; a library or a mistake might. */
const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'current_password',
  'new_password',
  'token',
  'access_token',
  'refresh_token',
  'client_secret',
  'secret',
]

/** One JSON line an event, on standard output. */
export function createLogger(level: string, destination: DestinationStream = standardOutput()): Logger {
  const options = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[redacted]',
    },
    serializers: { err: describeError },
  }
  return pino(options, destination)
}

let theStandardOutput: DestinationStream | undefined

/** Lines of one turn of the event loop leave in one write: of 50 refreshes at once, 50 system calls become one. */
function standardOutput(): DestinationStream {
  if (theStandardOutput) return theStandardOutput
  const output = pino.destination({ fd: 1, sync: true, maxLength: 1_000_000 })
  // A disk that is full must not end the service: what cannot be written is kept, up to a megabyte.
  output.on('error', () => {})
  let lines = ''
  const flush = () => {
    const all = lines
    lines = ''
    if (all !== '') output.write(all)
  }
  // What stops the process now must not lose the line that says why.
  process.on('exit', flush)
  theStandardOutput = {
    write(line) {
      if (lines === '') setImmediate(flush)
      lines += line
    },
  }
  return theStandardOutput
}

/**
 * What of an error is logged: name, message, code and stack, and the same of its causes. Not its other members: drivers
 * hang commands with their arguments, and connection strings, on their errors.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return { name, message, code, stack, ...(cause !== undefined && { cause: describeError(cause) }) }
}
