import { test } from 'tap'
import { browser } from '../support/browser.js'
import { startService } from '../support/service.js'

test('Chromium shows the page at / with its style and its mark, and each link leads to a page', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on', CONSOLE: 'on' })
  const page = await browser.newPage()
  t.teardown(() => page.close())
  const complaints: string[] = []
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()))
  await page.goto(`${api.url}/`)
  t.equal(await page.title(), 'Latchkey')
  const width = await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth")
  t.equal(width, '544px', 'the style applies')
  t.ok(await page.evaluate("document.querySelector('img').naturalWidth"), 'the mark is there')
  t.strictSame(complaints, [])
  for (const name of await page.getByRole('link').allTextContents()) {
    await page.goto(`${api.url}/`)
    const [answer] = await Promise.all([
      page.waitForResponse((each) => each.request().isNavigationRequest()),
      page.getByRole('link', { name }).click(),
    ])
    t.ok(answer.status() < 400, name)
  }
})
