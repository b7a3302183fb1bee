import { writeSync } from 'node:fs'

/** What may wait for a reader that has stopped reading, in bytes: some 16,000 lines of the audit log. */
const MAX_PENDING = 4 * 1024 * 1024
/** The longest wait before the next attempt to write, in milliseconds. */
const MAX_RETRY_AFTER = 100
/** How long the end of the process waits for a reader that takes nothing, and for one that takes something. Milliseconds. */
const LAST_WAIT = 1000
const LONGEST_LAST_WAIT = 5000

let isOpen = false
/** What was written in this turn of the event loop: of 50 refreshes at once, 50 system calls become one. */
let lines = ''
/** What the reader has not taken yet. */
const pending: Buffer[] = []
let pendingBytes = 0
let retryAfter = 0
let retry: NodeJS.Timeout | undefined
let dropped = 0
let unreported = 0
let report = (_lines: number) => {}

/**
 * Standard output that never waits for its reader. What the reader does not take is kept, up to 4 MiB, and written when it
 * takes something again; lines past that are dropped and counted. It is the same for a disk that is full, and for a reader
 * that has gone: a named pipe may get another one.
 */
export const standardOutput = {
  write(text: string): void {
    open()
    if (pendingBytes + text.length > MAX_PENDING) {
      dropped += 1
      unreported += 1
      return
    }
    if (lines === '') setImmediate(flush)
    lines += text
    pendingBytes += text.length
  },

  /** Lines that were dropped since the start. */
  droppedLines: () => dropped,

  /** `tell` is called with the number of lines that were dropped, when the reader has taken all that was kept. */
  onRecovered(tell: (lines: number) => void): void {
    report = tell
  },
}

function open(): void {
  if (isOpen) return
  isOpen = true
  // Node's own streams make a pipe non-blocking when they are opened. Then a write to a full pipe fails at once (EAGAIN).
  void process.stdout
  void process.stderr
  // Also where an exception ends the process: the line that says why must not be lost.
  process.on('exit', flushAtExit)
}

function flush(): void {
  takeLines()
  // While the reader has stopped reading, the retry writes them.
  if (retry === undefined) writePending()
}

function takeLines(): void {
  if (lines === '') return
  const bytes = Buffer.from(lines)
  pendingBytes += bytes.length - lines.length
  pending.push(bytes)
  lines = ''
}

function writePending(): void {
  retry = undefined
  const fault = writeUntilFault()
  if (fault) {
    retryAfter = Math.min(retryAfter * 2 || 1, MAX_RETRY_AFTER)
    retry = setTimeout(writePending, retryAfter).unref()
  } else {
    reportDropped()
  }
}

/** Writes until nothing is pending, or until the write fails: then the code of the fault. */
function writeUntilFault(): string | undefined {
  for (let bytes = pending[0]; bytes; bytes = pending[0]) {
    let written: number
    try {
      written = writeSync(1, bytes)
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
    retryAfter = 0
    pendingBytes -= written
    if (written < bytes.length) pending[0] = bytes.subarray(written)
    else pending.shift()
  }
  return undefined
}

function reportDropped(): void {
  if (unreported === 0) return
  const count = unreported
  unreported = 0
  report(count)
}

function flushAtExit(): void {
  const began = Date.now()
  let movedAt = began
  for (;;) {
    takeLines()
    const before = pendingBytes
    const fault = writeUntilFault()
    if (fault === undefined) {
      if (unreported === 0) return
      reportDropped()
      continue
    }
    const now = Date.now()
    if (pendingBytes < before) movedAt = now
    // Any other fault does not pass by waiting.
    if (fault !== 'EAGAIN' || now - movedAt >= LAST_WAIT || now - began >= LONGEST_LAST_WAIT) return
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}
