import { parentPort } from 'node:worker_threads'
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'
import type { StrengthAnswer, StrengthQuestion, Weakness } from './password-strength.js'

/**
 * A password that falls to fewer guesses is refused. Our hash takes 10 ms of a core, so 100 million guesses are 12 days of one
 * core, or an hour of a rented cluster. Eight random letters withstand as many.
 */
const MIN_GUESSES = 1e8

const zxcvbn = new ZxcvbnFactory({
  // People use the name of the service that asks.
  dictionary: { passwords: dictionary['passwords-common'], service: ['latchkey'] },
  graphs: adjacencyGraphs,
})

parentPort?.on('message', ({ id, password, names }: StrengthQuestion) => {
  parentPort?.postMessage({ id, weakness: findWeakness(password, names) } satisfies StrengthAnswer)
})

function findWeakness(password: string, names: readonly string[]): Weakness | undefined {
  const { guesses, sequence } = zxcvbn.check(password, [...names])
  if (guesses >= MIN_GUESSES) return undefined
  // The part that covers the most characters is the reason.
  const [longest] = [...sequence].sort((a, b) => b.token.length - a.token.length)
  switch (longest?.pattern) {
    case 'repeat':
      return 'repetition'
    case 'sequence':
      return 'sequence'
    case 'spatial':
      return 'keyboard'
    case 'date':
      return 'date'
    default:
      return longest?.dictionaryName === 'userInputs' ? 'is_username' : 'common'
  }
}
