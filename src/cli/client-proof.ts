import { checkKeyUrl, checkSubject, type SubjectBinding, serializeJwks } from '../clients/client-proof.js'
import { CommandError } from './command.js'
import { readJwks } from './read-jwks.js'

/** The options of `clients create` and `clients update` that say how a client authenticates. */
export const proofOptions = {
  jwks: {
    type: 'string',
    value: 'FILE',
    about: 'a file with the public keys that verify the assertions of the client',
  },
  'jwks-uri': { type: 'string', value: 'URL', about: 'the address of these keys' },
  issuer: {
    type: 'string',
    value: 'NAME',
    about: 'a trusted issuer, whose token for --subject authenticates the client',
  },
  subject: { type: 'string', value: 'SUBJECT', about: 'the sub of these tokens: system:serviceaccount:NS:NAME' },
} as const

type ProofValues = { readonly [Name in keyof typeof proofOptions]: string | undefined }

/** @throws {CommandError} if the options contradict each other, or a value is invalid */
export function parseProofOptions(
  { jwks, issuer, subject, 'jwks-uri': jwksUri }: ProofValues,
  production: boolean,
): { jwks?: string; jwksUri?: string; binding?: SubjectBinding } {
  if (jwks !== undefined && jwksUri !== undefined) throw new CommandError('--jwks and --jwks-uri exclude each other')
  if ((issuer === undefined) !== (subject === undefined)) throw new CommandError('--issuer and --subject come together')
  try {
    return {
      ...(jwks !== undefined && { jwks: serializeJwks(readJwks(jwks)) }),
      ...(jwksUri !== undefined && { jwksUri: checkKeyUrl(jwksUri, '--jwks-uri', !production) }),
      ...(issuer !== undefined && subject !== undefined && { binding: { issuer, subject: checkSubject(subject) } }),
    }
  } catch (error) {
    throw new CommandError((error as Error).message)
  }
}

/** The sentence for a binding that the client cannot have. */
export function describeBindingFault(
  fault: 'unknown_issuer' | 'subject_taken',
  { issuer, subject }: SubjectBinding,
): string {
  return fault === 'subject_taken'
    ? `another client is bound to ${subject} of ${issuer}: remove that binding first`
    : `there is no issuer ${issuer}: see latchkey issuers add --help`
}

/** How a client authenticates, for the list. */
export function describeProof(client: {
  hasSecret: boolean
  jwks: string | undefined
  jwksUri: string | undefined
  binding: SubjectBinding | undefined
}): string {
  const ways = [
    client.hasSecret && 'secret',
    (client.jwks ?? client.jwksUri) !== undefined && 'keys',
    client.binding && `${client.binding.issuer} ${client.binding.subject}`,
  ]
  return ways.filter(Boolean).join(', ')
}
