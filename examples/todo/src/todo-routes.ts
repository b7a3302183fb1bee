import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusal } from './errors.js'
import { MAX_TODOS, type Todos } from './todos.js'

const Text = Type.String({ minLength: 1, maxLength: 500, pattern: '\\S' })
const Todo = Type.Object({ id: Type.String(), text: Type.String(), done: Type.Boolean(), created_at: Type.Integer() })
const List = Type.Object({ todos: Type.Array(Todo) })
const Id = Type.Object({ id: Type.String({ maxLength: 64 }) })

/** `GET` and `POST /todos`, `PATCH` and `DELETE /todos/:id`: the list of the user, behind the verifier's guard. */
export const todoRoutes: FastifyPluginAsyncTypebox<{ todos: Todos }> = async (app, { todos }) => {
  app.get('/todos', { schema: { response: { 200: List, 304: Type.Null() } } }, async (request, reply) => {
    const list = todos.list(request.claims.sub)
    // The page polls twice a second. Nearly every answer is an empty 304.
    const etag = `"${createHash('sha256').update(JSON.stringify(list)).digest('base64url')}"`
    reply.header('etag', etag)
    if (request.headers['if-none-match'] === etag) return reply.code(304).send(null)
    return reply.send({ todos: list })
  })

  app.post(
    '/todos',
    { schema: { body: Type.Object({ text: Text }), response: { 201: Todo } } },
    async (request, reply) => {
      const todo = todos.add(request.claims.sub, request.body.text.trim())
      if (!todo) throw refusal(409, 'list_full', `a list holds ${MAX_TODOS} todos: delete some first`)
      return reply.code(201).send(todo)
    },
  )

  app.patch(
    '/todos/:id',
    {
      schema: {
        params: Id,
        body: Type.Object({ text: Type.Optional(Text), done: Type.Optional(Type.Boolean()) }),
        response: { 200: Todo },
      },
    },
    async (request) => {
      const { text, done } = request.body
      const todo = todos.change(request.claims.sub, request.params.id, {
        ...(text !== undefined && { text: text.trim() }),
        ...(done !== undefined && { done }),
      })
      if (!todo) throw refusal(404, 'not_found', 'there is no such todo on your list')
      return todo
    },
  )

  app.delete('/todos/:id', { schema: { params: Id } }, async (request, reply) => {
    todos.remove(request.claims.sub, request.params.id)
    return reply.code(204).send()
  })
}
