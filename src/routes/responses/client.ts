import { parseJwks } from '../../clients/client-proof.js'
import type { ListedClient } from '../../clients/clients.js'
import { toUnixSeconds } from '../../unix-seconds.js'

/** A client in the form for administrators, without its secrets. */
export function clientBody(client: ListedClient) {
  const { previousSecretUntil } = client
  return {
    id: client.id,
    scopes: [...client.scopes],
    audiences: [...client.audiences],
    exchange_audiences: [...client.exchangeAudiences],
    created_at: toUnixSeconds(client.createdAt),
    previous_secret_until: previousSecretUntil === undefined ? null : toUnixSeconds(previousSecretUntil),
    has_secret: client.hasSecret,
    jwks: jwksBody(client.jwks),
    jwks_uri: client.jwksUri ?? null,
    issuer: client.binding?.issuer ?? null,
    subject: client.binding?.subject ?? null,
  }
}

/** The JWK Set of a client or a trusted issuer. */
export function jwksBody(jwks: string | undefined) {
  return jwks === undefined ? null : { keys: parseJwks(jwks) as Record<string, string>[] }
}
