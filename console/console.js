import { activity } from './activity.js'
import { forget, isSignedIn, Refused, signOut, username, whenEnded } from './api.js'
import { button, h, say } from './dom.js'
import { keys } from './keys.js'
import { now } from './now.js'
import { people } from './people.js'
import { services } from './services.js'
import { showSignIn } from './sign-in.js'

const VIEWS = { people, services, keys, now, activity }
const main = document.getElementById('main')
const nav = document.getElementById('nav')
const me = document.getElementById('me')
let shown = 0

/**
 * Shows the view that the address names. A slower view that was asked for before never replaces it.
 *
 * @param focus a selector of what gets the focus. Default: the view as a whole, so that a screen reader reads it
 */
async function show({ keepsFocus = false, focus } = {}) {
  nav.hidden = !isSignedIn()
  me.hidden = !isSignedIn()
  if (!isSignedIn()) return welcome()
  document.getElementById('my-name').textContent = username()
  const [name = '', ...rest] = location.hash.slice(1).split('/')
  const view = Object.hasOwn(VIEWS, name) ? name : 'people'
  for (const link of nav.children) {
    if (link.hash === `#${view}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  setTitle(`${view[0].toUpperCase()}${view.slice(1)}`)
  shown += 1
  const mine = shown
  const isCurrent = () => mine === shown && isSignedIn()
  let isThere = false
  const fail = (error) => {
    if (isCurrent()) report(error, isThere)
  }
  main.setAttribute('aria-busy', 'true')
  try {
    await VIEWS[view](
      {
        show: (...content) => {
          if (!isCurrent()) return
          isThere = true
          main.replaceChildren(...content.filter(Boolean))
          const target = focus && main.querySelector(focus)
          if (target) target.focus()
          else if (!keepsFocus) main.focus({ preventScroll: true })
        },
        title: (text) => isCurrent() && setTitle(text),
        fail,
        /** What failed before works again. */
        recover: () => isCurrent() && main.querySelector(':scope > .alert')?.remove(),
        reload: (focus) => show({ focus }),
      },
      rest,
    )
  } catch (error) {
    fail(error)
  } finally {
    if (mine === shown) main.removeAttribute('aria-busy')
  }
}

function setTitle(text) {
  document.title = `${text} · Latchkey console`
}

/** Shows what went wrong: above the view, or in its place if it could not be read. A repeated error is not read out again. */
function report(error, isThere) {
  say('')
  const text = error instanceof Refused ? error.message : `The page failed: ${error.message}`
  const before = main.querySelector(':scope > .alert')
  if (isThere && before?.firstChild.textContent === text) return
  const again = button('Try again', () => show(), { kind: 'quiet' })
  const alert = h('div', { class: 'alert', role: 'alert' }, h('span', {}, text), !isThere && again)
  before?.remove()
  if (isThere) main.prepend(alert)
  else main.replaceChildren(alert)
}

function welcome(message) {
  shown += 1
  nav.hidden = true
  me.hidden = true
  main.removeAttribute('aria-busy')
  setTitle('Sign in')
  for (const dialog of document.querySelectorAll('dialog')) dialog.close()
  showSignIn(main, message, () => {
    if (!location.hash) location.replace('#people')
    show()
  })
}

whenEnded(welcome)
document.getElementById('sign-out').addEventListener('click', async () => {
  try {
    await signOut()
    welcome()
    say('You are signed out.')
  } catch (error) {
    forget()
    welcome(error.message)
  }
})
addEventListener('hashchange', () => show())
show({ keepsFocus: true })
