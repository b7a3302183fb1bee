import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Session } from '../session.js'

/** The device and address of a sign-in. Lists of sessions show it, and no decision uses it. */
type Device = Pick<Session, 'deviceName' | 'ip' | 'userAgent'>

/**
 * The preset dictionary for zlib: common parts of user agents. It shortens the user agent of a
 * browser from 70–140 bytes to about 20.
 *
 * NEVER CHANGE IT: a stored value can only be unpacked with the dictionary that packed it. A future browser needs a few
 * more bytes.
 */
export const dictionary = Buffer.from(
  [
    'curl/8.14.1"]okhttp/4.12.0"]python-requests/2.32.3"]Dart/3.4 (dart:io)"] CFNetwork/1496.0.7 Darwin/23.5.0"]',
    ' Mobile/15E148 Safari/604.1"] Mobile Safari/537.36"] Safari/605.1.15"] Edg/126.0.0.0"] OPR/111.0.0.0"]',
    'Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0"]',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0"]',
    'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"]',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"]',
    'Mozilla/5.0 (iPad; CPU OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Mozilla/5.0 (X11; Linux x86_64) Mozilla/5.0 (Linux; Android 10; K)',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"]',
    '["phone","laptop","tablet","2001:db8::","192.168.0.1","10.0.0.1","127.0.0.1",null][null,"',
  ].join(''),
)
const OPTIONS = { dictionary, windowBits: 11 }

export function packDevice({ deviceName, ip, userAgent }: Device): Buffer {
  return deflateRawSync(JSON.stringify([deviceName, ip, userAgent]), OPTIONS)
}

export function unpackDevice(packed: Buffer): Device {
  const [deviceName, ip, userAgent] = JSON.parse(inflateRawSync(packed, OPTIONS).toString())
  return { deviceName, ip, userAgent }
}
