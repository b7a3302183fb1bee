import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'

/** Why one of these secrets can be guessed. Undefined when none can. */
export function findWeakness(secrets: readonly (string | Uint8Array)[]): string | undefined {
  return secrets.map(weaknessOf).find((weakness) => weakness !== undefined)
}

/**
 * Why a secret can be guessed, in words. Undefined for every secret that a random generator made.
 *
 * @param secret its text, or the bytes of a key
 */
export function weaknessOf(secret: string | Uint8Array): string | undefined {
  // Of a key, each byte is a character: as UTF-8, different keys would look alike.
  const text = typeof secret === 'string' ? secret : Buffer.from(secret).toString('latin1')
  if (UUID.test(text)) return 'it is a UUID, which has 122 random bits at most'
  if (PUBLISHED.has(createHash('sha256').update(secret).digest('base64url').slice(0, 11))) return 'it is published'
  return savedBits(decode(text)) >= MAX_SAVED_BITS ? 'it is made of words, or follows a pattern' : undefined
}

/**
 * Secrets that look random and are in RFCs, manuals, tutorials, and the lists that attackers try first: the first 66 bits of
 * the SHA-256 of each, in Base64url. Those that {@link savedBits} finds need not be here.
 */
const PUBLISHED: ReadonlySet<string> = new Set(
  `
  -SgwuZDK7Tj 0ORzTlcnyMx 2wSFLfzq0IO 48EsnNujOEd 53yP8Gb4931 5Egtdz4upsY 5RtUje8ivd0 5aZe2o_9jeZ 6EXVP_WJc1C
  6Nnyqh-N6QC 7fQPPUGfV2z 8FyspmlC9aI 93M0rT3w2BN 992Hy-m5wc8 9BwIj9FfoyZ 9_EaGVCI62T ACzaWEX7aNK AXB-T11IZXv
  AoYjNP7qcac CZ2kdaVKrLr E9Melhoa2Ow F0n4yGW9_NX FEaep35hq56 HrYJN0aPQu8 IQNhnMvf36V ImTi8iz6St3 JRLjzDl7KlP
  K5OF0iETYqt LXOnGwdmuCw Lh_fgp-RgOh LpTPJcrw27- M0lFFEp-rm4 M1vaKlzwXCq MTQOdACzM7R MkQ3ILWU7wz MpCqlsKbgme
  MvV5RMdTny7 N_b8EqUAwN1 OJKyua2IX2h QUmdk9Pc4jH Qe2GsnGFyJB R7LGfLYgl6t RMzAfWzRwGg RPQ6K726ldV R_DTpH724Le
  S_EfTOv3uVK U03L5SxlsP7 Ub3rirBl4dz UjD5kzrQF3F Vw2tQ94a9Mk WCzHnNUqVA8 WHdNQyMkzrm WMWksKi5Iyx WhSoOhtKJpc
  WpRb4RRN22E WxQNfIfmHNH X4LmZZJ0JXu X98pjpoMolT YuaP9ChaKVQ ZgzNldSWVCw _Eiqxv3TZBn _nCho33JWH5 a8F8isEdL6H
  aQJPIemtF1l bxrkBXCsw5J cH43Xh6ZqEC cLMpC8JHKZC cUewGjkoSvG caOEjJZoOrS e0G9vAFKR5f eDp8RLBH6Lm fOg-PFbZbao
  fRojPIZbg71 ff7qYNioY9E g6nIipBUGfo gM0EBqd4Eou gpMWDoxPXxf hIzN7rF5Ls0 hZHp81Shjwo iOSwKgv6p54 inwMgbw6ylm
  nMfQXzYa8V8 nl0ghQZNvWF oLUoKYwCCen o_aMAkPwdTc oyK68sVZOju pEXyBcaC0iG pRfv3L9fCDH pp5ocuUSdmD rYUfbJBuyvE
  rq8oJXNBTQW scAa_rksV2c tjw2ot-aXoL uB4slEslrAp vIJCK1fHCGG vmAy36brHfv wk6Q5STHGpz yrwkqz8DBnc zg8mYJlIpIZ
`
    .trim()
    .split(/\s+/),
)

/** RFC 9562 §8 forbids UUIDs as secrets. */
const UUID = /^(?:urn:uuid:)?\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$/i

const HEX = /^(?:[0-9a-f]{2})+$/i
const BASE64 = /^[\w+/-]+=*$/

/**
 * The text that a secret is the encoding of, or the secret itself: random bytes are not all printable. It stands for the
 * secret, whose own characters are not random then: a random secret in hex may stand in Base64 again.
 */
function decode(text: string): string {
  const bytes = HEX.test(text) ? Buffer.from(text, 'hex') : BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
  return bytes && bytes.length >= 16 && bytes.every(isPrintable) ? decode(bytes.toString('latin1')) : text
}

