import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { adminClient } from '../support/admin-client.js'
import {
  addAuthenticator,
  addTodo,
  openDevice,
  signInHeading,
  signIn as signInTodo,
  signUp,
  watchPrompts,
} from '../support/browser.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { enrolTotp } from '../support/factors.js'
import { Forger } from '../support/hostile/forger.js'
import { freePort } from '../support/servers/ports.js'
import { environment, JWT_SECRET, PASSWORD, spawnService, startService } from '../support/service.js'
import { startTodo } from '../support/todo-service.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The rules of WCAG 2.2 AA that axe-core can check, on the page as it is now. */
async function violations(page: Page): Promise<string[]> {
  // The policy of the page forbids a foreign script: DevTools evaluate it nevertheless. It has half a megabyte.
  if (await page.evaluate("typeof axe === 'undefined'")) await page.evaluate(axe)
  return page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the script above defines it
    const { violations } = await (globalThis as any).axe.run({ resultTypes: ['violations'] })
    // biome-ignore lint/suspicious/noExplicitAny: a result of axe-core
    return violations.map(({ id, nodes }: any) => `${id}: ${nodes.map((node: any) => node.target).join(' ')}`)
  })
}

/** What the pages of all tests asked of the service: `POST /admin/users/…`. */
const requests = new Set<string>()

async function open(t: Test, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await openDevice(t, 'about:blank', options)
  page.on('request', (request) => {
    const { origin, pathname } = new URL(request.url())
    requests.add(`${request.method()} ${origin === new URL(url).origin ? pathname : request.url()}`)
  })
  await page.goto(url)
  return page
}

async function start(t: Test) {
  const service = await startService(t, 'sqlite', { CONSOLE: 'on', AUDIENCE: 'web,todo' })
  const { api } = service
  // Browsers resolve localhost, and the page uses the issuer only as a name.
  const url = `${api.url}/console/`
  const admin = adminClient(api)
  const create = async (username: string, roles: string[] = []) =>
    (await admin('POST', '/users', { json: { username, password: PASSWORD, roles } })).body.id as string
  await create('root', ['latchkey-admin'])
  return { ...service, url, create }
}

async function signIn(page: Page, username = 'root'): Promise<void> {
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.keyboard.press('Enter')
}

/** CSS pixels by which the page is wider than its window. */
const overflow = (page: Page) =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')

const heading = (page: Page, name: string) => page.getByRole('heading', { name, level: 1 })

