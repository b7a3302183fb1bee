import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { addTodo, openDevice, PHONE, signIn, signUp, todoCheckbox } from '../support/browser.js'
import { compose, SCALE, PICTURE_SIZE as SIZE } from '../support/picture.js'
import { startTodo } from '../support/todo-service.js'

const picture = fileURLToPath(new URL('../../../docs/todo.png', import.meta.url))

// `npm run pictures` takes it, so that a test run changes no file. The fonts are those of this machine; fonts-inter looks
// best.
const shouldDraw = process.env.LATCHKEY_PICTURE !== undefined

test('docs/todo.png shows two devices of one person', {
  skip: !shouldDraw && 'npm run pictures draws it',
}, async (t) => {
  const { url } = await startTodo(t, 'sqlite', { ACCESS_TTL: '1m' })
  const laptop = await openDevice(t, 'about:blank', {
    viewport: { width: 1060, height: 600 },
    deviceScaleFactor: SCALE,
    reducedMotion: 'reduce',
    userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36',
  })
  const tablet = await openDevice(t, url, { userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0' })
  const phone = await openDevice(t, url, {
    ...PHONE,
    viewport: { width: 390, height: 740 },
    deviceScaleFactor: SCALE,
    colorScheme: 'dark',
    reducedMotion: 'reduce',
  })
  await laptop.clock.install()
  await laptop.goto(url)
  await signUp(laptop, 'ada')
  await signIn(tablet, 'ada')
  for (const text of [
    'Call the plumber about the kitchen',
    'Send Grace the notes from Tuesday',
    'Return the library books',
    'Water the plants on the balcony',
    'Book the night train to Lisbon',
  ]) {
    await addTodo(laptop, text)
  }
  await todoCheckbox(laptop, 'Return the library books').check()
  await todoCheckbox(laptop, 'Send Grace the notes from Tuesday').check()
  for (const times of ['once', '2 times', '3 times']) {
    await laptop.clock.fastForward(46_000)
    await laptop.getByText(`Renewed silently ${times}`).waitFor()
  }
  await signIn(phone, 'ada')
  await laptop.getByText('3 signed in').waitFor()
  await phone.getByText('3 signed in').waitFor()
  await laptop.clock.fastForward(13_000)
  await laptop.getByText('2 of 5 done').click()
  await phone.getByText('2 of 5 done').click()

  await writeFile(picture, await compose(await laptop.screenshot(), await phone.screenshot()))
})

test('docs/todo.png exists, has its documented size, and loads fast', async (t) => {
  const file = readFileSync(picture)

  // The first chunk of a PNG holds its width and height.
  t.equal(file.readUInt32BE(16), SIZE.width * SCALE)
  t.equal(file.readUInt32BE(20), SIZE.height * SCALE)
  t.ok(file.length < 200_000, `${file.length} bytes`)
})
