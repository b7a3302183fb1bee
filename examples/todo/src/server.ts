import { createTodoService, readTodoConfig } from './app.js'

try {
  const config = readTodoConfig(process.env)
  const app = await createTodoService(config)
  await app.listen({ host: config.host, port: config.port })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void app.close().then(() => process.exit(0)))
  }
} catch (error) {
  process.stderr.write(`todo: ${(error as Error).message}\n`)
  process.exit(1)
}
