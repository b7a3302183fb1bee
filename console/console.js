import { activity } from './activity.js'
import { forget, isSignedIn, Refused, signOut, username, whenEnded } from './api.js'
import { h, say } from './dom.js'
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

/** Shows the view that the address names. A slower view that was asked for before never replaces it. */
async function show({ keepsFocus = false } = {}) {
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
  document.title = `${view[0].toUpperCase()}${view.slice(1)} · Latchkey console`
  shown += 1
  const mine = shown
  const fail = (error) => {
    if (mine === shown && isSignedIn()) report(error)
  }
  main.setAttribute('aria-busy', 'true')
  try {
    await VIEWS[view](
      {
        show: (...content) => {
          if (mine !== shown) return
          main.replaceChildren(...content.filter(Boolean))
          if (!keepsFocus) main.focus({ preventScroll: true })
        },
        fail,
        reload: () => show({ keepsFocus: false }),
      },
      rest,
    )
  } catch (error) {
    fail(error)
  } finally {
    if (mine === shown) main.removeAttribute('aria-busy')
  }
}

function report(error) {
  main.querySelector(':scope > .alert')?.remove()
  main.prepend(
    h(
      'p',
      { class: 'alert', role: 'alert' },
      error instanceof Refused ? error.message : `The page failed: ${error.message}`,
    ),
  )
}

function welcome(message) {
  shown += 1
  nav.hidden = true
  me.hidden = true
  document.title = 'Sign in · Latchkey console'
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
