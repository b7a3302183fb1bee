import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { environment, startServiceWith, temporaryFolder } from '../support/service.js'

interface Answer {
  status: number | undefined
  /** The fingerprint of the certificate of this connection. */
  fingerprint: string
  port: number | undefined
}

function ask(url: string, agent: Agent, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(url, { agent, ca }, (response) => {
      const socket = response.socket as TLSSocket
      const { fingerprint256: fingerprint } = socket.getPeerCertificate()
      const answer = { status: response.statusCode, fingerprint, port: socket.localPort }
      response.resume().on('end', () => resolve(answer))
    }).on('error', reject)
  })
}

test('both ports speak TLS, a renewed certificate needs no restart, and connections that are open go on', async (t) => {
  const first = makeCertificates(temporaryFolder(t))
  const second = makeCertificates(temporaryFolder(t))
  const folder = temporaryFolder(t)
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  copyFileSync(first.certificate, certFile)
  copyFileSync(first.key, keyFile)
  const authorities = readFileSync(first.ca, 'utf8') + readFileSync(second.ca, 'utf8')
  const env = await environment(t, 'sqlite', { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile })
  const { api, managementUrl, log } = await startServiceWith(t, env)
  const urls = [`${api.url}/.well-known/jwks.json`, `${managementUrl}/livez`]
  const open = urls.map(() => new Agent({ keepAlive: true }))
  t.teardown(() => open.map((agent) => agent.destroy()))
  const askOpen = () => Promise.all(urls.map((url, i) => ask(url, open[i] as Agent, authorities)))
  const askNew = () => Promise.all(urls.map((url) => ask(url, new Agent(), authorities)))

  const before = await askOpen()
  t.match(before, [{ status: 200 }, { status: 200 }])
  for (const url of urls) t.match(url, /^https:/)

  writeFileSync(certFile, readFileSync(second.certificate))
  await eventually(async () => log.some(({ reason }) => /does not fit/.test(String(reason))))
  t.equal((await askNew())[0]?.fingerprint, before[0]?.fingerprint, 'half of a pair changes nothing')

  writeFileSync(keyFile, readFileSync(second.key))
  await eventually(async () => (await askNew()).every(({ fingerprint }, i) => fingerprint !== before[i]?.fingerprint))
  t.strictSame(await askOpen(), before, 'the open connections go on')
  t.equal(log.filter(({ msg }) => /TLS files have a fault/.test(String(msg))).length, 1, 'one line for one fault')
})

test('the health check of the image knows whether the service speaks TLS', async (t) => {
  const [, command = ''] =
    /^ {2}CMD (\[.*\])$/m.exec(readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8')) ?? []
  const [, ...args] = JSON.parse(command) as string[]
  const { certificate, key } = makeCertificates(temporaryFolder(t))
  const tls = { TLS_CERT_FILE: certificate, TLS_KEY_FILE: key }
  for (const settings of [tls, {}] as Record<string, string>[]) {
    const { managementUrl } = await startServiceWith(t, await environment(t, 'sqlite', settings))
    const env = { MANAGEMENT_PORT: new URL(managementUrl).port }
    const exitCode = async (more: Record<string, string>) =>
      (await once(spawn(process.execPath, args, { env: { ...env, ...more }, stdio: 'inherit' }), 'exit'))[0]
    t.equal(await exitCode(settings), 0)
    t.equal(await exitCode(settings === tls ? {} : tls), 1, 'the other protocol gets no answer')
  }
})
