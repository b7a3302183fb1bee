import { userInfo } from 'node:os'
import type { AuditEvent } from '../audit.js'
import { createLogger } from '../log.js'

/**
 * Writes the lines of the audit log that a command caused to standard error: standard output is for the answer. A terminal gets
 * no line, because nobody collects it.
 */
export function writeAudit(path: string, events: readonly AuditEvent[]): void {
  if (process.stderr.isTTY) return
  const log = createLogger('info', { write: (line) => void process.stderr.write(line) })
  const command = path.replace(/^latchkey /, '')
  for (const event of events) {
    if (event.event === 'session.ended' && event.sids.length === 0) continue
    log.info({ log: 'audit', ...event, command, osUser: osUser() }, event.event)
  }
}

/** A container may run under an id without a name. */
function osUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? '')
  }
}
