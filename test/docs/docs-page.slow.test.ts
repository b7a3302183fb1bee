import { readFileSync } from 'node:fs'
import type { Locator, Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { browser, openDevice, PATIENCE, watchPrompts } from '../support/browser.js'
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
  await page.locator('.opblock').first().waitFor({ timeout: PATIENCE })

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

interface Operation {
  security?: object[]
}

/** Every credential that the page can hold. Each value shows which one a request carries. */
const CREDENTIALS = { bearer: 'of-a-person', refreshToken: 'lkr_of-a-person', clientToken: 'of-a-client' }
const BASIC = basicAuthorization({ id: 'demo', secret: 'of-demo' }).authorization

/** Keeps the object of Swagger UI, which its buttons act on. */
const KEEP_SYSTEM = `
  let bundle
  Object.defineProperty(window, 'SwaggerUIBundle', {
    get: () => bundle && Object.assign((options) => (window.swagger = bundle(options)), bundle),
    set: (value) => {
      bundle = value
    },
  })`

async function openPage(t: Test, url: string): Promise<Page> {
  const page = await openDevice(t, 'about:blank')
  await page.addInitScript(KEEP_SYSTEM)
  await page.goto(`${url}/docs`)
  await page.locator('.opblock').first().waitFor()
  return page
}

/** Shows only the operations whose path has this part: the page renders all that it shows again after each click. */
function showOnly(page: Page, path: string): Promise<void> {
  // biome-ignore lint/suspicious/noExplicitAny: Swagger UI has no types
  return page.evaluate((path) => (globalThis as any).swagger.getSystem().layoutActions.updateFilter(path), path)
}

/** Opens an operation of the page that requires no parameter, and sends it. */
async function execute(operation: Locator): Promise<void> {
  await operation.locator('.opblock-summary-control').click()
  await operation.getByRole('button', { name: 'Try it out' }).click()
  await operation.getByRole('button', { name: 'Execute' }).click()
}

test('/docs has the name and the mark of Latchkey, and no name or mark of its libraries', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const page = await openPage(t, api.url)
  t.equal(await page.title(), 'API · Latchkey')
  const mark = readFileSync(new URL('../../../console/icon.svg', import.meta.url), 'utf8')
  const images = await page.locator('img').all()
  t.equal(images.length, 1)
  const source = await page.locator('.topbar img').getAttribute('src')
  t.equal(Buffer.from(String(source?.split(',')[1]), 'base64').toString(), mark)
  const icons = await page
    .locator('link[rel~=icon]')
    .evaluateAll((links) => links.map((link) => (link as unknown as { href: string }).href))
  t.equal(icons.length, 1)
  const icon = await page.request.get(String(icons[0]))
  t.equal(await icon.text(), mark)
  t.equal(icon.headers()['content-type'], 'image/svg+xml')
  t.notMatch(await page.locator('body').innerText(), /swagger|smartbear|fastify/i)
  t.equal(await page.getByRole('button', { name: 'Explore' }).isVisible(), false, 'no field for other documents')
})

test('Execute without credentials, or with wrong ones, shows the 401, and the browser shows no login prompt', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const page = await openPage(t, api.url)
  const prompts = await watchPrompts(page)
  for (const isAuthorised of [false, true]) {
    if (isAuthorised) await authorise(page)
    for (const path of ['/introspect', '/admin/clients']) {
      await showOnly(page, path)
      const operation = page.locator('.opblock', { has: page.locator(`[data-path="${path}"]`) }).first()
      await execute(operation)
      const answer = operation.locator('.live-responses-table .response').first()
      await answer.waitFor()
      t.match(await answer.innerText(), /401/, path)
      t.match(await answer.innerText(), /www-authenticate: Basic/i, `${path} names the scheme, as RFC 6749 demands`)
      await operation
        .getByRole('button', { name: 'Cancel' })
        .or(operation.getByRole('button', { name: 'Reset' }))
        .first()
        .click()
      await operation.locator('.opblock-summary-control').click()
    }
  }
  t.strictSame(prompts, [])

  await page.evaluate(`fetch('/introspect', { method: 'POST', body: new URLSearchParams({ token: 'x' }) })`)
  t.strictSame(prompts, ['/introspect'], 'a request of another kind would get the prompt')
})