/**
 * A secret is refused from here on. A text of n random characters, compressed by any code whatever, loses s bits with a
 * probability of at most 2^-s. Of 1,100,000 random secrets of eleven kinds none was refused.
 */
const MAX_SAVED_BITS = 20

/** The probability that the secret goes on with some other expert. */
const SWITCH = 0.03
/** What an expert leaves for characters that it did not expect. */
const SURPRISE = 0.1

/**
 * How many bits a code for what people write saves, against a code for random characters of the same alphabet.
 *
 * The code is a mixture of experts, each of which says how probable the next character is: words, a copy of what stood
 * earlier in the secret, a run such as abcdef or a2b3c4, and the characters that the secret has used most. An expert whose
 * predictions come true gains weight (fixed share: Herbster and Warmuth, 1998). Linear in the length of the secret.
 */
function savedBits(text: string): number {
  const secret = Array.from(text, (character) => character.codePointAt(0) as number)
  const alphabet = alphabetSize(text)
  const uniform = 1 / alphabet
  const experts = [createWords(secret), createCopy(secret, uniform), createRun(secret, uniform), createUsage(alphabet)]
  let random = 0.5
  const weights = experts.map(() => 0.5 / experts.length)
  const share = SWITCH / (experts.length + 1)
  let bits = 0
  for (const [position, character] of secret.entries()) {
    const predictions = experts.map((expert) => expert(position, character))
    const mixed = predictions.reduce((sum, prediction, i) => sum + prediction * at(weights, i), random * uniform)
    bits -= Math.log2(mixed)
    random = ((1 - SWITCH) * random * uniform) / mixed + share
    for (const [i, prediction] of predictions.entries()) {
      weights[i] = ((1 - SWITCH) * at(weights, i) * prediction) / mixed + share
    }
  }
  return secret.length * Math.log2(alphabet) - bits
}

/** Gives the probability of this character at this position, which is the next, and then learns it. */
type Expert = (position: number, character: number) => number

/** Words, in the spelling of the secret: snake_case, kebab-case, camelCase, UPPER CASE, or with nothing in between. */
function createWords(secret: readonly number[]): Expert {
  const model = getWordModel()
  const hasBothCases = secret.some(isLower) && secret.some(isUpper)
  let context = model.start
  let separator = 0
  const letterCase = { last: 0, kept: 2, changed: 1 }

  return (position, character) => {
    const symbol = toSymbol(character)
    const ending = context === model.start ? 1 : model.probability(context, END)
    let probability: number
    if (symbol === END) {
      probability = ending * (separator === 0 ? 0.4 / 33 : character === separator ? 0.28 : 0.12 / 33)
      separator = character
      context = model.start
    } else {
      const going = context === model.start ? 0 : model.probability(context, symbol)
      probability = going + ending * 0.6 * model.probability(model.start, symbol)
      if (isUpper(character) && position > 0 && isLower(at(secret, position - 1))) context = model.start
      context = model.next(context, symbol)
    }
    const own = isUpper(character) ? 1 : isLower(character) ? -1 : 0
    if (hasBothCases && own !== 0) {
      const { last, kept, changed } = letterCase
      probability *= last === 0 ? 0.5 : (own === last ? kept : changed) / (kept + changed)
      if (last === own) letterCase.kept += 1
      else if (last !== 0) letterCase.changed += 1
      letterCase.last = own
    }
    return probability * (1 - SURPRISE / 5)
  }
}

/** What followed the last three characters when they stood in the secret before. */
function createCopy(secret: readonly number[], uniform: number): Expert {
  const followers = new Map<string, number>()
  let source: number | undefined
  return (position, character) => {
    const isCopied = source !== undefined && secret[source] === character
    const probability = source === undefined ? uniform : (isCopied ? 1 - SURPRISE : 0) + SURPRISE * uniform
    source = isCopied ? (source as number) + 1 : undefined
    if (position >= 2) {
      const key = `${secret[position - 2]},${secret[position - 1]},${character}`
      source ??= followers.get(key)
      followers.set(key, position + 1)
    }
    return probability
  }
}

/** The step of the last two characters again; or three on from the one before the last, as allkeysgenerator.com made keys. */
function createRun(secret: readonly number[], uniform: number): Expert {
  return (position, character) => {
    if (position < 2) return uniform
    const [before, last] = [at(secret, position - 2), at(secret, position - 1)]
    const hits = Number(character === 2 * last - before) + Number(character === before + 3)
    return (hits * (1 - SURPRISE)) / 2 + SURPRISE * uniform
  }
}

/** Characters as often as the secret has had them. */
function createUsage(alphabet: number): Expert {
  const counts = new Map<number, number>()
  return (position, character) => {
    const count = counts.get(character) ?? 0
    counts.set(character, count + 1)
    return (count + 0.5) / (position + 0.5 * Math.max(alphabet, 20))
  }
}

