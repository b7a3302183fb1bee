import { type DestinationStream, type Logger, pino } from 'pino'
import { SECRET_PARAMETERS } from './secret-fields.js'
import { standardOutput } from './standard-output.js'

/** Fields that are redacted at every depth up to three. The service logs none of them; a library or a mistake might. */
const REDACTED = [...SECRET_PARAMETERS, 'secret', 'authorization', 'cookie']

/** One JSON line an event, on standard output. */
export function createLogger(level: string, destination: DestinationStream = standardOutput): Logger {
  const options = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: REDACTED.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[redacted]',
    },
    serializers: { err: describeError },
  }
  const logger = pino(options, destination)
  if (destination === standardOutput) {
    // Whatever the level is: a gap in the audit log must be seen.
    const gaps = logger.child({}, { level: 'warn' })
    standardOutput.onRecovered((lines) =>
      gaps.warn({ lines }, 'log lines were dropped: their reader had stopped reading'),
    )
  }
  return logger
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
