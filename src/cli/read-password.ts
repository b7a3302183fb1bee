import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { CommandError } from './command.js'

/** Reads a password: at a terminal with a prompt and without echo, otherwise from the only line of standard input. */
export async function readPassword(): Promise<string> {
  const password = process.stdin.isTTY ? await prompt('Password: ') : await readLine()
  // Bytes that are not UTF-8 all become U+FFFD, so different passwords would become the same.
  if (password.includes('\uFFFD'))
    throw new CommandError('the password is not UTF-8: write it to standard input as UTF-8')
  if (password === '') throw new CommandError('the password is empty: write it to standard input')
  return password
}

async function readLine(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  if (text.includes('\n')) throw new CommandError('standard input has more than one line: write only the password')
  return text
}

async function prompt(question: string): Promise<string> {
  process.stderr.write(question)
  const noEcho = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: noEcho, terminal: true })
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once('SIGINT', () => reject(new CommandError('cancelled')))
      terminal.once('close', () => reject(new CommandError('cancelled')))
      terminal.once('line', resolve)
    })
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
