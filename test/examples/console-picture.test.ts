import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'tap'
import { openDevice, PHONE } from '../support/browser.js'
import { runExample } from '../support/example.js'
import { compose, PICTURE_SIZE, SCALE } from '../support/picture.js'
import { temporaryFolder } from '../support/service.js'

const picture = fileURLToPath(new URL('../../../docs/console.png', import.meta.url))

// `npm run pictures` takes it, so that a test run changes no file. The fonts are those of this machine; fonts-inter looks
// best.
const shouldDraw = process.env.LATCHKEY_PICTURE !== undefined

test('docs/console.png shows the hour of npm run example, and one person on a phone', {
  skip: !shouldDraw && 'npm run pictures draws it',
}, async (t) => {
  const { console: url, operator } = await runExample(t, temporaryFolder(t))
  const options = { deviceScaleFactor: SCALE, reducedMotion: 'reduce' } as const
  const laptop = await openDevice(t, url, { ...options, viewport: { width: 1200, height: 708 } })
  const phone = await openDevice(t, url, { ...PHONE, ...options, viewport: { width: 390, height: 740 } })
  for (const page of [laptop, phone]) await signIn(page, operator)
  await laptop.getByRole('link', { name: 'Now' }).click()
  await laptop.getByRole('img', { name: /^Sign-ins/ }).waitFor()
  await phone.getByRole('link', { name: /^grace/ }).click()
  await phone.getByRole('heading', { name: /devices$/ }).waitFor()
  await phone.evaluate('scrollTo(0, 0)')

  await writeFile(picture, await compose(await laptop.screenshot(), await phone.screenshot()))
})

test('docs/console.png exists, has its documented size, and loads fast', async (t) => {
  const file = readFileSync(picture)

  // The first chunk of a PNG holds its width and height.
  t.equal(file.readUInt32BE(16), PICTURE_SIZE.width * SCALE)
  t.equal(file.readUInt32BE(20), PICTURE_SIZE.height * SCALE)
  t.ok(file.length < 200_000, `${file.length} bytes`)
})

async function signIn(page: Page, { username, password }: { username: string; password: string }): Promise<void> {
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'People' }).waitFor()
}
