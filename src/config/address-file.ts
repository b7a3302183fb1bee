import { readFile } from 'node:fs/promises'

/** The address of a store, whose credentials may change while the service runs. */
export interface StoreAddress<Address> {
  /** The last address that was read. */
  current(): Address
  /**
   * Reads the file again. Resolves when {@link current} is new, or when the file hangs: then the last address stays. Never
   * rejects.
   */
  read(): Promise<void>
  /** How many milliseconds `read` takes at most. */
  readTimeout: number
}

/** Milliseconds. A connection to a store waits no longer for its file. */
const READ_TIMEOUT = 100

/**
 * Follows the file of an address, because a vault or an operator may change the credentials. A file with a fault keeps the last
 * address. A new host or database needs a restart: otherwise one process would work on two stores.
 *
 * @param onFault is called with each new fault once
 */
export function followAddress<Address>(
  start: Address,
  file: string,
  parse: (text: string) => Address,
  onFault: (reason: string) => void,
): StoreAddress<Address> {
  let current = start
  let reported = ''
  let reading: Promise<void> | undefined

  async function readNow(path: string): Promise<void> {
    try {
      const found = parse((await readFile(path, 'utf8')).trim())
      if (withoutCredentials(found) !== withoutCredentials(start)) throw new Error('it names another store: restart')
      current = found
      reported = ''
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      report(code ?? message)
    }
  }

  function report(reason: string): void {
    if (reason !== reported) onFault(reason)
    reported = reason
  }

  return {
    current: () => current,
    readTimeout: READ_TIMEOUT,

    read() {
      // If a read hangs, the disk hangs. More reads would take the threads that hash passwords.
      reading ??= readNow(file).finally(() => {
        reading = undefined
      })
      const isRead = reading
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          report(`the file could not be read within ${READ_TIMEOUT} ms`)
          resolve()
        }, READ_TIMEOUT)
        isRead.finally(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    },
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
