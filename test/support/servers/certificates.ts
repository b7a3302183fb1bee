import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'

/** Writes a certificate authority and its certificate for localhost and 127.0.0.1 to this folder. */
export function makeCertificates(folder: string): { ca: string; certificate: string; key: string } {
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const common = [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ...['-subj', '/CN=localhost', '-days', '2', '-nodes'],
  ]
  openssl('req', '-x509', '-keyout', file('ca.key'), '-out', file('ca.crt'), ...common)
  openssl(
    ...['req', '-x509', '-keyout', file('server.key'), '-out', file('server.crt'), ...common],
    ...['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
  )
  chmodSync(file('server.key'), 0o600)
  return { ca: file('ca.crt'), certificate: file('server.crt'), key: file('server.key') }
}
