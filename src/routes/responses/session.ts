import type { Session } from '../../sessions/session.js'

/** A session in the form for its owner and for administrators. */
export function sessionBody(session: Session) {
  return {
    sid: session.sid,
    device_name: session.deviceName,
    ip: session.ip,
    user_agent: session.userAgent,
    created_at: seconds(session.createdAt),
    last_seen_at: seconds(session.lastSeenAt),
    expires_at: seconds(session.expiresAt),
  }
}

const seconds = (milliseconds: number) => Math.floor(milliseconds / 1000)
