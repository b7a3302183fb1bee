import { ALLOWED_RANGES, PROTOTYPES } from './confusables.js'

/**
 * The rules for user names. Two names that look alike are the same account, or the second name is refused:
 *
 * - Compatibility forms, composition and case do not count: `ＡＤＡ`, `Ada` and `ada` are the same name.
 * - A name has only letters, marks, digits and `. _ @ + -`: no invisible character, no space. An e-mail address may have all
 *   characters of RFC 5322 atoms before its `@`.
 * - Every character has the Identifier_Status Allowed (UTS #39): no phonetic `ɡ`, no small capital `ᴀ`.
 * - A name has one script, so that no Cyrillic `а` hides among Latin letters (UTS #39 "single script"). Japanese, Korean and
 *   Bopomofo may mix scripts, as usual. In an address, each side of the `@` has its own script.
 * - A name in another script does not have the skeleton of a Latin name (UTS #39 "whole-script confusable").
 * - Two accounts never have the same skeleton. ASCII characters stay distinct there: `paul` and `pau1` are two people.
 */
type UsernameRule = 'length' | 'characters' | 'restricted' | 'mixed_scripts' | 'look_alike'

export const usernameRules: Record<UsernameRule, string> = {
  length: 'username must have 1 to 64 characters; an e-mail address may have 254',
  characters:
    'username may only have letters, digits and . _ @ + - with no space and no invisible character; ' +
    "an e-mail address may also have ! # $ % & ' * / = ? ^ ` { | } ~ before the @",
  restricted: 'username has a character that Unicode does not recommend for names (UTS #39): use ordinary letters',
  mixed_scripts: 'username mixes letters of several scripts: use one script',
  look_alike: 'username looks like Latin letters but has letters of another script: write it in Latin letters',
}

const MAX_LENGTH = 64
/** RFC 5321 §4.5.3.1.3, without the angle brackets. */
const MAX_ADDRESS_LENGTH = 254
const NAME = /^[\p{L}\p{M}\p{N}._@+-]+$/u
// On the left a dot-atom of RFC 5322 §3.2.3, with the letters of RFC 6532. On the right the characters of a host name.
const ADDRESS =
  /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*@[\p{L}\p{M}\p{N}-]+(\.[\p{L}\p{M}\p{N}-]+)*$/u
// Fillers, joiners and variation selectors are letters or marks by category, and still invisible.
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u
const JAPANESE = /^[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Latin}]+$/u
const KOREAN = /^[\p{scx=Han}\p{scx=Hangul}\p{scx=Latin}]+$/u
const BOPOMOFO = /^[\p{scx=Han}\p{scx=Bopomofo}\p{scx=Latin}]+$/u
const SCRIPTS = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Arabic',
  'Hebrew',
  'Devanagari',
  'Bengali',
  'Gurmukhi',
  'Gujarati',
  'Oriya',
  'Tamil',
  'Telugu',
  'Kannada',
  'Malayalam',
  'Sinhala',
  'Thaana',
  'Thai',
  'Lao',
  'Khmer',
  'Myanmar',
  'Tibetan',
  'Georgian',
  'Armenian',
  'Ethiopic',
].map((script) => new RegExp(`^\\p{scx=${script}}+$`, 'u'))
const NO_LATIN = /[^\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}]/u

/** The unique key of a name, which all its spellings share. Takes any text, valid or not. */
export function usernameKey(username: string): string {
  // Upper case comes first: it makes ß equal to ss, and the dotless i equal to i.
  const key = username.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC')
  // Lower case leaves a combining dot behind İ. An i has a dot already.
  return key.replace(/(?<=[ij])\u0307+/gu, '')
}

