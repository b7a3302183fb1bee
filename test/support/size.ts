/** Whether all repetitions run, as in `npm run test:all`. `npm test` runs one or a few of each. */
export const isAll = process.env.LATCHKEY_TEST_ALL !== undefined

/** Whether the file ran in `npm test` before, with its few repetitions, as in `npm run test:rest`. */
export const isRest = process.env.LATCHKEY_TEST_REST !== undefined
