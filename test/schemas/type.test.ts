import { test } from 'tap'
import { Type as TypeBox } from 'typebox'
import { Type } from '../../schemas/type.js'

/** One of each, however its arguments may be. */
const samples = {
  Array: (type) => [type.Array(type.String()), type.Array(type.String(), { minItems: 1 })],
  Boolean: (type) => [type.Boolean(), type.Boolean({ description: 'yes or no' })],
  Integer: (type) => [type.Integer(), type.Integer({ minimum: 1 })],
  Literal: (type) => [type.Literal('Bearer'), type.Literal('Bearer', { description: 'always' })],
  Null: (type) => [type.Null(), type.Null({ description: 'none' })],
  Object: (type) => [
    type.Object({}),
    type.Object(
      { a: type.String(), b: type.Optional(type.String()) },
      { additionalProperties: true, examples: [{ a: '' }] },
    ),
    type.Object({ b: type.Optional(type.String()) }),
    // The members of one, in another.
    type.Object({ ...type.Object({ a: type.String(), b: type.Optional(type.String()) }).properties, c: type.String() }),
  ],
  Optional: (type) => [type.Optional(type.String({ maxLength: 1 }))],
  Record: (type) => [
    type.Record(type.String(), type.String()),
    type.Record(type.String(), type.String(), { description: 'by name' }),
  ],
  String: (type) => [type.String(), type.String({ pattern: '\\S', examples: ['a'] })],
  Union: (type) => [
    type.Union([type.String(), type.Null()]),
    type.Union([type.String(), type.Null()], { description: 'or' }),
  ],
  Unsafe: (type) => [type.Unsafe<undefined>({ type: 'null' })],
} satisfies Record<keyof typeof Type, (type: typeof Type) => unknown[]>

for (const [name, sample] of Object.entries(samples)) {
  test(`Type.${name} makes what TypeBox makes`, async (t) => {
    const [ours, theirs] = [sample(Type), sample(TypeBox)].map((schemas) => schemas.map((each) => JSON.stringify(each)))
    t.strictSame(ours, theirs)
  })
}
