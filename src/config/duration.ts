const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** Parses `90s`, `15m`, `12h`, `7d` or `0` into milliseconds. */
export function duration(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (match) return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS] * 1000
  if (text === '0') return 0
  throw new Error('write a duration such as 30s, 15m, 12h or 7d')
}
