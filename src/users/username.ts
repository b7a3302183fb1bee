/**
 * The rule for user names. Two names that read alike are one account:
 *
 * - compatibility forms, composed and decomposed letters, and case do not count (`ＡＤＡ`, `Ada` and `ada` are one);
 * - letters, marks, digits and `. _ @ + -` alone: nothing invisible, no spaces;
 * - one script a name, so that no Cyrillic `а` stands among Latin letters (UTS #39 "single script", with the usual
 *   exception of Japanese and Korean, which mix scripts);
 * - a Cyrillic or Greek name whose every letter has a Latin twin is refused: it could pass for a Latin one.
 */
export type UsernameRule = 'length' | 'characters' | 'mixed_scripts' | 'look_alike'

export const usernameRules: Record<UsernameRule, string> = {
  length: 'username must have 1 to 64 characters',
  characters: 'username may have letters, digits and . _ @ + - only, with no space and nothing invisible',
  mixed_scripts: 'username mixes letters of several scripts: keep to one',
  look_alike: 'username has only letters that look like Latin ones: write it in Latin letters',
}

const ALLOWED = /^[\p{L}\p{M}\p{N}._@+-]+$/u
// Some are letters or marks by category, and yet nothing is seen of them: fillers, joiners, variation selectors.
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u
const JAPANESE = /^[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Latin}]+$/u
const KOREAN = /^[\p{scx=Han}\p{scx=Hangul}\p{scx=Latin}]+$/u
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
  'Thai',
  'Lao',
  'Khmer',
  'Myanmar',
  'Tibetan',
  'Georgian',
  'Armenian',
  'Ethiopic',
].map((script) => new RegExp(`^\\p{scx=${script}}+$`, 'u'))
const LOOKS_LATIN = /^[абвгеѕзіїјкӏмноԛрстухһԁԝѡүғαγικνορτυχωϲϳ]+$/u

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
  if (length < 1 || length > 64) return 'length'
  if (!ALLOWED.test(key) || INVISIBLE.test(key)) return 'characters'
  // Digits other than 0 to 9 belong to a script too: a Devanagari zero passes for an o.
  const letters = key.replace(/[^\p{L}\p{N}]|[0-9]|(?=\p{L})[\p{Script=Common}\p{Script=Inherited}]/gu, '')
  if (letters === '') return undefined
  const isOneScript = [...SCRIPTS, JAPANESE, KOREAN].some((script) => script.test(letters))
  if (!isOneScript) return 'mixed_scripts'
  return LOOKS_LATIN.test(letters) ? 'look_alike' : undefined
}
