import { refusal } from '../http/errors.js'

/** The two names of the same limit. */
export interface AudienceParameters {
  audience?: string | undefined
  /** RFC 8707 §2. */
  resource?: string | readonly string[] | undefined
}

/**
 * The audience that a request names, as `audience` or as `resource`; undefined when it names none. A token has one audience, so
 * two different ones are `invalid_target`: RFC 8693 §2.1 means both, and RFC 8707 §2 lets a server refuse several.
 */
export function requestedAudience({ audience, resource }: AudienceParameters): string | undefined {
  if (resource === undefined) return audience
  if (typeof resource !== 'string' || (audience ?? resource) !== resource) throw refusal.severalTargets()
  return resource
}
