import { mkdirSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { AuthenticatorApp } from '../support/authenticator-app.js'
import {
  addAuthenticator,
  fillIn,
  openDevice,
  PHONE,
  signedInHeading,
  signIn,
  signInHeading,
  signUp,
} from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { PASSWORD } from '../support/service.js'
import { startTodo } from '../support/todo-service.js'

const CODE = 'Code of your authenticator app'
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).filter({ visible: true })

/** Enrols an app through the dialog, and closes the dialog of the recovery codes. */
async function addApp(t: Test, page: Page): Promise<{ app: AuthenticatorApp; codes: string[] }> {
  await button(page, 'Add an app').click()
  const dialog = page.getByRole('dialog', { name: 'Add an authenticator app' })
  await dialog.getByRole('img', { name: /QR code/ }).waitFor()
  t.match(await page.locator('#qr-code path').getAttribute('d'), /^(M\d+ \d+h1v1h-1z){300,}$/, 'the modules are drawn')
  const key = (await page.locator('#app-secret').innerText()).replaceAll(' ', '')
  const app = new AuthenticatorApp(key)
  await picture(page, 'app')
  await page.getByLabel('Code of the app').fill('000000')
  await button(page, 'Add the app').click()
  await dialog.getByRole('alert').getByText('The code is wrong').waitFor()
  await page.getByLabel('Code of the app').fill(await app.next())
  await page.keyboard.press('Enter')
  const codes = await readCodes(t, page)
  await page.getByText('The app is added.').waitFor()
  return { app, codes }
}

async function readCodes(t: Test, page: Page): Promise<string[]> {
  const dialog = page.getByRole('dialog', { name: 'Your recovery codes' })
  await dialog.waitFor()
  const codes = await dialog.getByRole('listitem').allInnerTexts()
  t.equal(codes.length, 10)
  await picture(page, 'codes')
  await button(page, 'I have written them down').click()
  await dialog.waitFor({ state: 'hidden' })
  // The page forgets them.
  await page.locator('#codes li').first().waitFor({ state: 'detached' })
  return codes
}

/** Waits until the last proof of the person is older than so many seconds. */
async function untilOlderThan(accessToken: string, seconds: number): Promise<void> {
  const [, payload = ''] = accessToken.split('.')
  const { auth_time: proved } = JSON.parse(Buffer.from(payload, 'base64url').toString())
  await eventually(async () => Date.now() / 1000 - proved > seconds)
}

async function signOut(page: Page): Promise<void> {
  await page.locator('#sign-out').click()
  await page.getByText('You are signed out.').waitFor()
}

