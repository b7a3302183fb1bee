import { ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE } from '../../schemas/token.js'
import { type Answer, type Api, basicAuthorization } from './api.js'
import type { Credentials } from './clients.js'

/** Exchanges the token as this client does (RFC 8693). */
export function exchange(
  api: Api,
  client: Credentials,
  subject_token: string,
  parameters: Record<string, string>,
): Promise<Answer> {
  const form = { grant_type: TOKEN_EXCHANGE, subject_token, subject_token_type: ACCESS_TOKEN_TYPE, ...parameters }
  return api.call('/token', { form, headers: basicAuthorization(client) })
}
