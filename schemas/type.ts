import { createRequire } from 'node:module'

/**
 * TypeBox, by `require`, which takes ES modules too: to `import` its 300 files takes 40 ms and 6 MB more of each start. Whoever
 * wants a type alone takes it from the package.
 */
export const Type: typeof import('typebox').Type = createRequire(import.meta.url)('typebox').Type
