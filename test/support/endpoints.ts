import { type Answer, type Api, basicAuthorization } from './api.js'

export interface EndpointAnswers {
  introspect: string
  'refresh, in the body': string
  'refresh, as bearer'?: string
  'sessions, as bearer'?: string
  'verify, as bearer'?: string
  'logout-all, as bearer'?: string
  'one session, as bearer'?: string
  'other sessions, as bearer'?: string
  'password, as bearer'?: string
  'account, as bearer'?: string
  'introspect, as bearer'?: string
  'admin, as bearer'?: string
  'token, in the body': string
  'logout-all, in the body': string
}

const seen = ({ status, headers, text }: Answer) =>
  [status, headers['www-authenticate'], text].filter(Boolean).join(' ')

const invalidGrant = '400 {"error":"invalid_grant","error_description":"the refresh token is not valid: sign in again"}'
const invalidToken =
  '401 Bearer realm="latchkey", error="invalid_token" ' +
  '{"error":"invalid_token","error_description":"the token is not valid, or its session has ended"}'

const invalidClient =
  '401 Basic realm="latchkey", charset="UTF-8" ' +
  '{"error":"invalid_client","error_description":"client authentication failed: send id and secret by HTTP Basic or in the body, or a client assertion"}'

/** The only right answers to a bad token. They are identical for every defect. */
export const refusedAnswers: Required<EndpointAnswers> = {
  introspect: '200 {"active":false}',
  'refresh, in the body': invalidGrant,
  'refresh, as bearer': invalidGrant,
  'sessions, as bearer': invalidToken,
  'verify, as bearer': invalidToken,
  'logout-all, as bearer': invalidToken,
  'logout-all, in the body': invalidToken,
  'one session, as bearer': invalidToken,
  'other sessions, as bearer': invalidToken,
  'password, as bearer': invalidToken,
  'account, as bearer': invalidToken,
  'introspect, as bearer': invalidClient,
  'admin, as bearer': invalidClient,
  'token, in the body': invalidGrant,
}

/** Node's HTTP client sends only these characters. White space at the end is not part of a header (RFC 9112 §5.1). */
export const fitsHeader = (token: string) => /^[\t\x20-\x7e\x80-\xff]*$/.test(token) && !/[ \t]$/.test(token)

/** The answers of all endpoints to a token, except `/logout`. A token that fits no header is sent only in bodies. */
export async function presentAtEveryEndpoint(api: Api, token: string): Promise<EndpointAnswers> {
  const inHeader = token.length < 7800 && fitsHeader(token)
  const inBody = await Promise.all([
    api.introspect(token),
    api.refresh(token),
    api.call('/logout-all', { json: { token } }),
    api.call('/token', {
      form: { grant_type: 'refresh_token', refresh_token: token },
      headers: basicAuthorization(api.client),
    }),
  ])
  const asBearer = inHeader
    ? await Promise.all([
        api.call('/refresh', { method: 'POST', bearer: token }),
        api.call('/sessions', { bearer: token }),
        api.call('/verify', { bearer: token }),
        api.call('/logout-all', { method: 'POST', bearer: token }),
        api.call('/sessions/9f8Hn1VnTz2cUWl0q3yJ8A', { method: 'DELETE', bearer: token }),
        api.call('/sessions?except=current', { method: 'DELETE', bearer: token }),
        api.call('/users/me/password', { json: { current_password: 'x', new_password: 'x' }, bearer: token }),
        api.call('/users/me', { method: 'DELETE', json: { password: 'x' }, bearer: token }),
        api.call('/introspect', { form: { token: 'x' }, bearer: token }),
        api.call('/admin/users', { bearer: token }),
      ])
    : undefined
  return {
    introspect: seen(inBody[0]),
    'refresh, in the body': seen(inBody[1]),
    'logout-all, in the body': seen(inBody[2]),
    'token, in the body': seen(inBody[3]),
    ...(asBearer && {
      'refresh, as bearer': seen(asBearer[0]),
      'sessions, as bearer': seen(asBearer[1]),
      'verify, as bearer': seen(asBearer[2]),
      'logout-all, as bearer': seen(asBearer[3]),
      'one session, as bearer': seen(asBearer[4]),
      'other sessions, as bearer': seen(asBearer[5]),
      'password, as bearer': seen(asBearer[6]),
      'account, as bearer': seen(asBearer[7]),
      'introspect, as bearer': seen(asBearer[8]),
      'admin, as bearer': seen(asBearer[9]),
    }),
  }
}
