import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'

/** The `sub` of tokens. The characters are safe in a header, a Redis key and a path, and other systems write ids with them. */
const ID = /^[A-Za-z0-9._~|:@+-]{1,64}$/
/** A path that ends with one of these means another address. */
const DOTS = new Set(['.', '..'])

export const USER_ID_RULE =
  'id must have 1 to 64 letters, digits and . _ ~ | : @ + -, and must not be . or .. or the id of this service, latchkey'

export const isUserId = (id: string): boolean => ID.test(id) && !DOTS.has(id) && id !== FIRST_PARTY_CLIENT_ID
