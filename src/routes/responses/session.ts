import type { Session } from '../../sessions/session.js'
import { toUnixSeconds } from '../../unix-seconds.js'

/** A session in the form for its owner and for administrators. */
export function sessionBody(session: Session) {
  return {
    sid: session.sid,
    device_name: session.deviceName,
    ip: session.ip,
    user_agent: session.userAgent,
    created_at: toUnixSeconds(session.createdAt),
    last_seen_at: toUnixSeconds(session.lastSeenAt),
    expires_at: toUnixSeconds(session.expiresAt),
  }
}