test('the console shows a person, ends their sessions, and disables them', async (t) => {
  const { api, url, create, audited } = await start(t)
  const ada = await create('ada')
  const devices = await Promise.all(
    ['Laptop', 'Phone', 'Tablet'].map((name) => api.tokens('ada', PASSWORD, { device_name: name })),
  )
  const page = await open(t, url)
  await signIn(page)
  await heading(page, 'People').waitFor()
  await page.getByLabel(/^Search people/).fill('AD')
  await page.getByRole('link', { name: /^ada/ }).click()
  await heading(page, 'ada').waitFor()
  await page.getByRole('heading', { name: '3 devices' }).waitFor()

  await page.getByRole('button', { name: 'End the session on Phone' }).click()
  await page.getByText('This ends 1 session of ada, on Phone.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  t.equal(await api.isActive(devices[1]?.access_token as string), true, 'a cancelled act does nothing')
  await page.getByRole('button', { name: 'End the session on Phone' }).click()
  await page.getByRole('button', { name: 'End 1 session' }).click()
  await page.getByRole('heading', { name: '2 devices' }).waitFor()
  t.equal(await api.isActive(devices[1]?.access_token as string), false)
  t.match(audited('session.ended'), [{ sub: ada, reason: 'ended_by_admin', by: String }])

  await page.getByRole('button', { name: 'Change: Roles' }).click()
  await page.getByLabel('Roles, with spaces between').fill('editor chief')
  await page.getByRole('button', { name: 'Set the roles' }).click()
  await page.getByText('editor, chief').waitFor()

  await page.getByRole('button', { name: 'Reset: Password' }).click()
  await page.getByLabel('New password').fill('short')
  await page.getByRole('button', { name: 'Reset the password' }).click()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('New password').fill('an entirely different battery')
  await page.getByRole('button', { name: 'Reset the password' }).click()
  await page.getByText('Nobody is signed in.').waitFor()

  await page.getByRole('button', { name: 'Disable: Sign-in' }).click()
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  await page.getByRole('button', { name: 'Enable: Sign-in' }).click()
  await page.getByText('ada can sign in again.').waitFor()
  t.equal((await api.login('ada', 'an entirely different battery')).status, 200)
})

test('the console removes second factors, ends all sessions, and rotates and deletes a service', async (t) => {
  const { api, url, env, create } = await start(t)
  await create('ada')
  const { access_token: bearer } = await api.tokens('ada', PASSWORD)
  await enrolTotp(api, bearer)
  await createClient(env, 'billing', { scopes: ['introspect'] })
  const page = await open(t, url)
  await signIn(page)
  await page.getByRole('link', { name: /^ada/ }).click()
  await page.getByRole('button', { name: 'Remove: Second factors' }).click()
  await page.getByText(/removes 1 factor and 10 recovery codes/).waitFor()
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await page.getByText('None: the password alone signs in.').waitFor()
  t.equal(await api.isActive(bearer), false)
  for (const name of ['One', 'Two']) await api.tokens('ada', PASSWORD, { device_name: name })
  await page.reload()
  await page.getByRole('button', { name: 'End all' }).click()
  await page.getByRole('button', { name: 'End 2 sessions' }).click()
  await page.getByText('Nobody is signed in.').waitFor()

  await page.getByRole('link', { name: 'Services' }).click()
  await page.getByRole('button', { name: 'Rotate secret of billing' }).click()
  await page.getByRole('button', { name: 'Make a new secret' }).click()
  t.ok((await page.getByLabel('Secret', { exact: true }).inputValue()).length > 40)
  await page.getByRole('button', { name: 'Done' }).click()
  await page.getByText(/^valid until/).waitFor()
  await page.getByRole('button', { name: 'Delete billing' }).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByText('billing is deleted.').waitFor()
})

test('P6: the console asks for the factor at sign-in, and says why it refuses others', async (t) => {
  const { api, url, create } = await start(t)
  await create('eve')
  const page = await open(t, url)
  await signIn(page, 'eve')
  await page.getByText(/only an account with the role latchkey-admin/).waitFor()
  const { app } = await enrolTotp(api, (await api.tokens('root', PASSWORD)).access_token)
  await signIn(page)
  await page.getByLabel(/^Code of your app/).fill(await app.next())
  await page.keyboard.press('Enter')
  await heading(page, 'People').waitFor()
})

test('P1: the console ends with its session, at once', async (t) => {
  const { api, url } = await start(t)
  const page = await open(t, url)
  await signIn(page)
  await heading(page, 'People').waitFor()
  const { access_token: bearer } = await api.tokens('root', PASSWORD)
  await api.call('/logout-all', { method: 'POST', bearer })
  await page.getByRole('link', { name: 'Now' }).click()
  await page.getByText('Your session has ended. Sign in again.').waitFor()
})

test('a token that is not valid any more is renewed, and the browser opens no login prompt of its own', async (t) => {
  const { url } = await start(t)
  const page = await open(t, url)
  await signIn(page)
  await heading(page, 'People').waitFor()
  const prompts = await watchPrompts(page)
  // An expired token and a wrong signature get the same answer.
  await page.evaluate(
    `sessionStorage['latchkey-console'] = sessionStorage['latchkey-console'].replace(/[\\w-]{9}","refresh"/, 'AAAAAAAAA","refresh"')`,
  )
  const isRefused = page.waitForResponse((response) => response.status() === 401)
  await page.reload()
  await isRefused
  await page.getByRole('link', { name: 'root' }).first().waitFor()
  t.strictSame(prompts, [])
})

const SIZES = [
  [320, 700],
  [768, 1024],
  [1280, 800],
] as const
const LONG_NAME = 'wilhelmina.van-der-bilt-constantinopel.the.second@subsidiary.example.com'

test('axe finds nothing in any view, in both themes, and every view fits 320, 768 and 1280 px, also with long names', async (t) => {
  const { api, env, url, create } = await start(t)
  const ada = await create(LONG_NAME, ['editor', 'accounts-payable-approver-level-2'])
  await enrolTotp(api, (await api.tokens(LONG_NAME, PASSWORD)).access_token)
  await create('eve')
  await api.tokens('eve', PASSWORD, { device_name: 'x'.repeat(100) })
  await api.login('eve', 'wrong')
  await createClient(env, 'a-service-with-a-remarkably-long-identifier', { scopes: ['introspect', 'revoke'] })
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await open(t, url, { viewport: { width: 320, height: 700 }, colorScheme, reducedMotion: 'reduce' })
    t.strictSame(await violations(page), [], `sign-in, ${colorScheme}`)
    await signIn(page)
    for (const [hash, name] of [
      ['people', 'People'],
      [`people/${ada}`, LONG_NAME],
      ['services', 'Services'],
      ['keys', 'Keys'],
      ['now', 'Now'],
      ['activity', 'Activity'],
      [`activity/${ada}`, 'Activity'],
    ] as const) {
      await page.goto(`${url}#${hash}`)
      await heading(page, name).waitFor()
      for (const [width, height] of SIZES) {
        await page.setViewportSize({ width, height })
        t.strictSame(await violations(page), [], `${hash}, ${width} px, ${colorScheme}`)
        t.equal(await overflow(page), 0, `${hash} fits ${width} px`)
        const folder = process.env.LATCHKEY_SCREENSHOTS
        const file = `${folder}/${hash.slice(0, 12).replace('/', '-')}-${width}-${colorScheme}.png`
        if (folder) await page.screenshot({ path: file, fullPage: true })
      }
    }
    await page.setViewportSize({ width: 320, height: 700 })
    await page.goto(`${url}#people/${ada}`)
    await page.getByRole('button', { name: 'Disable: Sign-in' }).click()
    t.strictSame(await violations(page), [], `dialog, ${colorScheme}`)
    t.equal(await overflow(page), 0, 'the dialog fits')
  }
})

