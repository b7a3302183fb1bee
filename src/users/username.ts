import { ALLOWED_RANGES, PROTOTYPES } from './confusables.js'

/**
 * The rule for user names. Two names that read alike are one account, or the second is refused:
 *
 * - compatibility forms, composed and decomposed letters, and case do not count (`ＡＤＡ`, `Ada` and `ada` are one);
 * - letters, marks, digits and `. _ @ + -` alone: nothing invisible, no spaces. An e-mail address has atoms of RFC 5322;
 * - only characters whose Identifier_Status is Allowed (UTS #39): no phonetic `ɡ`, no small capital `ᴀ`;
 * - one script a name, so that no Cyrillic `а` stands among Latin letters (UTS #39 "single script", with the usual
 *   exception of Japanese, Korean and Bopomofo, which mix scripts). Of an address, each side of the `@` has its own;
 * - no name in another script that has the skeleton of a name in Latin letters (UTS #39 "whole-script confusable");
 * - no two accounts with one skeleton. ASCII characters are themselves there: `paul` and `pau1` are two people.
 */
export type UsernameRule = 'length' | 'characters' | 'restricted' | 'mixed_scripts' | 'look_alike'

export const usernameRules: Record<UsernameRule, string> = {
  length: 'username must have 1 to 64 characters, or 254 where it is an e-mail address',
  characters:
    'username may have letters, digits and . _ @ + - only, with no space and nothing invisible; ' +
    "an e-mail address may have ! # $ % & ' * / = ? ^ ` { | } ~ before the @ too",
  restricted: 'username has a character that Unicode does not recommend for names (UTS #39): use ordinary letters',
  mixed_scripts: 'username mixes letters of several scripts: keep to one',
  look_alike: 'username has only letters that look like Latin ones: write it in Latin letters',
}

const MAX_LENGTH = 64
/** RFC 5321 §4.5.3.1.3, less the angle brackets. */
const MAX_ADDRESS_LENGTH = 254
const NAME = /^[\p{L}\p{M}\p{N}._@+-]+$/u
// RFC 5322 §3.2.3 dot-atom on the left, with the letters of RFC 6532. On the right, what a host's name has.
const ADDRESS =
  /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*@[\p{L}\p{M}\p{N}-]+(\.[\p{L}\p{M}\p{N}-]+)*$/u
// Some are letters or marks by category, and yet nothing is seen of them: fillers, joiners, variation selectors.
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

/** The unique key of a name: what all of its spellings share. For any text, valid or not. */
export function usernameKey(username: string): string {
  // Upper case first: ß and ss, and the dotless i, fall together.
  const key = username.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC')
  // What İ leaves behind: a dot that an i has anyway.
  return key.replace(/(?<=[ij])\u0307+/gu, '')
}

/** The rule that a new name breaks, or undefined where it breaks none. */
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
  // Digits other than 0 to 9 belong to a script too: a Devanagari zero passes for an o.
  const letters = text.replace(/[^\p{L}\p{N}]|[0-9]|(?=\p{L})[\p{Script=Common}\p{Script=Inherited}]/gu, '')
  return letters === '' || [...SCRIPTS, JAPANESE, KOREAN, BOPOMOFO].some((script) => script.test(letters))
}

/**
 * A new name as it is shown: as it was written, unless only its capitals make it read like a name in Latin letters. Greek
 * `Μαρία` reads like Latin `Mapía`, and `μαρία` like no other name.
 */
export function shownUsername(username: string): string {
  const written = username.normalize('NFC')
  return written.split('@').some(looksLatin) ? usernameKey(username) : written
}

/** What all names share that look alike, other than in ASCII characters. Unique, as the key is. */
export function usernameSkeleton(username: string): string {
  return skeletonOf(usernameKey(username))
}

/** UTS #39 §4, but that ASCII characters are themselves: there 1, l and I are one, and rn is m. */
function skeletonOf(text: string): string {
  if (isAscii(text)) return text
  const { prototypes } = shapes()
  return Array.from(text.normalize('NFD'), (character) => prototypes.get(character) ?? character)
    .join('')
    .normalize('NFD')
}

/** Whether a text has letters of other scripts than Latin, and all of it could be written in Latin letters and look the same. */
function looksLatin(text: string): boolean {
  return NO_LATIN.test(text) && [...skeletonOf(text)].every((character) => shapes().latin.has(character))
}

const isAscii = (text: string) => /^[\0-\x7f]*$/.test(text)

interface Shapes {
  allowed: RegExp
  prototypes: ReadonlyMap<string, string>
  /** What the skeletons of names in Latin letters are made of. */
  latin: ReadonlySet<string>
}

let read: Shapes | undefined

/** Unicode's tables, read when the first name comes that needs them. */
function shapes(): Shapes {
  if (read) return read
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
  read = { allowed, prototypes, latin: new Set() }
  const latin = new Set('0123456789._+-')
  // Latin letters end at U+1EFF, but for a few that no language of today is written in.
  for (const [first, last = first] of ranges.filter(([first]) => first < 0x1f00)) {
    for (let point = first; point <= last; point += 1) {
      const character = String.fromCodePoint(point)
      if (/\p{Script=Latin}/u.test(character)) for (const part of skeletonOf(character)) latin.add(part)
    }
  }
  read = { ...read, latin }
  return read
}