/** Authorises the page with every credential at once. */
async function authorise(page: Page): Promise<void> {
  await page.locator('.scheme-container').getByRole('button', { name: 'Authorize' }).click()
  const dialog = page.locator('.modal-ux')
  for (const [name, value] of Object.entries(CREDENTIALS)) {
    const form = dialog.locator('.auth-container', { has: page.getByText(name, { exact: true }) })
    await form.locator('input').fill(value)
    await form.getByRole('button', { name: 'Apply credentials' }).click()
  }
  const form = dialog.locator('.auth-container', { has: page.getByText('basic', { exact: true }) })
  await form.locator('input').first().fill('demo')
  await form.locator('input').last().fill('of-demo')
  await form.getByRole('button', { name: 'Apply credentials' }).click()
  await dialog.getByRole('button', { name: 'Close' }).last().click()
}

/**
 * Does what the button Execute does when the required parameters are filled in. By clicks, 60 operations take much longer. Other
 * tests click.
 */
function executeAtOnce(page: Page, path: string, method: string): Promise<void> {
  return page.evaluate(
    ([path, method]) => {
      // biome-ignore lint/suspicious/noExplicitAny: Swagger UI has no types
      const { specActions, specSelectors } = (globalThis as any).swagger.getSystem()
      const operation = specSelectors.specJsonWithResolvedSubtrees().getIn(['paths', path, method])
      // biome-ignore lint/suspicious/noExplicitAny: a map of Immutable.js
      operation.get('parameters')?.forEach((parameter: any) => {
        const value = parameter.getIn(['schema', 'enum', 0]) ?? 'x'
        if (parameter.get('required')) specActions.changeParamByIdentity([path, method], parameter, value, false)
      })
      specActions.execute({ operation, path, method })
    },
    [path, method] as const,
  )
}

test('with every credential authorised, each operation of /docs sends one that it documents, or none, and no cookie', async (t) => {
  // The page is open at an address that is not ISSUER.
  const { api } = await startService(t, 'sqlite', { DOCS: 'on', ISSUER: 'http://elsewhere.test' })
  const page = await openPage(t, api.url)
  await showOnly(page, '/verify')
  await page.context().addCookies([{ name: 'session', value: 'of-a-gateway', url: api.url }])
  await authorise(page)
  await page.route('**', (route) => route.fulfill({ status: 204 }))
  const values: Record<string, string> = { basic: BASIC }
  for (const [name, value] of Object.entries(CREDENTIALS)) values[name] = `Bearer ${value}`
  const { paths }: { paths: Record<string, Record<string, Operation>> } = (await api.call('/openapi.json')).body
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, documented]) => ({ method, path, documented })),
  )
  t.ok(operations.length > 50)
  for (const { method, path, documented } of operations) {
    const name = `${method.toUpperCase()} ${path}`
    const [sent] = await Promise.all([
      page.waitForRequest((request) => request.resourceType() === 'fetch'),
      executeAtOnce(page, path, method),
    ])
    t.equal(sent.method(), method.toUpperCase(), sent.url())
    t.ok(sent.url().startsWith(`${api.url}/`), `${name} asks the address of the page`)
    const { authorization, cookie } = await sent.allHeaders()
    const accepted = (documented.security ?? []).flatMap(Object.keys).map((scheme) => values[scheme])
    t.ok(
      accepted.length === 0 ? authorization === undefined : accepted.includes(authorization),
      `${name} sends ${authorization}`,
    )
    t.equal(cookie, undefined, name)
  }
})

test('/docs has a field for each demand of /verify', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const page = await openPage(t, api.url)
  await showOnly(page, '/verify')
  await page.route('**/verify?**', (route) => route.fulfill({ status: 200 }))
  const operation = page.locator('.opblock', { has: page.locator('[data-path="/verify"]') })
  await operation.locator('.opblock-summary-control').click()
  await operation.getByRole('button', { name: 'Try it out' }).click()
  const field = (name: string) => operation.locator(`tr[data-param-name="${name}"]`)
  for (const name of ['aud', 'scope', 'role', 'max_age']) await field(name).locator('input').fill('1')
  const [asked] = await Promise.all([
    page.waitForRequest('**/verify?**'),
    operation.getByRole('button', { name: 'Execute' }).click(),
  ])
  t.strictSame([...new URL(asked.url()).searchParams.keys()].sort(), ['aud', 'max_age', 'role', 'scope'])
  t.equal(await field('acr').count(), 1)
})