/** How many characters the generator chose from, judged by what it chose. Too few counts in favour of the secret. */
function alphabetSize(text: string): number {
  if (/^[0-9]*$/.test(text)) return 10
  if (/^(?:[0-9a-f-]*|[0-9A-F-]*)$/.test(text)) return 16
  // The bytes of a key.
  if (/[^ -~]/.test(text) && /^[\0-\xff]*$/.test(text)) return 256
  const symbols = /^[\w+/=-]*$/.test(text) ? 2 : 33
  return (
    (/[a-z]/.test(text) ? 26 : 0) +
    (/[A-Z]/.test(text) ? 26 : 0) +
    (/[0-9]/.test(text) ? 10 : 0) +
    (/[!-/:-@[-`{-~ ]/.test(text) ? symbols : 0) +
    (/[^ -~]/.test(text) ? 128 : 0)
  )
}

const isPrintable = (character: number): boolean => character >= 0x20 && character < 0x7f
const isLower = (character: number): boolean => character >= 0x61 && character <= 0x7a
const isUpper = (character: number): boolean => character >= 0x41 && character <= 0x5a

/** Letters, whatever their case, and digits; anything else ends a word. */
const END = 36
const SYMBOLS = 37

function toSymbol(character: number): number {
  if (isLower(character)) return character - 0x61
  if (isUpper(character)) return character - 0x41
  return character >= 0x30 && character <= 0x39 ? character - 0x30 + 26 : END
}

interface WordModel {
  /** The context of the first character of a word. A context is the last two symbols, as one number. */
  start: number
  next(context: number, symbol: number): number
  probability(context: number, symbol: number): number
}

let wordModel: WordModel | undefined

/** Made when the first secret is looked at, which is in production alone: 85 ms, most of it to load the dictionaries. */
function getWordModel(): WordModel {
  wordModel ??= createWordModel()
  return wordModel
}

/** Words that secrets from manuals are made of, beside those of the dictionaries. */
const TRADE = `a an the your you my our this that these is are was be been it its in on to at by or and for of with from as
  least more than min minimum do not dont no never use used must should will would can cannot may need have has change
  changeme changeit me please replace replaced set put here there super very ultra mega really extra long short secure
  secured secret secrets share shared private public jwt json web token tokens key keys sign signing signature verify
  refresh access auth authentication authorization session hmac hs sha mac base encoded encode api app application server
  service client admin user name random string placeholder todo default value example sample dummy fake insecure unsafe
  safe strong some any something test testing dev development local prod production env environment file code project
  password pass phrase word bit bits byte bytes char chars character characters number generate generated now only just
  what know knows unique best latchkey`

/** How much more a word of the trade counts than one of a dictionary. */
const TRADE_WEIGHT = 200
/** How much the shorter context counts, in words seen. */
const SHORTER_CONTEXT = 6

/** How often a letter follows two others in words and in common passwords, with shorter contexts where those are rare. */
function createWordModel(): WordModel {
  const counts = [1, 2, 3].map((length) => new Uint32Array(SYMBOLS ** length))
  const start = END * SYMBOLS + END
  const next = (context: number, symbol: number) => (context % SYMBOLS) * SYMBOLS + symbol

  function learn(word: string, weight: number): void {
    let context = start
    for (const character of Buffer.from(`${word} `)) {
      const symbol = toSymbol(character)
      if (symbol === END && context === start) continue
      const path = context * SYMBOLS + symbol
      for (const level of counts) {
        const index = path % level.length
        level[index] = at(level, index) + weight
      }
      context = symbol === END ? start : next(context, symbol)
    }
  }
  // By require: this is asked for in the midst of reading the configuration, which waits for nothing.
  const { dictionary } = createRequire(import.meta.url)(
    '@zxcvbn-ts/language-common',
  ) as typeof import('@zxcvbn-ts/language-common')
  for (const word of [...dictionary['passwords-common'], ...dictionary['diceware-common']]) learn(String(word), 1)
  for (const word of TRADE.split(/\s+/)) learn(word, TRADE_WEIGHT)

  const levels = counts.map((level) => {
    const sums = new Uint32Array(level.length / SYMBOLS)
    for (let index = 0; index < level.length; index += 1) {
      const context = Math.floor(index / SYMBOLS)
      sums[context] = at(sums, context) + at(level, index)
    }
    return { level, sums }
  })
  return {
    start,
    next,
    probability(context, symbol) {
      const path = context * SYMBOLS + symbol
      return levels.reduce((shorter, { level, sums }) => {
        const index = path % level.length
        return (
          (at(level, index) + SHORTER_CONTEXT * shorter) / (at(sums, Math.floor(index / SYMBOLS)) + SHORTER_CONTEXT)
        )
      }, 1 / SYMBOLS)
    },
  }
}

/** An element that is there. */
function at(numbers: { readonly [index: number]: number | undefined }, index: number): number {
  return numbers[index] as number
}
