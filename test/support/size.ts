/** Whether all repetitions run, as in `npm run test:all`. `npm test` runs one or a few of each. */
export const isAll = process.env.LATCHKEY_TEST_ALL !== undefined
