import { Worker } from 'node:worker_threads'
import { Unavailable } from '../unavailable.js'

/** Why a password is easy to guess. */
export type Weakness = 'common' | 'repetition' | 'sequence' | 'keyboard' | 'date' | 'is_username'

/** The message to the worker thread. */
export interface StrengthQuestion {
  id: number
  password: string
  /** Names that belong to the account. */
  names: readonly string[]
}

/** The message from the worker thread. */
export interface StrengthAnswer {
  id: number
  weakness: Weakness | undefined
}

/**
 * The characters that are looked at. The work grows with the square of this number: 64 digits take up to 70 ms. A password
 * that is easy to guess up to here is refused, whatever follows.
 */
const LENGTH = 64
/** Passwords that may wait for the worker thread. */
const QUEUE = 64

interface Estimator {
  worker: Worker
  waiting: Map<number, { resolve: (weakness: Weakness | undefined) => void; reject: (error: Error) => void }>
}

let estimator: Estimator | undefined
let lastId = 0

/**
 * Estimates how many guesses a password withstands, and returns why it withstands too few. The estimate runs in a worker
 * thread: hostile passwords would otherwise delay every other request. Only a process that takes new passwords starts the
 * thread. It takes 80 ms and 31 MB.
 *
 * @throws Unavailable when too many passwords wait
 */
export function findWeakness(password: string, names: readonly string[]): Promise<Weakness | undefined> {
  estimator ??= startEstimator()
  const { worker, waiting } = estimator
  if (waiting.size >= QUEUE) throw new Unavailable('hashing', 'too many new passwords wait to be checked')
  return new Promise((resolve, reject) => {
    lastId += 1
    waiting.set(lastId, { resolve, reject })
    // A command must not exit before the answer, and an idle thread must not keep the process alive.
    worker.ref()
    worker.postMessage({
      id: lastId,
      password: [...password].slice(0, LENGTH).join(''),
      names,
    } satisfies StrengthQuestion)
  })
}

function startEstimator(): Estimator {
  const worker = new Worker(new URL('./password-strength-worker.js', import.meta.url))
  const started: Estimator = { worker, waiting: new Map() }
  worker.on('message', ({ id, weakness }: StrengthAnswer) => {
    started.waiting.get(id)?.resolve(weakness)
    started.waiting.delete(id)
    if (started.waiting.size === 0) worker.unref()
  })
  worker.on('error', (error) => {
    // The next password starts another thread.
    if (estimator === started) estimator = undefined
    for (const { reject } of started.waiting.values()) reject(error)
  })
  return started
}
