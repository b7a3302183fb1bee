import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'

/** Creates the folder, and those above it, with mode 0700. A folder that exists keeps its mode: others may use it too. */
export function createOwnerFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/**
 * Creates an empty file with mode 0600, unless the file exists. An existing file is not opened: to close it again would drop
 * the locks of every SQLite connection that this process has to it (fcntl(2)), and two writers would corrupt the database.
 */
export function createOwnerFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Takes every right of group and others away. A file that an earlier version made may have mode 0644. */
export function restrictToOwner(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found?.isFile() || (found.mode & 0o077) === 0) return
  try {
    chmodSync(path, found.mode & 0o700)
  } catch (error) {
    // The file belongs to another user, who decides who may read it.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
}