/** LATCHKEY_PICTURES=FOLDER keeps a picture of each view, to look at. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.LATCHKEY_PICTURES
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  const { width } = page.viewportSize() ?? { width: 0 }
  const theme = await page.evaluate(`matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'`)
  await page.screenshot({ path: `${folder}/${name}-${width}-${theme}.png`, fullPage: true })
}

test('todo page: a person enrols an app from its QR code, and signs in with its code or a recovery code, each once', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  await signUp(page, 'ada')
  await page.getByText('Only your password protects this account.').waitFor()
  await picture(page, 'desk-without')
  const { app, codes } = await addApp(t, page)
  await page.getByText('10 of 10 left').waitFor()
  await picture(page, 'desk-with-app')

  await signOut(page)
  await picture(page, 'sign-in')
  await fillIn(page, 'ada')
  await button(page, 'Sign in').click()
  await page.getByRole('heading', { name: 'One more step' }).waitFor()
  t.equal(await page.locator('#password').inputValue(), '', 'the page does not keep the password')
  t.equal(await page.evaluate('document.activeElement.id'), 'second-step-code')
  await page.getByLabel(CODE).fill('000000')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('That is not right').waitFor()
  await picture(page, 'second-step')
  await page.getByLabel(CODE).fill(await app.next())
  await page.keyboard.press('Enter')
  await signedInHeading(page).waitFor()

  await signOut(page)
  await fillIn(page, 'ada')
  await button(page, 'Sign in').click()
  const [code = ''] = codes
  await button(page, 'Use a recovery code').click()
  await page.getByRole('textbox', { name: 'Recovery code' }).fill(code)
  await button(page, 'Continue').click()
  await page.getByText('9 of 10 left').waitFor()

  await signOut(page)
  await fillIn(page, 'ada')
  await button(page, 'Sign in').click()
  await button(page, 'Use a recovery code').click()
  await page.getByRole('textbox', { name: 'Recovery code' }).fill(code)
  await button(page, 'Continue').click()
  await page.getByRole('alert').getByText('it was used before').waitFor()
  await button(page, 'Start again').click()
  await signInHeading(page).waitFor()
})

test('todo page: a person enrols a passkey, signs in with it alone or after the password, and removes it', async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  await addAuthenticator(page)
  await signUp(page, 'ada')
  await button(page, 'Add a passkey').click()
  await readCodes(t, page)
  await page.getByText(/^Chrome on .* · added just now$/).waitFor()
  await picture(page, 'desk-with-passkey')

  await signOut(page)
  await button(page, 'Use a passkey').click()
  await signedInHeading(page).waitFor()
  t.equal(await page.locator('#username').innerText(), 'ada', 'the page knows the name that nobody typed')

  await signOut(page)
  await fillIn(page, 'ada')
  await button(page, 'Sign in').click()
  await picture(page, 'second-step-passkey')
  await button(page, 'Use your passkey').click()
  await signedInHeading(page).waitFor()

  await page.getByRole('button', { name: /^Remove: Passkey/ }).click()
  await page.getByText('Only your password protects this account.').waitFor()
  await signOut(page)
  await signIn(page, 'ada')
  await signOut(page)
  await button(page, 'Use a passkey').click()
  await page.getByRole('alert').getByText('This passkey does not open an account here.').waitFor()
  t.equal(tokenService.audited('factor.removed').length, 1)
})

test('todo page: a new factor signs out the other devices, and the page of the change stays', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const laptop = await openDevice(t, url)
  const phone = await openDevice(t, url, PHONE)
  await signUp(laptop, 'ada')
  await signIn(phone, 'ada')
  await addApp(t, laptop)
  await phone.getByText('This device was signed out').waitFor()
  t.ok(await signedInHeading(laptop).isVisible())
})

test('todo page: "Sign out everywhere" after a while asks to step up, with the password or the factor, in the same session', async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite', { STEP_UP_AFTER: '4' })
  const page = await openDevice(t, url)
  await addAuthenticator(page)
  await signUp(page, 'ada')
  const stored = async () => JSON.parse(String(await page.evaluate(`localStorage.getItem('latchkey-todo')`)))
  const { sid } = await stored()
  const dialog = page.getByRole('dialog', { name: 'Is it you?' })
  await untilOlderThan((await stored()).accessToken, 4)
  await button(page, 'Sign out everywhere').click()
  await dialog.getByLabel('Password').fill('not the right password')
  await picture(page, 'step-up')
  await page.keyboard.press('Enter')
  await dialog.getByRole('alert').getByText('The password is not right.').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  t.ok(await signedInHeading(page).isVisible(), 'a closed dialog ends nothing')

  await button(page, 'Add a passkey').click()
  await readCodes(t, page)
  await page.getByText('The passkey is added.').waitFor()
  await untilOlderThan((await stored()).accessToken, 4)
  await button(page, 'Sign out everywhere').click()
  await button(page, 'Use your passkey').click()
  await page.getByText('You are signed out on all of your devices.').waitFor()
  t.match(tokenService.audited('login.stepped_up'), [{ sid, amr: /./ }])
})

test('todo service: "sign out everywhere" without a recent sign-in is 401 with the challenge of RFC 9470', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite', { STEP_UP_AFTER: '1' })
  await tokenService.api.signUp('ada', PASSWORD)
  const { access_token: bearer } = await tokenService.api.tokens('ada', PASSWORD)
  await untilOlderThan(bearer, 1)

  const answer = await api.call('/auth/logout-all', { method: 'POST', bearer })

  t.equal(answer.status, 401)
  t.match(answer.headers['www-authenticate'], /error="insufficient_user_authentication", max_age="1"/)
})

test('todo page: a forgotten password is changed by the link of a mail, which ends every session and works once', async (t) => {
  const { url, mails } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  await signUp(page, 'ada')
  const other = await openDevice(t, url, PHONE)
  await button(other, 'Forgot your password?').click()
  for (const name of ['nobody', 'ada', 'ada']) {
    await other.getByLabel('Your user name').fill(name)
    await button(other, 'Send the mail').click()
    await other.getByRole('status').getByText(`If ${name} has an account, a mail with a link is on its way.`).waitFor()
  }
  await picture(other, 'forgot')
  await eventually(async () => mails.length > 0)
  const [link = ''] = /http:\S+/.exec(mails[0]?.text ?? '') ?? []

  await other.goto(link)
  await other.getByRole('heading', { name: 'Choose a new password' }).waitFor()
  t.equal(other.url(), `${url}/`, 'the token is not in the history')
  await other.getByLabel('New password', { exact: true }).fill('password123456789')
  await button(other, 'Set the password').click()
  await other
    .getByRole('alert')
    .getByText(/password/)
    .waitFor()
  await picture(other, 'reset')
  await other.getByLabel('New password', { exact: true }).fill('seven tame otters hum')
  await button(other, 'Set the password').click()
  await other.getByText('Your new password is set').waitFor()
  await page.getByText('This device was signed out').waitFor()
  await fillIn(other, 'ada', 'seven tame otters hum')
  await button(other, 'Sign in').click()
  await signedInHeading(other).waitFor()

  await page.goto(link)
  await page.getByLabel('New password', { exact: true }).fill('another seven tame otters')
  await button(page, 'Set the password').click()
  await page.getByRole('alert').getByText('The token is not valid any more').waitFor()
  t.strictSame(
    mails.map(({ to }) => to),
    ['ada'],
    'one mail a minute to one person, and none to nobody',
  )
})

test('todo page: an account that must have two factors enrols one at its next sign-in', async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite', { MFA: 'required' })
  await tokenService.api.signUp('ada', PASSWORD)
  const page = await openDevice(t, url)
  await fillIn(page, 'ada')
  await button(page, 'Sign in').click()
  await page.getByRole('heading', { name: 'Add a second step' }).waitFor()
  await picture(page, 'enrol')
  await button(page, 'Add an authenticator app').click()
  await page.getByRole('dialog').waitFor()
  const app = new AuthenticatorApp((await page.locator('#app-secret').innerText()).replaceAll(' ', ''))
  await page.getByLabel('Code of the app').fill(await app.next())
  await page.keyboard.press('Enter')
  await readCodes(t, page)
  await signedInHeading(page).waitFor()
})

for (const options of [
  { ...PHONE, viewport: { width: 375, height: 740 } },
  { ...PHONE, viewport: { width: 375, height: 740 }, colorScheme: 'dark' },
  { colorScheme: 'dark', viewport: { width: 1060, height: 900 } },
] as const) {
  const name = `${options.viewport.width} pixels, ${'colorScheme' in options ? 'dark' : 'light'}`
  test(`todo page, ${name}: no view is wider than the screen, and every control has a name`, async (t) => {
    const { url } = await startTodo(t, 'sqlite')
    const page = await openDevice(t, url, options)
    await addAuthenticator(page)
    await check('sign-in')
    await button(page, 'Forgot your password?').click()
    await check('forgot')
    await button(page, 'Back to the sign-in').click()
    await signUp(page, 'ada')
    await button(page, 'Add an app').click()
    await page.getByRole('dialog').waitFor()
    await check('app')
    const app = new AuthenticatorApp((await page.locator('#app-secret').innerText()).replaceAll(' ', ''))
    await page.getByLabel('Code of the app').fill(await app.next())
    await button(page, 'Add the app').click()
    await page.getByRole('dialog', { name: 'Your recovery codes' }).waitFor()
    await check('codes')
    await button(page, 'I have written them down').click()
    await button(page, 'Add a passkey').click()
    await page.getByText('The passkey is added.').waitFor()
    await check('desk')
    await signOut(page)
    await fillIn(page, 'ada')
    await button(page, 'Sign in').click()
    await page.getByRole('heading', { name: 'One more step' }).waitFor()
    await check('second-step')

    async function check(view: string): Promise<void> {
      await picture(page, view)
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), options.viewport.width, view)
      t.notMatch(
        await page.locator('body').ariaSnapshot(),
        /- (button|textbox|checkbox|heading|dialog|img)(?! ")/,
        view,
      )
    }
  })
}
