import { test } from 'tap'
import { browser } from '../support/browser.js'
import { startService } from '../support/service.js'

test('/docs works in a browser under its own policy: only its own scripts, no frame, no other host', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const { headers } = await api.call('/docs')
  t.match(headers, {
    'content-security-policy': /^default-src 'none';script-src 'self';.*frame-ancestors 'none'$/,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  t.notOk(headers['strict-transport-security'], 'whether there is TLS only the gateway knows')
  t.notOk((await api.call('/openapi.json')).headers['access-control-allow-origin'], 'no other origin reads anything')

  const page = await browser.newPage()
  t.teardown(() => page.close())
  const complaints: string[] = []
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  const foreign: string[] = []
  page.on('request', (request) => request.url().startsWith(api.url) || foreign.push(request.url()))
  await page.goto(`${api.url}/docs`)
  await page.locator('.opblock').first().waitFor({ timeout: 15_000 })

  const { paths } = (await api.call('/openapi.json')).body
  const operations = Object.values(paths as Record<string, object>).flatMap((methods) => Object.keys(methods))
  t.equal(await page.locator('.opblock').count(), operations.length)
  t.strictSame(complaints, [])
  t.strictSame(
    foreign.filter((url) => !url.startsWith('data:')),
    [],
  )
})

test('without CORS a page of another origin reads no answer', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const asked = { origin: 'https://evil.example', 'access-control-request-method': 'POST' }
  for (const [method, path] of [
    ['OPTIONS', '/login'],
    ['POST', '/login'],
    ['OPTIONS', '/admin/users'],
    ['GET', '/docs'],
  ] as const) {
    const { headers } = await api.call(path, { method, headers: asked })
    t.strictSame(
      Object.keys(headers).filter((name) => name.startsWith('access-control-')),
      [],
      `${method} ${path}`,
    )
  }
})
