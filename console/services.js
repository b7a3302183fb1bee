import { admin } from './api.js'
import { ago, ask, button, confirmAct, empty, h, heading, say, tag } from './dom.js'

/** The clients: what each may do, and how it authenticates. */
export async function services(view) {
  const { clients } = await admin('clients')
  view.show(
    heading('Services'),
    clients.length === 0
      ? h(
          'section',
          { class: 'card' },
          empty('No service calls this one yet. Create the first with the command line:'),
          h('pre', { tabindex: 0 }, 'latchkey clients create NAME --scope introspect'),
        )
      : h(
          'ul',
          { class: 'plain grid' },
          clients.map((client) => h('li', { class: 'card' }, card(client, view))),
        ),
  )
}

function card(client, view) {
  const { id, scopes, audiences, exchange_audiences: exchange, created_at: created } = client
  const until = client.previous_secret_until
  const proof = [
    client.has_secret && 'a secret',
    client.jwks && 'its own keys',
    client.jwks_uri && 'keys at an address',
    client.issuer && `tokens of ${client.issuer}`,
  ].filter(Boolean)
  const run = (task) => () => task().catch(view.fail)
  return [
    h('div', { class: 'card-head' }, h('h2', {}, id), h('span', { class: 'soft' }, 'created ', ago(created))),
    h(
      'dl',
      { class: 'pairs' },
      h('dt', {}, 'Scopes'),
      h(
        'dd',
        { class: 'tags' },
        scopes.length === 0 ? 'none' : scopes.map((scope) => tag(scope, scope === 'admin' ? 'warn' : undefined)),
      ),
      h('dt', {}, 'Audiences'),
      h('dd', {}, audiences.join(', ') || 'all'),
      exchange.length > 0 && [h('dt', {}, 'Exchanges for'), h('dd', {}, exchange.join(', '))],
      h('dt', {}, 'Authenticates with'),
      h('dd', {}, proof.join(', ') || 'nothing'),
      until &&
        until * 1000 > Date.now() && [
          h('dt', {}, 'Old secret'),
          h(
            'dd',
            {},
            `valid until ${new Date(until * 1000).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' })}`,
          ),
        ],
    ),
    h(
      'div',
      { class: 'actions' },
      client.has_secret &&
        button(
          'Rotate secret',
          run(() => rotate(id, view)),
          { label: `Rotate secret of ${id}` },
        ),
      button(
        'Delete',
        run(async () => {
          const isDone = await confirmAct(
            `Delete ${id}?`,
            `${id} can no longer authenticate, and the tokens that it got for itself end. You cannot undo this.`,
            'Delete',
            () => admin(`clients/${id}`, { method: 'DELETE' }),
          )
          if (!isDone) return
          say(`${id} is deleted.`)
          await view.reload()
        }),
        { kind: 'danger-quiet', label: `Delete ${id}` },
      ),
    ),
  ]
}

async function rotate(id, view) {
  let secret
  const values = await ask({
    title: `Rotate the secret of ${id}?`,
    text: 'A new secret appears once. The present one stays valid for the overlap, so that you can deploy the new one.',
    fields: [
      {
        label: 'Overlap',
        name: 'overlap',
        value: '1d',
        required: true,
        hint: 'Such as 12h or 1d. 0 ends the present secret now.',
      },
    ],
    action: 'Make a new secret',
    kind: 'danger',
    send: async (values) => {
      secret = (await admin(`clients/${id}/secret`, { method: 'POST', json: values })).secret
    },
  })
  if (!values) return
  await ask({
    title: `The new secret of ${id}`,
    text: 'Copy it now. Nobody can show it again.',
    fields: [{ label: 'Secret', name: 'secret', class: 'mono', value: secret, readonly: true }],
    // Browsers have a clipboard only on https and localhost.
    other: navigator.clipboard && {
      text: 'Copy',
      done: 'Copied',
      act: () => navigator.clipboard.writeText(secret),
    },
    action: 'Done',
    isFinal: true,
  })
  say(`${id} has a new secret.`)
  await view.reload()
}
