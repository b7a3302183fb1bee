import type { ChildProcess } from 'node:child_process'

/** Ends every process of the group that the child leads. The child was started with `detached: true`. */
export function killGroup({ pid }: ChildProcess): void {
  // Without a pid the program did not start. The group 0 would be that of this process.
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has ended already.
  }
}
