import { test } from 'tap'
import {
  addTodo,
  enter,
  fillIn,
  openDevice,
  openTab,
  PHONE,
  signedInHeading,
  signIn,
  signInHeading,
  signUp,
  todoCheckbox,
} from '../support/browser.js'
import { startTodo } from '../support/todo-service.js'

test('todo page: a user signs up, adds, ticks, edits and deletes todos, and a reload shows the same list', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)

  await signUp(page, 'ada')
  await page.getByText('Nothing to do.').waitFor()
  await addTodo(page, 'water the plants')
  await addTodo(page, 'return the books')
  await todoCheckbox(page, 'return the books').check()
  await page.getByText('1 of 2 done').waitFor()
  await page.getByRole('button', { name: 'Edit: water the plants' }).click()
  await page.getByRole('textbox', { name: 'Text of the todo' }).fill('water every plant')
  await page.getByRole('button', { name: 'Save' }).click()
  await todoCheckbox(page, 'water every plant').waitFor()
  await page.reload()

  t.equal(await todoCheckbox(page, 'return the books').isChecked(), true)
  t.equal(await todoCheckbox(page, 'water every plant').isChecked(), false)
  await page.getByRole('button', { name: 'Delete: return the books' }).click()
  await todoCheckbox(page, 'return the books').waitFor({ state: 'detached' })
  await page.getByText('0 of 1 done').waitFor()
})

test('todo page: a todo that looks like markup stays text, and the policy runs no other script', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  await signUp(page, 'ada')
  const markup = `<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>`

  await addTodo(page, markup)
  await page.reload()
  await todoCheckbox(page, markup).waitFor()

  t.equal(await page.locator('#todos img, #todos script').count(), 0)
  await t.rejects(page.evaluate(`document.body.innerHTML = '<b>pwned</b>'`), /TrustedHTML/)
  await page
    .evaluate(`{
    const image = document.createElement('img')
    image.setAttribute('onerror', "document.title = 'pwned'")
    image.src = '/missing'
    document.body.append(image)
  }`)
    .catch(() => {})
  await t.rejects(page.evaluate(`fetch('http://localhost:9/')`), /Failed to fetch/)
  t.not(await page.title(), 'pwned')
})

test('todo page: an invalid sign-up or sign-in shows its reason', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  const alert = page.getByRole('alert')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await alert.getByText('Enter a user name.').waitFor()

  await page.getByRole('button', { name: 'Create an account' }).click()
  await fillIn(page, 'ada', 'too short')
  await page.getByRole('button', { name: 'Create an account' }).click()
  await alert.getByText('The password is too short: use 15 characters or more').waitFor()
  await signUpAndOut()
  await fillIn(page, 'ada', 'not the right password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await alert.getByText('The user name or the password is not right.').waitFor()

  await page.getByRole('button', { name: 'Create an account' }).click()
  await fillIn(page, 'ADA')
  await page.getByRole('button', { name: 'Create an account' }).click()
  await alert.getByText('Another account has this user name, or one that looks like it: choose another.').waitFor()

  async function signUpAndOut() {
    await fillIn(page, 'ada')
    await enter(page, 'Create an account')
    await page.getByRole('button', { name: 'Sign out', exact: true }).first().click()
    await page.getByText('You are signed out.').waitFor()
  }
})

for (const [store, mode] of [
  ['sqlite', 'introspecting'],
  ['redis', 'following'],
] as const) {
  test(`todo page, ${mode}: a device shows that another device ended its session`, async (t) => {
    const { url } = await startTodo(t, store)
    const laptop = await openDevice(t, url)
    const phone = await openDevice(t, url, PHONE)
    await signUp(laptop, 'ada')
    await addTodo(laptop, 'written on the laptop')

    await signIn(phone, 'ada')
    await todoCheckbox(phone, 'written on the laptop').waitFor()
    await laptop.getByRole('button', { name: 'Sign out: Safari on iPhone' }).click()
    await phone.getByText('This device was signed out').waitFor()
    await laptop.getByText('This is your only device.').waitFor()
    t.ok(await signedInHeading(laptop).isVisible())
    t.equal(await phone.evaluate(`localStorage.getItem('latchkey-todo')`), '{"goodbye":"elsewhere"}')
    await phone.reload()
    await phone.getByText('This device was signed out').waitFor()
  })
}

