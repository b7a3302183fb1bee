interface Pending<Question, Answer> {
  question: Question
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

/**
 * Sends all questions of one turn of the event loop to Redis as one command. This halves the cost of a command for each
 * question, for Redis and for this process. The answers arrive together, so their HTTP responses leave together.
 *
 * @param batchSize the most questions in one command: each command is a script, and blocks Redis
 * @param askAll returns the answers in the order of the questions
 */
export function batchPerTick<Question, Answer>(
  batchSize: number,
  askAll: (questions: Question[]) => Promise<Answer[]>,
): (question: Question) => Promise<Answer> {
  let pending: Pending<Question, Answer>[] = []

  function send(): void {
    const all = pending
    pending = []
    for (let start = 0; start < all.length; start += batchSize) void sendBatch(all.slice(start, start + batchSize))
  }

  async function sendBatch(batch: Pending<Question, Answer>[]): Promise<void> {
    try {
      const answers = await askAll(batch.map(({ question }) => question))
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Answer)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (pending.push({ question, resolve, reject }) === 1) setImmediate(send)
    })
}
