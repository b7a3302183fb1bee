import { toUnixSeconds } from '../../unix-seconds.js'
import type { User } from '../../users/users.js'

/** An account in the form for administrators. */
export function userBody({ id, username, roles, disabled, createdAt, claims }: User) {
  return { id, username, roles, disabled, created_at: toUnixSeconds(createdAt), claims: { ...claims } }
}
