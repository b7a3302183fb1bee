import type { Page, Request } from 'playwright-core'
import t, { test } from 'tap'
import {
  addTodo,
  openDevice,
  openTab,
  signedInHeading,
  signInHeading,
  signUp,
  todoCheckbox,
} from '../support/browser.js'
import { eventually } from '../support/eventually.js'
import { startTodo } from '../support/todo-service.js'

const SHORT = { ACCESS_TTL: '3s' }

// The tests wait for the end of access tokens, so they run side by side.
t.jobs = 3

test('one of two tabs that need a new token at once refreshes for both, and both stay signed in', {
  buffered: true,
}, async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite', SHORT)
  const first = await openDevice(t, url)
  const presented = watchRefreshes(first)
  await signUp(first, 'ada')
  const second = await openTab(first.context(), url)
  await signedInHeading(second).waitFor()

  await eventually(() => new Set(presented).size >= 4)

  // On a busy machine the storage of a tab may be late, and then one refresh is double. Without the lock every refresh is double.
  const tokens = new Set(presented).size
  t.ok(presented.length - tokens <= tokens / 2, `${presented.length} refreshes with ${tokens} tokens`)
  t.equal(tokenService.audited('refresh.reused').length, 0)
  await addTodo(second, 'still here')
  await todoCheckbox(first, 'still here').waitFor()
  await first.getByText(/^Renewed silently (?:[3-9]|\d\d+) times, last by (this|another) tab\.$/).waitFor()
})

test('two tabs without locks that present one refresh token at once both stay signed in', {
  buffered: true,
}, async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite', SHORT)
  const first = await openDevice(t, url)
  await first.context().addInitScript(`Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })`)
  watchRefreshes(first)
  await first.reload()
  await signUp(first, 'ada')
  const second = await openTab(first.context(), url)
  await signedInHeading(second).waitFor()

  await eventually(() => tokenService.audited('refresh.replayed').length >= 2)

  t.equal(tokenService.audited('refresh.reused').length, 0)
  await addTodo(second, 'still here')
  await todoCheckbox(first, 'still here').waitFor()
})

test('a sign-out in one tab signs the other tab out, and a refresh in flight does not undo the sign-out', {
  buffered: true,
}, async (t) => {
  const { url } = await startTodo(t, 'sqlite', SHORT)
  const first = await openDevice(t, url)
  const presented = watchRefreshes(first)
  await signUp(first, 'ada')
  const second = await openTab(first.context(), url)
  await signedInHeading(second).waitFor()

  await eventually(() => presented.length >= 1)
  await second.getByRole('button', { name: 'Sign out', exact: true }).first().click()

  for (const page of [first, second]) await signInHeading(page).waitFor()
  t.equal(await first.evaluate(`localStorage.getItem('latchkey-todo')`), '{"goodbye":"here"}')
})

test('a device without network stays signed in after its access token expires, and works again with network', {
  buffered: true,
}, async (t) => {
  const { url } = await startTodo(t, 'sqlite', SHORT)
  const page = await openDevice(t, url)
  await signUp(page, 'ada')
  await addTodo(page, 'written before')

  await page.context().setOffline(true)
  await page.getByText('The server cannot be reached. You stay signed in; trying again…').waitFor()
  await page.getByText('0:00 left').waitFor()
  t.ok(await todoCheckbox(page, 'written before').isVisible())
  await page.getByLabel('New todo').fill('written meanwhile')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('Check your connection').waitFor()
  t.equal(await page.getByLabel('New todo').inputValue(), 'written meanwhile')
  await page.context().setOffline(false)

  await page.getByText('The server cannot be reached. You stay').waitFor({ state: 'hidden' })
  await page.keyboard.press('Enter')
  await todoCheckbox(page, 'written meanwhile').waitFor()
})

test('an outage of the token service signs nobody out', { buffered: true }, async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite', SHORT)
  const page = await openDevice(t, url)
  await signUp(page, 'ada')
  await addTodo(page, 'written before')

  await tokenService.close()

  await page.getByText('The server cannot be reached. You stay signed in; trying again…').waitFor()
  await page.getByText('0:00 left').waitFor()
  t.ok(await todoCheckbox(page, 'written before').isVisible())
})

/**
 * Records the refresh tokens that the tabs present. Delays each answer, so that both tabs need one at the same time.
 */
function watchRefreshes(page: Page): string[] {
  const presented: string[] = []
  page.context().on('request', (request: Request) => {
    if (request.url().endsWith('/auth/refresh')) presented.push(request.postDataJSON().refresh_token)
  })
  void page.context().route('**/auth/refresh', async (route) => {
    const response = await route.fetch()
    await new Promise((resolve) => setTimeout(resolve, 500))
    await route.fulfill({ response })
  })
  return presented
}
