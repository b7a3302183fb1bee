import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'

/** Why one of these secrets can be guessed. Undefined when none can. */
export function findWeakness(secrets: readonly (string | Uint8Array)[]): string | undefined {
  return secrets.map(weaknessOf).find((weakness) => weakness !== undefined)
}

/**
 * Why a secret can be guessed. Undefined for every secret of a random generator.
 *
 * @param secret the text of a secret, or the bytes of a key
 */
export function weaknessOf(secret: string | Uint8Array): string | undefined {
  // Each byte of a key becomes one character. Decoded as UTF-8, different keys would look alike.
  const text = typeof secret === 'string' ? secret : Buffer.from(secret).toString('latin1')
  if (UUID.test(text)) return 'it is a UUID, which has 122 random bits at most'
  if (PUBLISHED.has(createHash('sha256').update(secret).digest('base64url').slice(0, 11))) return 'it is published'
  return savedBits(decode(text)) >= MAX_SAVED_BITS ? 'it is made of words, or follows a pattern' : undefined
}

/**
 * Secrets that look random, but are in RFCs, manuals, tutorials, and the lists that attackers try first. Each item is the first
 * 66 bits of a SHA-256, in Base64url. A secret that {@link savedBits} finds need not be here.
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
 * The text that a secret encodes in hex or Base64, or the secret itself. Random bytes are not all printable, so only an encoded
 * text is decoded. The decoded text is judged instead of the secret. It may be encoded again: a random hex secret in Base64.
 */
function decode(text: string): string {
  const bytes = HEX.test(text) ? Buffer.from(text, 'hex') : BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
  return bytes && bytes.length >= 16 && bytes.every(isPrintable) ? decode(bytes.toString('latin1')) : text
}

/**
 * A secret that saves this many bits is refused. Any code shortens a text of random characters by s bits with a probability of
 * at most 2^-s. Of 1,100,000 random secrets of eleven kinds none was refused.
 */
const MAX_SAVED_BITS = 20

/** The probability that another expert predicts the next character. */
const SWITCH = 0.03
/** The probability that an expert leaves for characters that it did not expect. */
const SURPRISE = 0.1

/**
 * The bits that a code for human text saves, compared with a code for random characters of the same alphabet.
 *
 * The code is a mixture of experts, and each expert predicts the next character. One knows words, one copies an earlier part of
 * the secret, one continues a run such as abcdef or a2b3c4, and one knows the most frequent characters. An expert that predicts
 * well gains weight (fixed share: Herbster and Warmuth, 1998). The time is linear in the length of the secret.
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

/** Returns the probability of the next character, and then learns the character. */
type Expert = (position: number, character: number) => number

/** Predicts words in snake_case, kebab-case, camelCase, UPPER CASE, or without separators. */
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

/** Predicts the character that followed the last three characters earlier in the secret. */
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

/** Predicts the last step again, or three after the last character but one, like the keys of allkeysgenerator.com. */
function createRun(secret: readonly number[], uniform: number): Expert {
  return (position, character) => {
    if (position < 2) return uniform
    const [before, last] = [at(secret, position - 2), at(secret, position - 1)]
    const hits = Number(character === 2 * last - before) + Number(character === before + 3)
    return (hits * (1 - SURPRISE)) / 2 + SURPRISE * uniform
  }
}

/** Predicts each character by its frequency so far. */
function createUsage(alphabet: number): Expert {
  const counts = new Map<number, number>()
  return (position, character) => {
    const count = counts.get(character) ?? 0
    counts.set(character, count + 1)
    return (count + 0.5) / (position + 0.5 * Math.max(alphabet, 20))
  }
}

/** The size of the generator's alphabet, estimated from the secret. An estimate that is too low favours the secret. */
function alphabetSize(text: string): number {
  if (/^[0-9]*$/.test(text)) return 10
  if (/^(?:[0-9a-f-]*|[0-9A-F-]*)$/.test(text)) return 16
  // Bytes of a key.
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

/** Symbols are letters without their case, and digits. Every other character ends a word. */
const END = 36
const SYMBOLS = 37

function toSymbol(character: number): number {
  if (isLower(character)) return character - 0x61
  if (isUpper(character)) return character - 0x41
  return character >= 0x30 && character <= 0x39 ? character - 0x30 + 26 : END
}

interface WordModel {
  /** The context of the first character of a word. A context is the last two symbols as one number. */
  start: number
  next(context: number, symbol: number): number
  probability(context: number, symbol: number): number
}

let wordModel: WordModel | undefined

/** Created for the first secret, only in production. This takes 85 ms, mostly to load the dictionaries. */
function getWordModel(): WordModel {
  wordModel ??= createWordModel()
  return wordModel
}

/** Words of secrets in manuals, in addition to the dictionaries. */
const MANUAL_WORDS = `a an the your you my our this that these is are was be been it its in on to at by or and for of with from as
  least more than min minimum do not dont no never use used must should will would can cannot may need have has change
  changeme changeit me please replace replaced set put here there super very ultra mega really extra long short secure
  secured secret secrets share shared private public jwt json web token tokens key keys sign signing signature verify
  refresh access auth authentication authorization session hmac hs sha mac base encoded encode api app application server
  service client admin user name random string placeholder todo default value example sample dummy fake insecure unsafe
  safe strong some any something test testing dev development local prod production env environment file code project
  password pass phrase word bit bits byte bytes char chars character characters number generate generated now only just
  what know knows unique best latchkey`

/** The weight of a manual word. A dictionary word has weight 1. */
const MANUAL_WORD_WEIGHT = 200
/** The weight of the shorter context, in observations. */
const SHORTER_CONTEXT = 6

/** How often a letter follows two others in words and common passwords. Rare contexts fall back to shorter ones. */
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
  // Loaded by require, because reading the configuration is synchronous.
  const { dictionary } = createRequire(import.meta.url)(
    '@zxcvbn-ts/language-common',
  ) as typeof import('@zxcvbn-ts/language-common')
  for (const word of [...dictionary['passwords-common'], ...dictionary['diceware-common']]) learn(String(word), 1)
  for (const word of MANUAL_WORDS.split(/\s+/)) learn(word, MANUAL_WORD_WEIGHT)

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

/** An element that exists. */
function at(numbers: { readonly [index: number]: number | undefined }, index: number): number {
  return numbers[index] as number
}
