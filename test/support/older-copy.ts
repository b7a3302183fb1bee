import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { execute } from './servers/postgres.js'
import { type Environment, temporaryFolder } from './service.js'

/** Copies the database while no service uses it. Returns the environment of a service on the copy. */
export const copyDatabase: Record<'sqlite' | 'postgres', (t: Test, env: Environment) => Promise<Environment>> = {
  async sqlite(t, env) {
    const path = (env.DATABASE_URL as string).slice('sqlite:'.length)
    const copy = join(temporaryFolder(t), 'copy.db')
    for (const end of ['', '-wal']) if (existsSync(`${path}${end}`)) copyFileSync(`${path}${end}`, `${copy}${end}`)
    return { ...env, DATABASE_URL: `sqlite:${copy}` }
  },
  async postgres(t, env) {
    const url = new URL(env.DATABASE_URL as string)
    const name = url.pathname.slice(1)
    const server = process.env.LATCHKEY_TEST_POSTGRES as string
    await execute(server, `CREATE DATABASE ${name}_copy TEMPLATE ${name}`)
    t.teardown(() => execute(server, `DROP DATABASE ${name}_copy WITH (FORCE)`))
    url.pathname = `/${name}_copy`
    return { ...env, DATABASE_URL: url.href }
  },
}
