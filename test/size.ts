/** Whether every repetition runs, as in `npm run test:all`. `npm test` keeps one or a few of each. */
export const isAll = process.env.LATCHKEY_TEST_ALL !== undefined
