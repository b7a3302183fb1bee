import type { Page } from './page.js'

/** Answers that leave in one turn of the event loop. Other requests are served between two turns. */
const ANSWERS_PER_TURN = 8

/** Sends answers in their order, a few in each turn of the event loop. */
export function createAnswerQueue(): (send: () => void) => void {
  const answers: (() => void)[] = []

  function sendSome(): void {
    for (const send of answers.splice(0, ANSWERS_PER_TURN)) send()
    if (answers.length > 0) setImmediate(sendSome)
  }

  return (send) => {
    if (answers.push(send) === 1) setImmediate(sendSome)
  }
}

/**
 * The JSON text of an answer.
 *
 * @param readAfter milliseconds from the arrival of the request to the read of the store
 */
export function renderAnswer(
  { name, epoch }: { name: string; epoch: number },
  { lastKey, hasMore, revocations }: Page,
  restart: string,
  readAfter: number,
): string {
  // Rounded down: a later time would promise too much.
  const readAfterMs = Math.floor(readAfter * 1000) / 1000
  return (
    `{"feed":"${name}${restart}","epoch":${epoch},"cursor":"${lastKey}${restart}","more":${hasMore},` +
    `"read_after_ms":${readAfterMs},"revocations":[${revocations}]}`
  )
}
