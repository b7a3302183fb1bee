import { createTodoService, type Mail, readTodoConfig } from './app.js'

try {
  const config = readTodoConfig(process.env)
  const app = await createTodoService(config, printMail)
  await app.listen({ host: config.host, port: config.port })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void app.close().then(() => process.exit(0)))
  }
} catch (error) {
  process.stderr.write(`todo: ${(error as Error).message}\n`)
  process.exit(1)
}

/** Stands for a mailer: the terminal that runs the example shows the mail. */
function printMail({ to, subject, text }: Mail): void {
  const lines = [`To: ${to}`, `Subject: ${subject}`, '', ...text.split('\n')]
  process.stderr.write(`\n  ┌ A mail\n${lines.map((line) => `  │ ${line}\n`).join('')}  └\n\n`)
}
