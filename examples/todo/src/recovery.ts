import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { TokenServiceClient } from './client.js'

export interface Mail {
  to: string
  subject: string
  text: string
}

interface Options {
  client: TokenServiceClient
  publicUrl: string
  sendMail: (mail: Mail) => void
}

/** Milliseconds between two mails to one person. */
const MAIL_EVERY = 60_000

/**
 * `POST /forgot`: a person who forgot the password gets a mail with a link. The answer is the same for every name and comes before
 * the token service is asked: neither the answer nor its time tells who has an account.
 */
export const recovery: FastifyPluginAsyncTypebox<Options> = async (app, { client, publicUrl, sendMail }) => {
  /** The accounts that got a mail just now: a stranger who knows a name must not fill its mailbox. */
  const recent = new Set<string>()

  app.post(
    '/forgot',
    { schema: { body: Type.Object({ username: Type.String({ minLength: 1, maxLength: 254 }) }) } },
    async (request, reply) => {
      const { username } = request.body
      send(username).catch((err) => request.log.error({ err }, 'no mail was sent'))
      return reply.code(202).send()
    },
  )

  async function send(given: string): Promise<void> {
    const answer = await client.requestRecovery(given)
    if (!answer || recent.has(answer.sub)) return
    const { token, sub, username } = answer
    recent.add(sub)
    setTimeout(() => recent.delete(sub), MAIL_EVERY).unref()
    sendMail({
      to: username,
      subject: 'Choose a new password',
      // In the fragment, so that the token reaches no log of a server or a proxy.
      text: `Open this link within 15 minutes:\n${publicUrl}/#reset=${token}\nDid you not ask for it? Then do nothing.`,
    })
  }
}
