import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server as TlsServer } from 'node:tls'
import type { Logger } from 'pino'

/** The paths of a certificate chain and its private key, both PEM. */
interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

interface TlsPair {
  readonly cert: string
  readonly key: string
}

interface Tls {
  /** The pair of the start. */
  readonly pair: TlsPair
  /**
   * Gives a renewed certificate to these servers, from now on. Connections that are open go on. Call it once. A certificate that
   * was renewed since the start is then in use within two seconds.
   */
  follow(servers: readonly unknown[]): void
  close(): void
}

/** Milliseconds. */
const POLL_INTERVAL = 1000

/** @throws Error that says which file to correct. No error repeats a part of the key. */
export function readTlsPair({ certFile, keyFile }: TlsFiles): TlsPair {
  return check({ cert: readOrExplain('TLS_CERT_FILE', certFile), key: readOrExplain('TLS_KEY_FILE', keyFile) })
}

/**
 * Reads the files, and reads them again when they change. Like the key ring, it polls: `fs.watch` misses a file that is reached
 * through swapped links. A tool that renews a certificate writes two files. So a pair counts when two reads agree, and the
 * previous pair stays until both files fit together.
 */
export function openTls(files: TlsFiles, logger: Logger): Tls {
  const pair = readTlsPair(files)
  let settled = textOf(pair)
  let previous = settled
  let timer: NodeJS.Timeout | undefined
  let isReading = false

  async function readAgain(servers: TlsServer[]): Promise<void> {
    // If a read hangs, the disk hangs. More reads would take the threads that hash passwords.
    if (isReading) return
    isReading = true
    const [cert, key] = await Promise.all([readText(files.certFile), readText(files.keyFile)])
    isReading = false
    const found = textOf({ cert, key })
    const isComplete = found === previous
    previous = found
    if (!isComplete || found === settled) return
    settled = found
    try {
      const renewed = check({ cert, key })
      for (const server of servers) server.setSecureContext(renewed)
      logger.info({ expires: new X509Certificate(cert).validTo }, 'the TLS certificate was read again')
    } catch (error) {
      const { message: reason } = error as Error
      logger.error({ reason }, 'the TLS files have a fault: the previous certificate stays in use')
    }
  }

  return {
    pair,
    // Not earlier: the start may wait for its stores, and a certificate that is renewed meanwhile would reach no server.
    follow(servers) {
      timer = setInterval(() => readAgain(servers as TlsServer[]), POLL_INTERVAL).unref()
    },
    close: () => clearInterval(timer),
  }
}

function check({ cert, key }: TlsPair): TlsPair {
  const certificate = parseOrExplain('TLS_CERT_FILE: write a certificate chain as PEM', () => new X509Certificate(cert))
  const privateKey = parseOrExplain('TLS_KEY_FILE: write a private key as PEM, without a passphrase', () =>
    createPrivateKey(key),
  )
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error('TLS_KEY_FILE: the key does not fit the first certificate of TLS_CERT_FILE')
  }
  // OpenSSL also reads the certificates after the first.
  parseOrExplain('TLS_CERT_FILE: a certificate of the chain is broken: write the whole chain as PEM', () =>
    createSecureContext({ cert, key }),
  )
  return { cert, key }
}

function parseOrExplain<Parsed>(explanation: string, parse: () => Parsed): Parsed {
  try {
    return parse()
  } catch {
    throw new Error(explanation)
  }
}

function readOrExplain(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${name}: the file cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** A missing file counts as an empty file, which is a fault. */
const readText = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
const textOf = ({ cert, key }: TlsPair): string => `${cert}\0${key}`