test('a thousand people come in pages, and a hundred devices do not hide the account', async (t) => {
  const { api, env, url, create } = await start(t)
  await withAccounts(env, async (users) => {
    for (let i = 0; i < 1000; i += 1) {
      await users.create({ username: `worker-${String(i).padStart(4, '0')}`, password: PASSWORD })
    }
  })
  await create('zoe')
  for (let round = 0; round < 100; round += 1) await api.tokens('zoe', PASSWORD)
  const page = await open(t, url)
  await signIn(page)
  await page.getByText('The first 50', { exact: true }).waitFor()
  const people = page.getByRole('list', { name: 'People' }).getByRole('link')
  await page.getByRole('button', { name: 'Show more' }).click()
  await page.getByText('The first 100', { exact: true }).waitFor()
  t.equal(await people.count(), 100)
  t.match(await page.evaluate('document.activeElement.textContent'), 'worker-0049', 'the focus is on the first new one')
  await page.getByLabel(/^Search people/).fill('worker-099')
  await page.getByText('10 accounts', { exact: true }).waitFor()
  await page.getByLabel(/^Search people/).fill('nobody')
  await page.getByText('No account matches.').waitFor()
  await page.getByLabel(/^Search people/).fill('zoe')
  await people.click()
  await page.getByRole('heading', { name: '100 devices' }).waitFor()
  const ends = page.getByRole('button', { name: /^End the session on/ })
  t.equal(await ends.count(), 20)
  await page.getByRole('button', { name: 'Show 80 more devices' }).click()
  t.equal(await ends.count(), 100)
})

test('every act works by keyboard, and the focus is where the next key is expected', async (t) => {
  const { api, url, create } = await start(t)
  await create('ada')
  for (const name of ['Laptop', 'Phone']) await api.tokens('ada', PASSWORD, { device_name: name })
  const page = await open(t, url)
  const focused = () =>
    page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()') as Promise<string>
  const tabTo = async (name: string | RegExp) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab')
      if (typeof name === 'string' ? (await focused()) === name : name.test(await focused())) return
    }
    throw new Error(`no Tab reaches ${name}`)
  }
  await signIn(page)
  await heading(page, 'People').waitFor()
  await page.reload()
  await heading(page, 'People').waitFor()
  await page.keyboard.press('Tab')
  t.equal(await focused(), 'Skip to the content')
  await tabTo(/^ada/)
  await page.keyboard.press('Enter')
  await heading(page, 'ada').waitFor()
  t.equal(await page.title(), 'ada · Latchkey console')
  await tabTo('End the session on Phone')
  await page.keyboard.press('Enter')
  t.equal(await focused(), 'Cancel', 'a careless Enter destroys nothing')
  await page.keyboard.press('Escape')
  t.equal(await focused(), 'End the session on Phone')
  await page.keyboard.press('Enter')
  await tabTo('End 1 session')
  await page.keyboard.press('Enter')
  await page.getByText('The session has ended.').waitFor()
  await page.getByRole('heading', { name: '1 device' }).waitFor()
  t.equal(await focused(), '1 device')
  await tabTo('End the session on Laptop')
})