test('todo page: a todo written on one device appears on the other, and each device lists both sessions', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const laptop = await openDevice(t, url)
  const phone = await openDevice(t, url, PHONE)
  await signUp(laptop, 'ada')
  await signIn(phone, 'ada')

  await addTodo(phone, 'written on the phone')

  await todoCheckbox(laptop, 'written on the phone').waitFor()
  for (const page of [laptop, phone]) {
    await page.getByText('2 signed in').waitFor()
    t.equal(await page.getByText('This device', { exact: true }).filter({ visible: true }).count(), 1)
  }
})

test('todo page: a user signs out the other devices, then every device and every tab', async (t) => {
  const { url, tokenService } = await startTodo(t, 'sqlite')
  const laptop = await openDevice(t, url)
  const phone = await openDevice(t, url, PHONE)
  const tablet = await openDevice(t, url)
  await signUp(laptop, 'ada')
  const secondTab = await openTab(laptop.context(), url)
  await signIn(phone, 'ada')
  await signIn(tablet, 'ada')

  await laptop.getByText('3 signed in').waitFor()
  await laptop.getByRole('button', { name: 'Sign out the others' }).click()
  for (const page of [phone, tablet]) await page.getByText('This device was signed out').waitFor()
  await laptop.getByText('This is your only device.').waitFor()
  t.ok(await signedInHeading(laptop).isVisible())

  await signIn(phone, 'ada')
  // The answer is late: until then this page too finds that its session has ended.
  await laptop.route('**/auth/logout-all', async (route) => {
    const response = await route.fetch()
    await laptop.getByText('This device was signed out').waitFor()
    await route.fulfill({ response })
  })
  await laptop.getByRole('button', { name: 'Sign out everywhere' }).click()
  await laptop.getByText('You are signed out on all of your devices.').waitFor()
  for (const page of [secondTab, phone]) await signInHeading(page).waitFor()
  t.equal(tokenService.audited('session.ended').filter(({ reason }) => reason === 'logout_all').length, 1)
})

test('todo page: every action works with the keyboard alone, and every control has a name', async (t) => {
  const { url } = await startTodo(t, 'sqlite')
  const page = await openDevice(t, url)
  const { keyboard } = page
  const nameless = /- (button|textbox|checkbox|heading)(?! ")/
  t.notMatch(await page.locator('body').ariaSnapshot(), nameless)
  await signUp(page, 'ada')

  t.equal(await page.evaluate('document.activeElement.id'), 'new-todo')
  await keyboard.type('first')
  await keyboard.press('Enter')
  await todoCheckbox(page, 'first').waitFor()
  await keyboard.type('second')
  await keyboard.press('Enter')
  await todoCheckbox(page, 'second').waitFor()
  t.notMatch(await page.locator('body').ariaSnapshot(), nameless)
  // The Add button, then the checkbox of the first todo.
  await keyboard.press('Tab')
  await keyboard.press('Tab')
  await keyboard.press('Space')
  await page.getByText('1 of 2 done').waitFor()
  t.equal(await todoCheckbox(page, 'second').isChecked(), true)
  await keyboard.press('Tab')
  await keyboard.press('Enter')
  await keyboard.type('second, changed')
  await keyboard.press('Enter')
  await todoCheckbox(page, 'second, changed').waitFor()
  await keyboard.press('Tab')
  await keyboard.press('Enter')
  await todoCheckbox(page, 'second, changed').waitFor({ state: 'detached' })
  t.equal(await todoCheckbox(page, 'first').evaluate((box) => box === box.ownerDocument.activeElement), true)
})
