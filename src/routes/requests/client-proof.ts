import { checkKeyUrl, type ProofChange, type SubjectBinding, serializeJwks } from '../../clients/client-proof.js'
import { refusal } from '../../http/errors.js'

/** How a client authenticates, as a body says it. */
interface ProofFields {
  jwks?: unknown
  jwks_uri?: string | null
  issuer?: string | null
  subject?: string | null
  secret?: boolean
}

/** Parses the fields of a body. Null removes, and an omitted field changes nothing. */
export function parseProof(body: ProofFields, production: boolean): ProofChange {
  const { jwks, jwks_uri: jwksUri } = body
  if (jwks && jwksUri) throw refusal.invalidRequest('jwks and jwks_uri exclude each other: send one')
  const binding = parseBinding(body)
  return {
    ...(jwks !== undefined && { jwks: jwks === null ? null : requireValue(() => serializeJwks(jwks)) }),
    ...(jwksUri !== undefined && {
      jwksUri: jwksUri === null ? null : requireValue(() => checkKeyUrl(jwksUri, 'jwks_uri', !production)),
    }),
    ...(binding !== undefined && { binding }),
    ...(body.secret === false && { secret: null }),
  }
}

function parseBinding({ issuer, subject }: ProofFields): SubjectBinding | null | undefined {
  if (typeof issuer === 'string' && typeof subject === 'string') return { issuer, subject }
  if (issuer === undefined && subject === undefined) return undefined
  if (issuer === null && subject === null) return null
  throw refusal.invalidRequest('issuer and subject come together: send both, or null for both')
}

/** The value, or 400 with the words of the error. */
export function requireValue<Value>(parse: () => Value): Value {
  try {
    return parse()
  } catch (error) {
    throw refusal.invalidRequest((error as Error).message)
  }
}

/** @throws {WireError} for every outcome of a binding that is not a success */
export function refuseBinding(fault: 'unknown_issuer' | 'subject_taken'): never {
  if (fault === 'subject_taken') throw refusal.subjectTaken()
  throw refusal.invalidRequest('issuer is not the name of a trusted issuer: add it at POST /admin/issuers first')
}
