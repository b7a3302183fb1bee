import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

/** An error in the form of the token service, so that the page reads only one form. */
export function refusal(statusCode: number, error: string, description: string): Error {
  return Object.assign(new Error(description), { statusCode, refusal: error })
}

export function handleError(
  error: FastifyError & { refusal?: string },
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const status = error.statusCode ?? 500
  if (error.refusal) return answer(reply, status, error.refusal, error.message)
  if (error.validation) return answer(reply, 400, 'invalid_request', error.message)
  if (status >= 400 && status < 500) return answer(reply, status, 'invalid_request', 'the request cannot be read')
  request.log.error({ err: error }, 'request failed')
  return answer(reply, 500, 'server_error', `internal error: search the log for request id ${request.id}`)
}

export function answer(reply: FastifyReply, status: number, error: string, description: string): FastifyReply {
  return reply.code(status).send({ error, error_description: description })
}
