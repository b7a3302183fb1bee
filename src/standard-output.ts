import { writeSync } from 'node:fs'

/** Bytes kept for a reader that has stopped reading: about 16,000 lines of the audit log. */
const MAX_PENDING = 4 * 1024 * 1024
/** The longest wait before the next attempt to write, in milliseconds. */
const MAX_RETRY_AFTER = 100
/** At its exit, the process waits so long for a reader that reads nothing. Milliseconds. */
const EXIT_WAIT = 1000
/** At its exit, the process waits at most so long for a reader that reads slowly. Milliseconds. */
const MAX_EXIT_WAIT = 5000

let isOpen = false
/** The text written in this turn of the event loop. So 50 concurrent refreshes need one system call instead of 50. */
let lines = ''
/** The bytes that the reader has not read yet. */
const pending: Buffer[] = []
let pendingBytes = 0
let retryAfter = 0
let retry: NodeJS.Timeout | undefined
let dropped = 0
let unreported = 0
let report = (_lines: number) => {}

/**
 * Standard output that never waits for its reader. Up to 4 MiB of unread text is kept, and written when the reader reads
 * again. Later lines are dropped and counted. A full disk is handled in the same way, and so is a closed reader, because a
 * named pipe may get another one.
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

  /** How many lines were dropped since the start. */
  droppedLines: () => dropped,

  /** Calls `listener` with the number of dropped lines when the reader has read everything that was kept. */
  onRecovered(listener: (lines: number) => void): void {
    report = listener
  },
}

function open(): void {
  if (isOpen) return
  isOpen = true
  // Node makes a pipe non-blocking when it opens its own stream. Then a write to a full pipe fails at once (EAGAIN).
  void process.stdout
  void process.stderr
  // `exit` is also emitted after an uncaught exception: the line with its reason must not be lost.
  process.on('exit', flushAtExit)
}

function flush(): void {
  takeLines()
  // If a retry is scheduled, it writes the lines.
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

/** Writes until nothing is pending, or until a write fails. Returns the code of the failure. */
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
    // Waiting does not help against any other fault.
    if (fault !== 'EAGAIN' || now - movedAt >= EXIT_WAIT || now - began >= MAX_EXIT_WAIT) return
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}
