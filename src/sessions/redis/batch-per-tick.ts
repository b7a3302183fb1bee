interface Waiting<Question, Answer> {
  question: Question
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

/**
 * Questions that come in during one turn of the event loop go to Redis as one command, and their answers come back, and
 * leave for those who asked us, together: half of what a command each would cost, on both sides.
 *
 * @param most in one command: each is a script, and blocks Redis
 * @param askAll answers in the order of the questions
 */
export function batchPerTick<Question, Answer>(
  most: number,
  askAll: (questions: Question[]) => Promise<Answer[]>,
): (question: Question) => Promise<Answer> {
  let waiting: Waiting<Question, Answer>[] = []

  function send(): void {
    const all = waiting
    waiting = []
    for (let first = 0; first < all.length; first += most) void sendSome(all.slice(first, first + most))
  }

  async function sendSome(some: Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await askAll(some.map(({ question }) => question))
      for (const [index, { resolve }] of some.entries()) resolve(answers[index] as Answer)
    } catch (error) {
      for (const { reject } of some) reject(error)
    }
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ question, resolve, reject }) === 1) setImmediate(send)
    })
}
