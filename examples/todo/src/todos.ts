import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'libsql'

export interface Todo {
  id: string
  text: string
  done: boolean
  /** Unix seconds. */
  created_at: number
}

/** The lists of all users. Every method takes the user first, so no call can name the todo of another user. */
export interface Todos {
  /** Newest first. */
  list(sub: string): Todo[]
  /** Undefined if the list is full. */
  add(sub: string, text: string): Todo | undefined
  /** Undefined if the user has no such todo. */
  change(sub: string, id: string, change: { text?: string; done?: boolean }): Todo | undefined
  remove(sub: string, id: string): void
  close(): void
}

export const MAX_TODOS = 500

interface Row {
  id: string
  text: string
  done: 0 | 1
  created_at: number
}

/**
 * One SQLite file. A list in memory would be a few lines shorter. But accounts and sessions outlive a restart, so a list that
 * does not would look like a fault.
 */
export function openTodos(path: string): Todos {
  mkdirSync(dirname(path), { recursive: true })
  const db = new Database(path)
  db.pragma('busy_timeout = 1000')
  db.pragma('journal_mode = WAL')
  // A power cut may lose the todos of the last moments. Unlike sign-outs, they may be lost.
  db.pragma('synchronous = NORMAL')
  db.exec(`
    CREATE TABLE IF NOT EXISTS todos (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      sub TEXT NOT NULL,
      text TEXT NOT NULL,
      done INTEGER NOT NULL DEFAULT 0,
      created_at INTEGER NOT NULL DEFAULT (unixepoch())
    ) STRICT;
    CREATE INDEX IF NOT EXISTS todos_of_user ON todos (sub, position);
  `)
  const select = db.prepare('SELECT id, text, done, created_at FROM todos WHERE sub = ? ORDER BY position DESC')
  const insert = db.prepare(`
    INSERT INTO todos (id, sub, text) SELECT ?, ?, ? WHERE (SELECT count(*) FROM todos WHERE sub = ?) < ${MAX_TODOS}
    RETURNING id, text, done, created_at`)
  const update = db.prepare(`
    UPDATE todos SET text = coalesce(?, text), done = coalesce(?, done) WHERE sub = ? AND id = ?
    RETURNING id, text, done, created_at`)
  const remove = db.prepare('DELETE FROM todos WHERE sub = ? AND id = ?')

  return {
    list: (sub) => (select.all(sub) as Row[]).map(toTodo),
    add: (sub, text) => toTodoOrNone(insert.get(randomUUID(), sub, text, sub)),
    change: (sub, id, { text, done }) =>
      toTodoOrNone(update.get(text ?? null, done === undefined ? null : Number(done), sub, id)),
    remove: (sub, id) => void remove.run(sub, id),
    close: () => void db.close(),
  }
}

const toTodo = ({ id, text, done, created_at }: Row): Todo => ({ id, text, done: done === 1, created_at })
const toTodoOrNone = (row: unknown) => (row ? toTodo(row as Row) : undefined)
