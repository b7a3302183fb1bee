import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { CommandError } from './command.js'

/** A password from standard input: asked for without showing it where a person types, else the first and only line. */
export async function readPassword(): Promise<string> {
  const password = process.stdin.isTTY ? await ask('Password: ') : await readLine()
  // Bytes that are not UTF-8 would all become this one character, and different passwords one and the same.
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
  if (text.includes('\n')) throw new CommandError('standard input has more than one line: write the password alone')
  return text
}

async function ask(question: string): Promise<string> {
  process.stderr.write(question)
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silence, terminal: true })
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once('SIGINT', () => reject(new CommandError('given up')))
      terminal.once('close', () => reject(new CommandError('given up')))
      terminal.once('line', resolve)
    })
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
