import { readFileSync } from 'node:fs'

/**
 * The address of a store, for each new connection. With a file, each call reads the file again, because a vault or an operator
 * may have changed the credentials. A file with a fault keeps the last address. A new host or database needs a restart:
 * otherwise one process would work on two stores.
 *
 * @param onFault is called with each new fault once
 */
export function createAddressReader<Address>(
  start: Address,
  file: string | undefined,
  parse: (text: string) => Address,
  onFault: (reason: string) => void,
): () => Address {
  if (file === undefined) return () => start
  let current = start
  let reported = ''
  return () => {
    try {
      const found = parse(readFileSync(file, 'utf8').trim())
      if (withoutCredentials(found) !== withoutCredentials(start)) throw new Error('it names another store: restart')
      current = found
      reported = ''
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const reason = code ?? message
      if (reason !== reported) onFault(reason)
      reported = reason
    }
    return current
  }
}

function withoutCredentials(address: unknown): string {
  return [address]
    .flat()
    .map((each) =>
      String(each)
        .replace(/^(\w+:\/\/)[^/?#]*@/, '$1')
        .replace(/([?&])(user|password)=[^&]*/g, '$1'),
    )
    .join()
}