/** The rule that a new name breaks, or undefined. */
export function brokenUsernameRule(username: string): UsernameRule | undefined {
  const key = usernameKey(username)
  const length = [...key].length
  const isAddress = ADDRESS.test(key)
  if (length < 1 || length > (isAddress ? MAX_ADDRESS_LENGTH : MAX_LENGTH)) return 'length'
  if (!(isAddress || NAME.test(key)) || INVISIBLE.test(key)) return 'characters'
  if (!isAscii(key) && ![...key].every((character) => isAscii(character) || shapes().allowed.test(character))) {
    return 'restricted'
  }
  const parts = isAddress ? key.split('@') : [key]
  if (!parts.every(isOneScript)) return 'mixed_scripts'
  return parts.some(looksLatin) ? 'look_alike' : undefined
}

function isOneScript(text: string): boolean {
  // Digits other than 0 to 9 belong to a script too: a Devanagari zero looks like an o.
  const letters = text.replace(/[^\p{L}\p{N}]|[0-9]|(?=\p{L})[\p{Script=Common}\p{Script=Inherited}]/gu, '')
  return letters === '' || [...SCRIPTS, JAPANESE, KOREAN, BOPOMOFO].some((script) => script.test(letters))
}

/**
 * The form in which a new name is shown: as written, or in lower case when only its capitals make it look Latin. Greek `Μαρία`
 * looks like Latin `Mapía`, and `μαρία` looks like no other name.
 */
export function shownUsername(username: string): string {
  const written = username.normalize('NFC')
  return written.split('@').some(looksLatin) ? usernameKey(username) : written
}

/** The text that look-alike names share (UTS #39). It is unique, as the key is. ASCII characters stay distinct. */
export function usernameSkeleton(username: string): string {
  return skeletonOf(usernameKey(username))
}

/** The skeleton of UTS #39 §4, except that ASCII characters stay distinct: UTS #39 equates 1, l and I, and rn with m. */
function skeletonOf(text: string): string {
  if (isAscii(text)) return text
  const { prototypes } = shapes()
  return Array.from(text.normalize('NFD'), (character) => prototypes.get(character) ?? character)
    .join('')
    .normalize('NFD')
}

/** Whether a text has letters of another script than Latin, and Latin letters could write a text that looks the same. */
function looksLatin(text: string): boolean {
  return NO_LATIN.test(text) && [...skeletonOf(text)].every((character) => shapes().latin.has(character))
}

const isAscii = (text: string) => /^[\0-\x7f]*$/.test(text)

interface Shapes {
  allowed: RegExp
  prototypes: ReadonlyMap<string, string>
  /** The characters in the skeletons of Latin names. */
  latin: ReadonlySet<string>
}

let cached: Shapes | undefined

/** Unicode's tables. The first name that needs them parses them. */
function shapes(): Shapes {
  if (cached) return cached
  const ranges = ALLOWED_RANGES.trim()
    .split(/\s+/)
    .map((range) => range.split('-').map((point) => Number.parseInt(point, 16)) as [number, number?])
  const escaped = (point: number) => `\\u{${point.toString(16)}}`
  const allowed = new RegExp(
    `[${ranges.map(([first, last = first]) => `${escaped(first)}-${escaped(last)}`).join('')}]`,
    'u',
  )
  const text = (points: string) => String.fromCodePoint(...points.split('.').map((point) => Number.parseInt(point, 16)))
  const prototypes = new Map(
    PROTOTYPES.trim()
      .split(/\s+/)
      .map((pair) => pair.split('>').map(text) as [string, string])
      .filter(([character]) => !isAscii(character)),
  )
  cached = { allowed, prototypes, latin: new Set() }
  const latin = new Set('0123456789._+-')
  // Latin letters end at U+1EFF, except for a few that no living language uses.
  for (const [first, last = first] of ranges.filter(([first]) => first < 0x1f00)) {
    for (let point = first; point <= last; point += 1) {
      const character = String.fromCodePoint(point)
      if (/\p{Script=Latin}/u.test(character)) for (const part of skeletonOf(character)) latin.add(part)
    }
  }
  cached = { ...cached, latin }
  return cached
}
