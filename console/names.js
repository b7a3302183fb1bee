import { admin } from './api.js'

/** The accounts that this tab has seen: audit lines have only ids. */
const names = new Map()
/** Look-ups of one view. The names of other accounts stay ids. */
const MOST = 50

export const note = ({ id, username }) => names.set(id, username)

/** The name of the account, or undefined if nobody looked it up, or the account was deleted. */
export const nameOf = (id) => names.get(id) ?? undefined

/** Looks up those that are not known yet. */
export async function learn(ids) {
  const unknown = [...new Set(ids)].filter((id) => !names.has(id)).slice(0, MOST)
  await Promise.all(
    unknown.map(async (id) => {
      try {
        note(await admin(`users/${encodeURIComponent(id)}`))
      } catch (error) {
        if (error.status !== 404) throw error
        names.set(id, null)
      }
    }),
  )
}

/** The id of the account with this name, in any spelling. */
export async function idOf(username) {
  const { users } = await admin(`users?${new URLSearchParams({ username })}`)
  for (const user of users) note(user)
  return users[0]?.id
}