test('the console says in plain words what failed, and works again when the service does', async (t) => {
  const { url, create } = await start(t)
  await create('ada')
  const page = await open(t, url)
  await signIn(page)
  await heading(page, 'People').waitFor()
  await page.context().setOffline(true)
  await page.getByRole('link', { name: 'Keys' }).click()
  await page.getByRole('alert').getByText('The service does not answer: try again.').waitFor()
  t.equal(await heading(page, 'People').count(), 0, 'no other view stands below the error')
  await page.context().setOffline(false)
  await page.getByRole('button', { name: 'Try again' }).click()
  await heading(page, 'Keys').waitFor()

  await page.goto(`${url}#people/nobody`)
  await page.getByRole('alert').getByText('This account does not exist.').waitFor()
  await page.getByRole('link', { name: 'People' }).click()
  await page.getByRole('link', { name: /^ada/ }).click()
  await page.getByRole('button', { name: 'Disable: Sign-in' }).click()
  await page.context().setOffline(true)
  const dialog = page.getByRole('dialog', { name: 'Disable ada?' })
  await dialog.getByRole('button', { name: 'Disable' }).click()
  await dialog.getByRole('alert').getByText('The service does not answer: try again.').waitFor()
  await page.context().setOffline(false)
  await dialog.getByRole('button', { name: 'Disable' }).click()
  await page.getByText('ada is disabled.').waitFor()
})

test('Now and Activity show the last hour: names, plain words, filters, and the truth about the feed', async (t) => {
  const { api, url, create } = await start(t)
  const ada = await create('ada')
  await api.tokens('ada', PASSWORD)
  await api.login('ada', 'wrong')
  const page = await open(t, url)
  await signIn(page)
  await page.getByRole('link', { name: 'Now' }).click()
  await page.getByRole('img', { name: 'Sign-ins: 2 in the last hour, at most' }).waitFor()
  await page.getByText('in the database', { exact: true }).waitFor()
  const { x = 0, y = 0, width = 0 } = (await page.getByRole('img', { name: /^Refusals: 1 in/ }).boundingBox()) ?? {}
  await page.mouse.move(x + 2, y + 20)
  t.match(await page.locator('.refusals figcaption').innerText(), /^Refusals\n\d\d:\d\d\n0$/, 'the first minute')
  await page.mouse.move(x + width / 2, y - 400)

  await page.getByRole('link', { name: 'Activity' }).click()
  const lines = page.getByRole('list', { name: /^Events/ }).getByRole('listitem')
  t.match(await lines.nth(1).innerText(), /Sign-in refused\s+ada\s+wrong password · 127\.0\.0\.1\s+login\.refused/)
  await page.getByLabel('Kind of event').selectOption('Accounts')
  await page.getByText('login.refused').waitFor({ state: 'detached' })
  t.equal(await lines.count(), 2)
  await page.getByLabel(/^Name or id/).fill('ADA')
  await page.keyboard.press('Enter')
  await page.getByText('root', { exact: true }).nth(1).waitFor({ state: 'detached' })
  t.equal(await lines.count(), 1)
  await page.getByLabel(/^Name or id/).fill('nobody')
  await page.keyboard.press('Enter')
  await page.getByText('Nothing in the last hour matches.').waitFor()
  await page.goto(`${url}#people/${ada}`)
  await page.getByRole('link', { name: 'Activity of the last hour' }).click()
  await lines.nth(2).waitFor()
  t.equal(await page.getByLabel(/^Name or id/).inputValue(), 'ada')
  t.equal(await lines.count(), 3)
})

