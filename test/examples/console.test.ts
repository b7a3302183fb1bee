import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { adminClient } from '../support/admin-client.js'
import { addTodo, openDevice, signInHeading, signIn as signInTodo, signUp } from '../support/browser.js'
import { createClient } from '../support/clients.js'
import { enrolTotp } from '../support/factors.js'
import { PASSWORD, startService } from '../support/service.js'
import { startTodo } from '../support/todo-service.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The rules of WCAG 2.2 AA that axe-core can check, on the page as it is now. */
async function violations(page: Page): Promise<string[]> {
  // The policy of the page forbids a foreign script: DevTools evaluate it nevertheless.
  await page.evaluate(axe)
  return page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the script above defines it
    const { violations } = await (globalThis as any).axe.run()
    // biome-ignore lint/suspicious/noExplicitAny: a result of axe-core
    return violations.map(({ id, nodes }: any) => `${id}: ${nodes.map((node: any) => node.target).join(' ')}`)
  })
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

const heading = (page: Page, name: string) => page.getByRole('heading', { name, level: 1 })

test('the console shows a person, ends their sessions, and disables them', async (t) => {
  const { api, url, create, audited } = await start(t)
  const ada = await create('ada')
  const devices = await Promise.all(
    ['Laptop', 'Phone', 'Tablet'].map((name) => api.tokens('ada', PASSWORD, { device_name: name })),
  )
  const page = await openDevice(t, url)
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

  await page.getByRole('button', { name: 'Disable: Disable' }).click()
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  await page.getByRole('button', { name: 'Enable: Enable' }).click()
  await page.getByText('ada can sign in again.').waitFor()
  t.equal((await api.login('ada', 'an entirely different battery')).status, 200)
})

test('the console removes second factors, ends all sessions, and rotates and deletes a service', async (t) => {
  const { api, url, env, create } = await start(t)
  await create('ada')
  const { access_token: bearer } = await api.tokens('ada', PASSWORD)
  await enrolTotp(api, bearer)
  await createClient(env, 'billing', { scopes: ['introspect'] })
  const page = await openDevice(t, url)
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
  await page.getByRole('button', { name: 'Rotate the secret of billing' }).click()
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
  const page = await openDevice(t, url)
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
  const page = await openDevice(t, url)
  await signIn(page)
  await heading(page, 'People').waitFor()
  const { access_token: bearer } = await api.tokens('root', PASSWORD)
  await api.call('/logout-all', { method: 'POST', bearer })
  await page.getByRole('link', { name: 'Now' }).click()
  await page.getByText('Your session has ended. Sign in again.').waitFor()
})

test('axe finds nothing in any view, in both themes, and no view is wider than 320 px', async (t) => {
  const { api, url, create } = await start(t)
  const ada = await create('ada', ['editor'])
  await api.tokens('ada', PASSWORD, { device_name: 'Laptop' })
  await api.login('ada', 'wrong')
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await openDevice(t, url, {
      viewport: { width: 320, height: 700 },
      colorScheme,
      reducedMotion: 'reduce',
    })
    t.strictSame(await violations(page), [], `sign-in, ${colorScheme}`)
    await signIn(page)
    for (const [hash, name] of [
      ['people', 'People'],
      [`people/${ada}`, 'ada'],
      ['services', 'Services'],
      ['keys', 'Keys'],
      ['now', 'Now'],
      ['activity', 'Activity'],
    ] as const) {
      await page.goto(`${url}#${hash}`)
      await heading(page, name).waitFor()
      t.strictSame(await violations(page), [], `${name}, ${colorScheme}`)
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), 320, `${name} fits`)
      const folder = process.env.LATCHKEY_SCREENSHOTS
      if (folder) {
        await page.screenshot({ path: `${folder}/${name}-320-${colorScheme}.png`, fullPage: true })
        await page.setViewportSize({ width: 1280, height: 800 })
        await page.screenshot({ path: `${folder}/${name}-1280-${colorScheme}.png`, fullPage: true })
        await page.setViewportSize({ width: 320, height: 700 })
      }
    }
    await page.goto(`${url}#people/${ada}`)
    await page.getByRole('button', { name: 'Disable: Disable' }).click()
    t.strictSame(await violations(page), [], `dialog, ${colorScheme}`)
  }
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
  const page = await openDevice(t, `${todo.tokenService.api.url}/console/`)
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
