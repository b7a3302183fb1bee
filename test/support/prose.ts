import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Sentence {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** A run of lines that reads as one text: a paragraph, a list item, a table cell or a comment. */
interface Block {
  readonly line: number
  readonly text: string
}

/** How comments begin, by the ending or the name of a file. */
const COMMENT_MARKS: readonly (readonly [RegExp, '//' | '--' | '#' | 'html'])[] = [
  [/\.(ts|js|go|css)$/, '//'],
  [/\.lua$/, '--'],
  [/\.html$/, 'html'],
  [/\.(ya?ml|sh|conf|cfg|py)$|(Dockerfile|Caddyfile|\.ci\/run|\.env\.example|ignore|\.taprc)$/, '#'],
]

/** Folders that are generated, or that hold another project's files. */
const SKIPPED = ['node_modules', 'dist', 'data', 'secrets', 'coverage', '.git', '.tap']

/** The paths of all pages and of all source files that can have comments. */
export function textFiles(folder = ''): string[] {
  return readdirSync(root + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = folder + entry.name
    if (entry.isDirectory()) return SKIPPED.includes(entry.name) ? [] : textFiles(`${path}/`)
    return path.endsWith('.md') || COMMENT_MARKS.some(([names]) => names.test(path)) ? [path] : []
  })
}

/** The sentences of a page, or of the comments of a source file. */
export function sentencesOf(file: string, source: string = readFileSync(`${root}${file}`, 'utf8')): Sentence[] {
  const mark = COMMENT_MARKS.find(([names]) => names.test(file))?.[1]
  const blocks = file.endsWith('.md') ? blocksOf(markdownLines(source)) : blocksOf(commentLines(source, mark ?? '#'))
  return blocks.flatMap((block) => split(block).map(({ line, text }) => ({ file, line, text })))
}

