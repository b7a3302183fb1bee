// Import Kysely from here. `npm run build` puts its 300 modules into this one: see `schemas/typebox.ts`.
export * from 'kysely'
