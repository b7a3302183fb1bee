import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { t as file, type Test } from 'tap'
import { eventually } from './eventually.js'
import { locate } from './servers/install.js'
import { PASSWORD } from './service.js'

/** Each test file has one Chromium. Each device is a browser context. */
export const browser = await chromium.launch({
  timeout: 120_000,
  executablePath: locate('chromium-headless-shell', ['/usr/bin']) ?? 'chromium-headless-shell',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
file.teardown(() => browser.close())

export const PHONE = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
  userAgent:
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ' +
    'Version/18.0 Mobile/15E148 Safari/604.1',
} satisfies BrowserContextOptions

/** Milliseconds until the page shows something. Only a failing test waits this long. */
export const PATIENCE = 60_000

/** Opens a tab on a new device. A script error on the page fails the test. */
export async function openDevice(t: Test, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE)
  t.teardown(async () => {
    // A route may still hold a request. The end of the test makes this request fail.
    await context.unrouteAll({ behavior: 'ignoreErrors' })
    await context.close()
  })
  context.on('weberror', (error) => t.fail(`the page's script threw ${error.error()}`))
  return openTab(context, url)
}

/**
 * The paths of the requests for which the browser would open its own login prompt. DevTools tell them, and cancel the prompt.
 */
export async function watchPrompts(page: Page): Promise<string[]> {
  const prompts: string[] = []
  const devTools = await page.context().newCDPSession(page)
  await devTools.send('Fetch.enable', { handleAuthRequests: true })
  // A page that closes takes its requests with it.
  const ignore = () => {}
  devTools.on('Fetch.requestPaused', ({ requestId }) => {
    devTools.send('Fetch.continueRequest', { requestId }).catch(ignore)
  })
  devTools.on('Fetch.authRequired', ({ requestId, request }) => {
    prompts.push(new URL(request.url).pathname)
    const authChallengeResponse = { response: 'CancelAuth' } as const
    devTools.send('Fetch.continueWithAuth', { requestId, authChallengeResponse }).catch(ignore)
  })
  return prompts
}

export async function openTab(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url)
  return page
}

export async function fillIn(page: Page, username: string, password = PASSWORD): Promise<void> {
  await page.getByLabel('User name', { exact: true }).filter({ visible: true }).fill(username)
  await page.getByLabel('Password', { exact: true }).filter({ visible: true }).fill(password)
}

/** Gives the device of this page an authenticator that holds passkeys and verifies its person (WebAuthn §11, of DevTools). */
export async function addAuthenticator(page: Page): Promise<void> {
  const devTools = await page.context().newCDPSession(page)
  await devTools.send('WebAuthn.enable')
  await devTools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
}

export async function signUp(page: Page, username: string): Promise<void> {
  await page.getByRole('button', { name: 'Create an account' }).click()
  await fillIn(page, username)
  await enter(page, 'Create an account')
}

export async function signIn(page: Page, username: string): Promise<void> {
  await fillIn(page, username)
  await enter(page, 'Sign in')
}

/**
 * Submits the form until the person is signed in. The page waits 10 s for an answer. On a busy machine the first sign-up may take
 * longer, because it starts the thread that judges passwords. The page keeps what was typed, so a person tries again.
 *
 * @throws Error with what the page says about a refusal
 */
export async function enter(page: Page, button: 'Create an account' | 'Sign in'): Promise<void> {
  await page.getByRole('button', { name: button }).click()
  let wasLate = false
  await eventually(async () => {
    if (await signedInHeading(page).isVisible()) return true
    const said = (await page.locator('#credentials-alert').textContent()) ?? ''
    if (said === '') return false
    if (wasLate && said.startsWith('Another account has this user name')) {
      // The late request has made the account.
      await page.locator('#switch').click()
    } else if (/^The (service|server) cannot/.test(said)) {
      wasLate = true
    } else {
      throw new Error(`the page says: ${said}`)
    }
    await page.locator('#submit').click()
    return false
  })
}

export async function addTodo(page: Page, text: string): Promise<void> {
  const field = page.getByLabel('New todo')
  await field.fill(text)
  await field.press('Enter')
  await eventually(async () => {
    if (await todoCheckbox(page, text).isVisible()) return true
    // On a busy machine a request may fail. The page says so and keeps the text, so a person tries again.
    if (await page.locator('#alert').isVisible()) await field.press('Enter')
    return false
  })
}

/** What the page shows to a signed-in person, and to others. */
export const signedInHeading = (page: Page) => page.getByRole('heading', { name: 'Your todos' })
export const signInHeading = (page: Page) => page.getByRole('heading', { name: 'Sign in' })
export const todoCheckbox = (page: Page, text: string) => page.getByRole('checkbox', { name: text, exact: true })
