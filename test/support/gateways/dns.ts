import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface NameServer {
  port: number
  /** From now on every name has this IPv4 address. */
  point(address: string): void
}

const HEADER_LENGTH = 12
const TYPE_A = 1

/** A DNS server (RFC 1035 §4) on loopback. It answers every question about an IPv4 address, with a lifetime of one second. */
export async function startNameServer(t: Test, first: string): Promise<NameServer> {
  let address = first
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address: asker }) => {
    // The question: labels up to an empty one, then type and class.
    const end = query.indexOf(0, HEADER_LENGTH) + 5
    const question = query.subarray(HEADER_LENGTH, end)
    const isAboutA = question.readUInt16BE(question.length - 4) === TYPE_A
    const header = Buffer.alloc(HEADER_LENGTH)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(0x8180, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(isAboutA ? 1 : 0, 6)
    // A pointer to the name in the question, type A, class IN, one second, four bytes.
    const answer = Buffer.from([
      0xc0,
      HEADER_LENGTH,
      0,
      TYPE_A,
      0,
      1,
      0,
      0,
      0,
      1,
      0,
      4,
      ...address.split('.').map(Number),
    ])
    socket.send(Buffer.concat([header, question, ...(isAboutA ? [answer] : [])]), port, asker)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return {
    port: (socket.address() as AddressInfo).port,
    point(next) {
      address = next
    },
  }
}
