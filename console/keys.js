import { admin } from './api.js'
import { ago, h, heading, tag } from './dom.js'

/** Which keys sign and verify access tokens, and how to rotate them. */
export async function keys(view) {
  const { source, mode, keys } = await admin('keys')
  const steps = source === 'JWT_KEYS_FILE' ? FILE_STEPS : mode === 'audience' ? AUDIENCE_STEPS : SECRET_STEPS
  view.show(
    heading('Keys'),
    h(
      'ul',
      { class: 'plain stack' },
      keys.map((key) =>
        h(
          'li',
          { class: 'card' },
          h(
            'div',
            { class: 'card-head' },
            h('h2', {}, key.alg, key.audience ? ` for ${key.audience}` : ''),
            h(
              'span',
              { class: 'tags' },
              key.signs ? tag('signs and verifies', 'good') : tag('only verifies'),
              key.is_shared && tag('shared', 'warn'),
            ),
          ),
          h('p', { class: 'mono soft' }, key.kid),
          h('p', { class: 'soft' }, 'In this list since ', ago(key.known_since), '.'),
        ),
      ),
    ),
    keys.some(({ is_shared: shared }) => shared) &&
      mode === 'shared' &&
      h(
        'p',
        { class: 'note' },
        'A service that verifies with a shared key can also sign. Sign with a private key (',
        h('code', {}, 'JWT_KEYS_FILE'),
        '), or set ',
        h('code', {}, 'JWT_SECRET_MODE=audience'),
        '.',
      ),
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'rotation' },
      h('h2', { id: 'rotation' }, 'Rotate, step by step'),
      h(
        'ol',
        { class: 'steps' },
        steps.map(([text, command]) => h('li', {}, h('p', {}, text), command && h('pre', { tabindex: 0 }, command))),
      ),
    ),
  )
}

const FILE_STEPS = [
  [
    'Make a key. It becomes the second of the file, so it verifies and does not sign yet.',
    'latchkey keys generate --alg ES256 --into keys.json',
  ],
  ['Wait until each instance has the key, and then 5 minutes. Every service then has the new key from the JWK Set.'],
  [
    'Make the new key the first. It signs within a second, without a restart. This page then shows it.',
    'latchkey keys promote KID --file keys.json',
  ],
  [
    'Wait until the last token of the old key has expired (ACCESS_TTL, default 15 minutes). Then remove the old key.',
    'latchkey keys remove KID --file keys.json',
  ],
]
const MAKE_SECRET = ['Make a secret.', 'openssl rand -base64 48']
const SWAP_SECRETS = ['Swap the two, and restart this service. The new secret signs.', 'JWT_SECRET=new,old']
const SECRET_STEPS = [
  MAKE_SECRET,
  [
    'Add it as the second of JWT_SECRET, here and in every service that verifies with the secret. Restart them.',
    'JWT_SECRET=old,new',
  ],
  SWAP_SECRETS,
  [
    'Wait until the last token of the old secret has expired (ACCESS_TTL, default 15 minutes). Then remove the old one everywhere.',
    'JWT_SECRET=new',
  ],
]
/** Each service has the secret of its own audience, and none has JWT_SECRET. */
const AUDIENCE_STEPS = [
  MAKE_SECRET,
  ['Add it as the second of JWT_SECRET, here only. Restart this service.', 'JWT_SECRET=old,new'],
  [
    'Give each service the two secrets that this prints, with a comma between them. Restart the services.',
    'latchkey keys secret --audience AUDIENCE',
  ],
  SWAP_SECRETS,
  [
    'Wait until the last token of the old secret has expired (ACCESS_TTL, default 15 minutes). Then remove the old one here and in each service.',
    'JWT_SECRET=new',
  ],
]
