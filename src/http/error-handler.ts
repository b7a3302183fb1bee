import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { Unavailable } from '../unavailable.js'
import { refusal, sendRefusal, WireError } from './errors.js'

/** Fastify's error handler: turns every error into the one form of an error response. */
export function createErrorHandler(logger: FastifyBaseLogger) {
  // The line has three members, and none is a secret. Under overload each refused request writes a line. Redaction made 46 KB
  // of garbage for each line: nearly half of all garbage.
  const unredacted = logger.child({}, { redact: [] })
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    if (error instanceof Unavailable) {
      const { dependency, message: reason } = error
      unredacted.warn({ reqId: request.id, dependency, reason }, 'unavailable')
    }
    return sendRefusal(reply, toWireError(error, request, logger))
  }
}

function toWireError(error: FastifyError, request: FastifyRequest, logger: FastifyBaseLogger): WireError {
  if (error instanceof WireError) return error
  if (error instanceof Unavailable) return refusal.unavailable()
  if (error.validation) return refusal.invalidRequest(describeValidation(error))
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new WireError(413, 'invalid_request', 'the body is larger than 16 KiB: send less')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refusal.unsupportedMediaType('send application/json or application/x-www-form-urlencoded')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return refusal.invalidRequest('the length of the body differs from Content-Length')
    default:
  }
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    // Fastify's own message names its internals.
    return new WireError(error.statusCode, 'invalid_request', 'the request cannot be read')
  }
  logger.error({ reqId: request.id, err: error }, 'request failed')
  return refusal.fault(request.id)
}

/** The first fault that the schema found, in words for the caller. */
function describeValidation(error: FastifyError): string {
  const faults = error.validation ?? []
  // For a field of several types, the schema reports a fault for each type. The fault `type` says the least.
  const fault = faults.find(({ keyword }) => keyword !== 'type' && keyword !== 'anyOf') ?? faults[0]
  const place = error.validationContext === 'querystring' ? 'query parameter ' : ''
  const field = fault?.instancePath.slice(1).replaceAll('/', '.')
  if (fault?.keyword === 'required') return `${place}${String(fault.params.missingProperty)} is missing`
  const schema = (fault as { parentSchema?: { properties?: object; 'x-rule'?: string } } | undefined)?.parentSchema
  if (fault?.keyword === 'additionalProperties') {
    const names = Object.keys(schema?.properties ?? {})
    const name = JSON.stringify(fault.params.additionalProperty)
    return `${place}${name} is unknown: ${names.length === 0 ? 'leave it out' : `send ${names.join(', ')}`}`
  }
  if (fault?.keyword !== 'type' && schema?.['x-rule']) return `${place}${field} ${schema['x-rule']}`
  if (!field) return 'the body must be an object, as JSON or as a form'
  if (fault?.keyword === 'const') {
    const values = faults.filter(({ keyword }) => keyword === 'const').map(({ params }) => params.allowedValue)
    return `${place}${field} must be ${values.join(' or ')}`
  }
  if (fault?.keyword === 'pattern') return `${place}${field} has characters that are not allowed`
  return `${place}${field} ${fault?.message}`
}