test('P6: a person whose only factor is a passkey signs in, and proves it again after an hour', async (t) => {
  const ports: [number, number] = [await freePort(), await freePort()]
  // A domain, because passkeys do not belong to an IP address.
  const origin = `http://localhost:${ports[0]}`
  const env = await environment(t, 'sqlite', { CONSOLE: 'on', WEBAUTHN_RP_ID: 'localhost', WEBAUTHN_ORIGINS: origin })
  const { api } = await spawnService(t, env, ports)
  const admin = adminClient(api)
  const create = async (username: string, roles: string[]) =>
    admin('POST', '/users', { json: { username, password: PASSWORD, roles } })
  await create('root', ['latchkey-admin'])
  await create('ada', [])
  const page = await open(t, `${origin}/console/`)
  await addAuthenticator(page)
  const { access_token: bearer } = await api.tokens('root', PASSWORD)
  const options = await api.call('/users/me/factors/passkeys/options', { method: 'POST', bearer })
  const passkey = await page.evaluate(async (json) => {
    // biome-ignore lint/suspicious/noExplicitAny: this runs in the browser, whose types are not here
    const { PublicKeyCredential, navigator } = globalThis as any
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json)
    return (await navigator.credentials.create({ publicKey })).toJSON()
  }, options.body)
  t.equal((await api.call('/users/me/factors/passkeys', { bearer, json: { passkey } })).status, 200)

  await page.getByRole('button', { name: 'Use a passkey' }).click()
  await heading(page, 'People').waitFor()
  t.equal(await page.locator('#my-name').innerText(), 'root', 'the page knows the name that nobody typed')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('You are signed out.').waitFor()

  await signIn(page)
  await page.getByLabel('Recovery code', { exact: true }).waitFor()
  t.equal(await page.evaluate('document.activeElement.textContent'), 'Use your passkey')
  await page.keyboard.press('Enter')
  await heading(page, 'People').waitFor()

  // The test cannot wait for an hour. So the page gets the token of a person who signed in an hour ago.
  const kept = JSON.parse((await page.evaluate("sessionStorage.getItem('latchkey-console')")) as string)
  const claims = { ...claimsOf(kept.access), auth_time: Math.floor(Date.now() / 1000) - 3601 }
  const access = new Forger(JWT_SECRET, claimsOf(kept.access), '').withClaims(claims)
  await page.evaluate(
    (value) => {
      // biome-ignore lint/suspicious/noExplicitAny: this runs in the browser, whose types are not here
      ;(globalThis as any).sessionStorage.setItem('latchkey-console', value)
    },
    JSON.stringify({ ...kept, access }),
  )
  await page.reload()
  await page.getByRole('link', { name: /^ada/ }).click()
  await page.getByRole('button', { name: 'Disable: Sign-in' }).click()
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  const question = page.getByRole('dialog', { name: 'Is it you?' })
  await question.getByText('This needs your second factor.').waitFor()
  await question.getByLabel(/^Code of your app/).fill('not-a-code')
  await question.getByRole('button', { name: 'Continue' }).click()
  await question.getByRole('alert').waitFor()
  await question.getByRole('button', { name: 'Use your passkey' }).click()
  await page.getByText('ada is disabled.').waitFor()
  t.equal((await api.login('ada', PASSWORD)).status, 401)
})

test('a device that the console ends disappears from the Todo page within a second', async (t) => {
  const todo = await startTodo(t, 'sqlite', { CONSOLE: 'on' })
  const phone = await openDevice(t, todo.url)
  await signUp(phone, 'ada')
  await addTodo(phone, 'Call the plumber')
  const laptop = await openDevice(t, todo.url, { userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0' })
  await signInTodo(laptop, 'ada')
  await adminClient(todo.tokenService.api)('POST', '/users', {
    json: { username: 'root', password: PASSWORD, roles: ['latchkey-admin'] },
  })
  const page = await open(t, `${todo.tokenService.api.url}/console/`)
  await signIn(page)
  await page.getByRole('link', { name: /^ada/ }).click()
  await page.getByRole('button', { name: 'End the session on Firefox on Linux' }).click()
  await page.getByRole('button', { name: 'End 1 session' }).click()
  await page.getByRole('heading', { name: '1 device' }).waitFor()
  const ended = Date.now()
  await signInHeading(laptop).waitFor()
  t.comment(`${Date.now() - ended} ms`)
  t.equal(await signInHeading(phone).count(), 0, 'the other device stays')
})

test('the console has no power of its own: each request of its pages is an operation of the OpenAPI document', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on', CONSOLE: 'on' })
  const { paths } = (await api.call('/openapi.json')).body as { paths: Record<string, Record<string, object>> }
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      name: `${method.toUpperCase()} ${path}`,
      pattern: new RegExp(`^${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
    })),
  )
  const used = new Set<string>()
  for (const request of requests) {
    if (/^GET \/console\/[\w.-]*$/.test(request)) continue
    // An address with a name rather than an id comes first: `/users/me` before `/users/{id}`.
    const found =
      operations.find(({ name }) => name === request) ?? operations.find(({ pattern }) => pattern.test(request))
    t.ok(found, request)
    if (found) used.add(found.name)
  }
  t.strictSame(
    [...used].filter((name) => !/^\w+ \/admin\//.test(name)).sort(),
    [
      'GET /.well-known/oauth-authorization-server',
      'POST /login',
      'POST /login/mfa',
      'POST /login/passkey',
      'POST /login/passkey/options',
      'POST /login/step-up',
      'POST /logout',
      'POST /refresh',
    ],
    'beside the admin API there is only the sign-in of the person',
  )
  const acts = [...used].filter((name) => /^(POST|PUT|DELETE) \/admin\//.test(name))
  t.equal(acts.length, 9, `each act of the console was done: ${acts.join(', ')}`)
})
