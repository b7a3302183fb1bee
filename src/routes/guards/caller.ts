import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Client } from '../../clients/clients.js'
import type { Ticket } from '../../tickets/tickets.js'
import type { User } from '../../users/users.js'

/** A person on one device: the account and the session of the access token that the request bears. */
export interface Person {
  sub: string
  sid: string
}

/** The account whose factors a request may change, and how its person proved that. */
export type FactorChanger =
  /** A session with a recent sign-in. */
  | { user: User; sid: string; ticket?: undefined }
  /** A sign-in that must enrol its first factor. */
  | { user: User; ticket: Ticket<'enrolment'>; sid?: undefined }

declare module 'fastify' {
  interface FastifyRequest {
    /** The client that a guard authenticated. Read it with {@link callingClient}. */
    client: Client | null
    /** The person whom a guard authenticated. Read them with {@link callingPerson}. */
    person: Person | null
    /** Who changes the factors of an account. Read it with {@link callingChanger}. */
    changer: FactorChanger | null
  }
}

/**
 * Call this before the routes. Fastify then creates every request with these properties. A `WeakMap` keyed by request would
 * cost 3 µs a request.
 */
export function decorateCallers(app: FastifyInstance): void {
  app.decorateRequest('client', null)
  app.decorateRequest('person', null)
  app.decorateRequest('changer', null)
}

/** The client that calls. Throws when the route has no guard that requires a client. */
export function callingClient({ client, routeOptions }: FastifyRequest): Client {
  if (!client) throw new Error(`${routeOptions.url} has no guard that requires a client`)
  return client
}

/** The client or the account that administrates. The id of one is never that of the other. */
export function callingAdministrator({ client, person, routeOptions }: FastifyRequest): { id: string } {
  if (client) return client
  if (!person) throw new Error(`${routeOptions.url} has no guard that requires an administrator`)
  return { id: person.sub }
}

/** The person who calls. Throws when the route has no guard that requires a person. */
export function callingPerson({ person, routeOptions }: FastifyRequest): Person {
  if (!person) throw new Error(`${routeOptions.url} has no guard that requires a person`)
  return person
}

/** Who changes factors. Throws when the route has no guard that requires this. */
export function callingChanger({ changer, routeOptions }: FastifyRequest): FactorChanger {
  if (!changer) throw new Error(`${routeOptions.url} has no guard that requires a recent sign-in`)
  return changer
}