/** A text in quotes, on one line. */
const LITERAL = /(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1/g

/** Texts in the code of a TypeScript file that have several words: titles, errors, log lines, descriptions. */
export function literalsOf(file: string, source: string = readFileSync(`${root}${file}`, 'utf8')): Sentence[] {
  return source
    .split('\n')
    .flatMap((code, index) =>
      [...code.matchAll(LITERAL)].flatMap(([, , text = '']) => split({ line: index + 1, text })),
    )
    .filter(({ text }) => wordsOf(text).length >= 6)
    .map((sentence) => ({ file, ...sentence }))
}

/** Lines of prose. `undefined` separates two texts. */
type Lines = (readonly [line: number, text: string] | undefined)[]

function markdownLines(source: string): Lines {
  let inFence = false
  let wasBlank = true
  let inCode = false
  return source
    .replace(/<!--.*?-->/gs, (comment) => comment.replace(/[^\n]/g, ''))
    .split('\n')
    .map((line, index) => {
      if (/^\s*```/.test(line)) inFence = !inFence
      // Four spaces after a blank line begin a code block. After a list item they continue it.
      inCode = /^ {4}/.test(line) && (inCode || wasBlank)
      wasBlank = line.trim() === ''
      return inFence || inCode || wasBlank || /^\s*```/.test(line) ? undefined : [index + 1, line]
    })
}

/** Comments on lines of their own join to one text. A comment after code is a text of its own. */
function commentLines(source: string, mark: '//' | '--' | '#' | 'html'): Lines {
  let inBlock = false
  return source.split('\n').flatMap((line, index): Lines => {
    const comment = commentOf(line)
    // Four spaces begin code, as in Markdown.
    if (!comment || /^ {4}/.test(comment.text)) return [undefined]
    const entry = [index + 1, comment.text] as const
    return comment.isTrailing ? [undefined, entry, undefined] : [entry]
  })

  function commentOf(line: string): { text: string; isTrailing?: boolean } | undefined {
    if (inBlock) {
      const end = line.search(mark === 'html' ? /-->/ : /\*\//)
      if (end >= 0) inBlock = false
      const text = end >= 0 ? line.slice(0, end) : line
      return { text: text.replace(/^\s*\* ?/, '').trimEnd() }
    }
    if (mark === 'html') {
      const begin = line.indexOf('<!--')
      if (begin < 0) return undefined
      inBlock = !line.includes('-->', begin)
      return { text: line.slice(begin + 4).replace(/-->.*/, '') }
    }
    if (mark === '//' && /^\s*\/\*/.test(line)) {
      inBlock = !line.includes('*/')
      return { text: line.replace(/^\s*\/\*+ ?/, '').replace(/\s*\*\/.*$/, '') }
    }
    const whole = new RegExp(`^\\s*${mark}+(?!!)( |$)(.*)`).exec(line)
    if (whole) return { text: whole[2] ?? '' }
    const trailing = new RegExp(`^(.*\\S)\\s+${mark} (.*)$`).exec(line)
    if (!trailing || isInString(trailing[1] ?? '')) return undefined
    return { text: trailing[2] ?? '', isTrailing: true }
  }
}

/** Whether a quote of this line is still open. */
const isInString = (code: string): boolean =>
  ["'", '"', '`'].some((quote) => code.replaceAll(`\\${quote}`, '').split(quote).length % 2 === 0)

const BEGINS_ITEM = /^\s*([-*+] |\d+\. |#+ |> |@\w+)/

function blocksOf(lines: Lines): Block[] {
  const blocks: { line: number; text: string }[] = []
  let isOpen = false
  let inFence = false
  for (const each of lines) {
    const [line, text] = each ?? [0, '']
    if (/^\s*```/.test(text)) inFence = !inFence
    if (!each || inFence || /^\s*```/.test(text)) isOpen = false
    else if (/^\s*\|.*\|\s*$/.test(text)) {
      const cells = text
        .trim()
        .slice(1, -1)
        .split(/(?<!\\)\|/)
      blocks.push(...cells.map((cell) => ({ line, text: cell })))
      isOpen = false
    } else if (/\S {2,}\S/.test(text)) {
      blocks.push(...text.split(/ {2,}/).map((column) => ({ line, text: column })))
      isOpen = false
    } else if (isOpen && !BEGINS_ITEM.test(text)) {
      const last = blocks.at(-1)
      if (last) last.text += `\n${text}`
    } else {
      blocks.push({ line, text: text.replace(BEGINS_ITEM, '') })
      isOpen = !/^\s*#+ /.test(text)
    }
  }
  return blocks
}

/** The sentences of a text. Code counts as one word, and so does a link's address. */
function split({ line, text }: Block): Block[] {
  const plain = text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/`[^`]*`/g, (code) => `\`…\`${'\n'.repeat(code.split('\n').length - 1)}`)
  const sentences: Block[] = []
  let at = line
  for (const part of plain.split(/(?<=[.!?][)"'’*_`]*)(?<!\b(?:e\.g|i\.e|vs|cf)\.)(?=\s)/)) {
    sentences.push({
      line: at + (/^\s*/.exec(part)?.[0].split('\n').length ?? 1) - 1,
      text: part.replace(/\s+/g, ' ').trim(),
    })
    at += part.split('\n').length - 1
  }
  return sentences
}

/** Marks, numbers' signs and arrows that stand alone are not words. */
export const wordsOf = (sentence: string): string[] => sentence.split(' ').filter((word) => /[\p{L}\p{N}`]/u.test(word))

const VERB = '(?:is|are|was|were|has|have|had|can|could|will|would|may|might|must|does|do|did|cannot)'

/** Connectives of rule 4 that a pattern can tell from other uses of their words. */
export const BANNED: readonly RegExp[] = [
  /\bwhoever\b/i,
  /\banew\b/i,
  /\bnought\b/i,
  /\bwhere there (?:is|are) none\b/i,
  /\ball the same\b/i,
  /\bby way of\b/i,
  /\blets? through but\b/i,
  /\bof (?:the )?two the one\b/i,
  /[,;:(] else\b/i,
  /^else\b/i,
  /[,;:(] for (?:it|they|he|she|we|there|nobody|nothing) (?!alone|too|all|and\b)\w/i,
  new RegExp(`[,;:(] for (?:(?!which|whom|that|who|example|instance)[\\w'’-]+ ){1,4}${VERB}\\b`, 'i'),
  /[,;:(] for (?:the|a|an|each|every|this) [\w'’-]+ [\w-]+[^s\W]s (?:it|its|the|a|an|to|nothing|no|only)\b/i,
  /(?<!\bthere )\b(?:is|are|was|were) no (?!(?:longer|more|less|fewer|\w+er) )\w/i,
]
