import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'

/** Creates the folder and its parents with mode 0700. An existing folder keeps its mode: other users may need it. */
export function createOwnerFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/**
 * Creates an empty file with mode 0600, unless the file exists. An existing file is not opened: closing it would drop the
 * locks of every SQLite connection that this process has to it (fcntl(2)). Then two writers would corrupt the database.
 */
export function createOwnerFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Removes all permissions of group and others. An earlier version created files with mode 0644. */
export function restrictToOwner(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found?.isFile() || (found.mode & 0o077) === 0) return
  try {
    chmodSync(path, found.mode & 0o700)
  } catch (error) {
    // The file belongs to another user: that user decides its mode.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
}
