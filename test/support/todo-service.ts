import { join } from 'node:path'
import { createTodoService, readTodoConfig } from '@latchkey/example-todo'
import type { Test } from 'tap'
import { Api } from './api.js'
import { CLIENT, type Environment, type RunningService, type Store, startService, temporaryFolder } from './service.js'

export interface RunningTodo {
  url: string
  /** The todo service for its page. `/auth/…` leads to the token service. */
  api: Api
  tokenService: RunningService
}

/**
 * Starts the todo service with its own token service. It follows the feed if there is a Redis, otherwise it
 * introspects.
 */
export async function startTodo(t: Test, store: Store, overrides: Environment = {}): Promise<RunningTodo> {
  const tokenService = await startService(t, store, {
    AUDIENCE: 'todo',
    TRUST_PROXY: '127.0.0.1/32',
    // The test checks that the proxy of the example does not lead to the API document.
    DOCS: 'on',
    ...overrides,
  })
  const { env } = tokenService
  const config = readTodoConfig({
    LOG_LEVEL: 'silent',
    TODO_DATABASE: join(temporaryFolder(t), 'todo.db'),
    TOKEN_SERVICE: tokenService.api.url,
    ISSUER: env.ISSUER,
    CLIENT_ID: CLIENT.id,
    CLIENT_SECRET: CLIENT.secret,
    JWT_SECRET: env.JWT_SECRET,
    REDIS_URL: env.REDIS_URL,
  })
  const app = await createTodoService(config)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return { url, api: new Api(url, CLIENT), tokenService }
}
