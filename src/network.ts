/**
 * The network that one caller may own completely: an IPv4 address, or the /64 of an IPv6 address. Some proxies append the
 * port (Azure Application Gateway, IIS). It is removed, because it differs with each connection.
 */
export function networkOf(addressAndPort: string): string {
  const address = addressAndPort.replace(/^\[(.+)\](?::\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')
  const plain = withoutMapping(address)
  if (plain !== address) return plain
  if (!address.includes(':')) return address
  const [head = '', tail] = address.toLowerCase().split('::')
  const front = head.split(':').filter(Boolean)
  const back = tail?.split(':').filter(Boolean) ?? []
  const gap: string[] = Array(Math.max(0, 8 - front.length - back.length)).fill('0')
  const groups = tail === undefined ? front : [...front, ...gap, ...back]
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** An IPv4 address that a socket of both families (`HOST=::`) reports as `::ffff:192.0.2.1`, as people and log tools know it. */
export function withoutMapping(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address
}
