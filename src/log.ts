import { type DestinationStream, type Logger, pino } from 'pino'
import { SECRET_PARAMETERS } from './secret-fields.js'
import { standardOutput } from './standard-output.js'

/** Fields that are redacted at every depth up to three. The service logs none of them; a library or a mistake might. */
const REDACTED = [...SECRET_PARAMETERS, 'secret', 'authorization', 'cookie']

/** Writes one JSON line for each event to standard output. */
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
    // This child logs at every LOG_LEVEL, because a gap in the audit log must be visible.
    const gaps = logger.child({}, { level: 'warn' })
    standardOutput.onRecovered((lines) =>
      gaps.warn({ lines }, 'log lines were dropped: their reader had stopped reading'),
    )
  }
  return logger
}

/**
 * The logged members of an error: name, message, code and stack, and those of its causes. Drivers add commands with their
 * arguments and connection strings to their errors: these are not logged.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return { name, message, code, stack, ...(cause !== undefined && { cause: describeError(cause) }) }
}
