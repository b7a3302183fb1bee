import { createHash } from 'node:crypto'
import { test } from 'tap'
import { startService } from '../support/service.js'

/** What Chromium and Firefox send for an address that a person opens. */
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }
const PUBLIC = ['.well-known/oauth-authorization-server', '.well-known/jwks.json']

test('/ is a page of links to what is on, and a browser may load and run nothing there', async (t) => {
  for (const [settings, links] of [
    [{ DOCS: 'on', CONSOLE: 'on' }, ['docs', 'openapi.json', 'console/', ...PUBLIC]],
    [{ DOCS: 'off', CONSOLE: 'off' }, PUBLIC],
  ] as const) {
    const { api } = await startService(t, 'sqlite', settings)
    const { status, headers, text } = await api.call('/', { headers: BROWSER })
    t.equal(status, 200)
    t.match(headers, {
      'content-type': 'text/html; charset=utf-8',
      vary: 'accept',
      'x-content-type-options': 'nosniff',
    })
    const hrefs = [...text.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => href)
    t.strictSame(hrefs, links)
    for (const href of links) {
      const answer = await fetch(new URL(href, `${api.url}/`))
      t.equal(answer.status, 200, href)
      await answer.body?.cancel()
    }
    const style = /<style>(.*)<\/style>/s.exec(text)?.[1] as string
    const hash = createHash('sha256').update(style).digest('base64')
    t.equal(
      headers['content-security-policy'],
      `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'`,
    )
    t.notMatch(text, /<script|<form|\son\w+=|style="|http:/)
  }
})

test('/ answers JSON to every caller that is not a browser, and 405 to other methods', async (t) => {
  const { api } = await startService(t, 'sqlite', { ISSUER: 'https://auth.example.com/login/', CONSOLE: 'on' })
  for (const accept of ['application/json', '*/*', 'application/json, text/html', 'application/xhtml+xml', '']) {
    const { status, headers, body } = await api.call('/', { headers: { accept } })
    t.equal(status, 200, accept)
    t.match(headers, { 'content-type': 'application/json; charset=utf-8', vary: 'accept' }, accept)
    t.strictSame(body, {
      service: 'latchkey',
      links: {
        console: 'https://auth.example.com/login/console/',
        metadata: 'https://auth.example.com/login/.well-known/oauth-authorization-server',
        jwks: 'https://auth.example.com/login/.well-known/jwks.json',
      },
    })
  }
  const other = await api.call('/', { method: 'POST', headers: BROWSER })
  t.match({ status: other.status, allow: other.headers.allow }, { status: 405, allow: 'GET, HEAD' })
  t.equal(other.headers['content-type'], 'application/json; charset=utf-8')
})

test('/ below the path of an issuer: its links stay below the path, with and without a slash at the end', async (t) => {
  const { api } = await startService(t, 'sqlite', { ISSUER: 'https://example.com/id/auth', DOCS: 'off' })
  for (const address of ['/id/auth', '/id/auth?next=1', '/id/auth/', '/id/auth/?next=1', '/']) {
    // A gateway in front may add a path, so a redirect must be relative.
    const landed = await fetch(`${api.url}${address}`, { headers: BROWSER })
    t.equal(landed.status, 200, address)
    const path = new URL(landed.url).pathname
    t.equal(path, address === '/' ? '/' : '/id/auth/')
    for (const [, href = ''] of (await landed.text()).matchAll(/<a href="([^"]*)"/g)) {
      t.ok(new URL(href, landed.url).pathname.startsWith(path), href)
    }
  }
  const { status, headers } = await api.call('/id/auth', { headers: BROWSER })
  t.match(
    { status, headers },
    { status: 302, headers: { location: 'auth/', vary: 'accept', 'cache-control': 'no-cache' } },
  )
  t.equal((await api.call('/id/auth')).body.service, 'latchkey', 'a program is not redirected')
  t.equal((await api.call('/id/authx', { headers: BROWSER })).status, 404)
})
