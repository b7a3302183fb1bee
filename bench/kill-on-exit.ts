import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()

/** Ends the child when this process ends, except by SIGKILL. */
export function killOnExit<Child extends ChildProcess>(child: Child): Child {
  if (children.size === 0) {
    process.once('exit', () => {
      for (const each of children) each.kill('SIGKILL')
    })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  }
  children.add(child)
  return child
}
