import { epochKey, parseWholeNumber, usedOnceKey } from '@latchkey/verifier/redis-keys'
import { type SingleUse, USE_RETENTION } from '../session.js'
import type { Replicated } from './replicated.js'
import { type defineScripts, STORE_TTL, scripts } from './scripts.js'

/**
 * Records a use, and returns whether it is the first one.
 *
 * @throws Error if Redis has lost its data since the use became possible
 */
export async function useOnce(
  redis: ReturnType<typeof defineScripts>,
  replicated: Replicated | undefined,
  { id, notBefore, deadline }: SingleUse,
): Promise<boolean> {
  const key = usedOnceKey(id)
  const isFirst = replicated
    ? await replicated.run(scripts.lkUseOnce.lua, [key], deadline, USE_RETENTION)
    : await redis.lkUseOnce(key, deadline, USE_RETENTION)
  if (isFirst !== 1) return false
  // Read the epoch after the write: a Redis that was emptied before the write has another epoch now, or none.
  let epoch = parseWholeNumber(await redis.get(epochKey))
  if (epoch === undefined) {
    await redis.lkEpoch(epochKey, STORE_TTL)
    epoch = parseWholeNumber(await redis.get(epochKey))
  }
  if (epoch !== undefined && notBefore >= epoch * 1000) return true
  throw new Error('it lost its data, and with them the record of an earlier use')
}
