import { join } from 'node:path'
import { createTodoService, type Mail, readTodoConfig } from '@latchkey/example-todo'
import type { Test } from 'tap'
import { adminClient } from './admin-client.js'
import { Api } from './api.js'
import { untilItSucceeds } from './eventually.js'
import { freePort } from './servers/ports.js'
import { CLIENT, type Environment, type RunningService, type Store, startService, temporaryFolder } from './service.js'

export interface RunningTodo {
  url: string
  /** The todo service for its page. `/auth/…` leads to the token service. */
  api: Api
  tokenService: RunningService
  /** The mails so far. */
  mails: Mail[]
}

/**
 * Starts the todo service with its own token service. It follows the feed if there is a Redis, otherwise it
 * introspects.
 */
export async function startTodo(
  t: Test,
  store: Store,
  { STEP_UP_AFTER, ...overrides }: Environment = {},
): Promise<RunningTodo> {
  const port = await freePort()
  // A domain, because passkeys do not belong to an IP address.
  const url = `http://localhost:${port}`
  const tokenService = await startService(t, store, {
    AUDIENCE: 'todo',
    TRUST_PROXY: '127.0.0.1/32',
    // The test checks that the proxy of the example does not lead to the API document.
    DOCS: 'on',
    WEBAUTHN_RP_ID: 'localhost',
    WEBAUTHN_ORIGINS: url,
    ...overrides,
  })
  const { env } = tokenService
  const client = { id: 'todo-service', scopes: ['introspect', 'recovery'] }
  const created = await adminClient(tokenService.api)('POST', '/clients', { json: client })
  if (created.status !== 201) throw new Error(created.text)
  const config = readTodoConfig({
    LOG_LEVEL: 'silent',
    TODO_DATABASE: join(temporaryFolder(t), 'todo.db'),
    TOKEN_SERVICE: tokenService.api.url,
    ISSUER: env.ISSUER,
    CLIENT_ID: client.id,
    CLIENT_SECRET: created.body.secret,
    PUBLIC_URL: url,
    STEP_UP_AFTER,
    JWT_SECRET: env.JWT_SECRET,
    REDIS_URL: env.REDIS_URL,
  })
  const mails: Mail[] = []
  const app = await untilItSucceeds(() => createTodoService(config, (mail) => mails.push(mail)))
  const address = await app.listen({ host: '127.0.0.1', port })
  t.teardown(() => app.close())
  return { url, api: new Api(address, CLIENT), tokenService, mails }
}
