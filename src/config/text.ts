import type { Diagnostic, SourceRef } from '../base/problem.ts'

/** One word of a line, without its quotation marks. */
export interface Word {
  readonly text: string
  /** A quoted word is a value, never a word of a command. */
  readonly quoted: boolean
  readonly at: SourceRef
}

/** A line that says something: never blank, never a comment, at least one word. */
export interface Line {
  readonly words: readonly Word[]
  /** From the first word to the end of the last. */
  readonly at: SourceRef
  /** The line as it was written, without its ending. */
  readonly raw: string
}

export const MAX_LINE_LENGTH = 4_096
export const MAX_LINES = 50_000

/** Line numbers and columns count from 1; a column counts UTF-16 units, as editors do. */
interface Place {
  readonly file: string
  readonly line: number
  readonly raw: string
  /** The line as diagnostics print it. */
  readonly shown: string
}

/**
 * The lines of a file, cut into words that know where they stand, and everything that cannot be cut.
 *
 * Lines end with LF or CRLF. Blank lines, and lines that begin with `!`, `:` or `#`, are skipped. A word that holds blanks
 * stands in quotation marks, with `\"` and `\\` inside; any other backslash there is one. A line with a problem is left out of `lines`.
 */
export function readLines(
  text: string,
  file: string,
  firstLine = 1,
): { readonly lines: readonly Line[]; readonly problems: readonly Diagnostic[] } {
  const lines: Line[] = []
  const problems: Diagnostic[] = []
  // A byte order mark is the editor's, not the person's.
  let start = text.startsWith('\ufeff') ? 1 : 0
  for (let line = firstLine; start <= text.length; line++) {
    const lf = text.indexOf('\n', start)
    const stop = lf < 0 ? text.length : lf
    const raw = text.slice(start, stop > start && text[stop - 1] === '\r' ? stop - 1 : stop)
    const place = { file, line, raw, shown: printed(raw) }
    start = stop + 1
    if (line - firstLine >= MAX_LINES) {
      if (stop === text.length && raw === '') break
      problems.push(problem(place, 0, raw.length, `the text has more than ${MAX_LINES} lines`, 'the rest is not read'))
      break
    }
    const found = readLine(place)
    if (found === undefined) continue
    if ('message' in found) problems.push(found)
    else lines.push(found)
  }
  return { lines, problems }
}

/** Invisible and direction-changing characters: what a person reads would not be what is meant. */
const INVISIBLE =
  /[\u0000-\u0008\u000a-\u001f\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff]/

function readLine(place: Place): Line | Diagnostic | undefined {
  const { raw } = place
  if (raw.length > MAX_LINE_LENGTH) {
    return problem(place, 0, raw.length, `the line is longer than ${MAX_LINE_LENGTH} characters`)
  }
  const first = raw.search(/[^ \t]/)
  if (first < 0) return undefined
  // A lone CR counts even in a comment: a file with old Macintosh line ends would be one long comment.
  const isComment = '!:#'.includes(raw.charAt(first))
  const invisible = raw.search(isComment ? /\r/ : INVISIBLE)
  if (invisible >= 0) {
    const code = raw.charCodeAt(invisible).toString(16).toUpperCase().padStart(4, '0')
    return problem(place, invisible, 1, `an invisible character (U+${code}) may not stand here`)
  }
  return isComment ? undefined : cut(place, first)
}

function cut(place: Place, first: number): Line | Diagnostic {
  const { raw } = place
  const words: Word[] = []
  let end = first
  for (let at = first; at < raw.length; ) {
    if (isBlank(raw[at])) {
      at++
      continue
    }
    const word = raw[at] === '"' ? quotedWord(place, at) : bareWord(place, at)
    if ('message' in word) return word
    words.push(word)
    at = end = word.at.column - 1 + word.at.length
  }
  return { words, at: refAt(place, first, end - first), raw }
}

function bareWord(place: Place, start: number): Word | Diagnostic {
  const { raw } = place
  let end = start
  while (end < raw.length && !isBlank(raw[end])) {
    if (raw[end] === '"') {
      const hint = 'write the whole word in quotation marks, with \\" for one inside'
      return problem(place, end, 1, 'a quotation mark may not stand inside a word', hint)
    }
    end++
  }
  return { text: raw.slice(start, end), quoted: false, at: refAt(place, start, end - start) }
}

function quotedWord(place: Place, start: number): Word | Diagnostic {
  const { raw } = place
  let text = ''
  for (let at = start + 1; at < raw.length; at++) {
    const char = raw.charAt(at)
    if (char === '"') {
      if (at + 1 < raw.length && !isBlank(raw[at + 1])) {
        return problem(place, at + 1, 1, 'a blank must follow the closing quotation mark')
      }
      return { text, quoted: true, at: refAt(place, start, at + 1 - start) }
    }
    if (char === '\\') {
      const next = raw.charAt(at + 1)
      // Before any other character it is one itself, as in the patterns of Cisco's texts.
      if (next === '"' || next === '\\') at++
      text += next === '"' ? '"' : '\\'
    } else text += char
  }
  return problem(place, start, raw.length - start, 'the quotation is not closed', 'expected "')
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t'
}

const SHOWN_LENGTH = 60
const EVERY_INVISIBLE = new RegExp(INVISIBLE, 'g')

/** A tab becomes one blank, and what cannot be seen one mark, so that the caret stands under what it means. */
function printed(raw: string): string {
  const text = raw.length > MAX_LINE_LENGTH ? `${raw.slice(0, SHOWN_LENGTH)}…` : raw
  return text.replaceAll('\t', ' ').replace(EVERY_INVISIBLE, '\ufffd')
}

function refAt({ file, line, shown }: Place, start: number, length: number): SourceRef {
  return { file, line, column: start + 1, length: Math.max(1, Math.min(length, shown.length - start)), text: shown }
}

function problem(place: Place, start: number, length: number, message: string, hint?: string): Diagnostic {
  return { severity: 'error', message, ...(hint === undefined ? {} : { hint }), at: refAt(place, start, length) }
}

/** Where the next word of this line would have stood: one blank after the last. */
export function endOf({ at }: Line): SourceRef {
  return { ...at, column: at.column + at.length + 1, length: 1 }
}

/** What is written from the word `from` to the end; without quotation marks where that is one quoted word. */
export function restOf(
  { words, raw }: Line,
  from: number,
): { readonly text: string; readonly at: SourceRef } | undefined {
  const first = words[from]
  const last = words.at(-1)
  if (!first || !last) return undefined
  if (first === last) return first
  const start = first.at.column - 1
  const end = last.at.column - 1 + last.at.length
  return { text: raw.slice(start, end), at: { ...first.at, length: end - start } }
}

/** The word as it must be written so that it is read back as one word: in quotation marks where it needs them. */
export function quote(word: string): string {
  return word === '' || /[ \t"]/.test(word) ? `"${word.replace(/["\\]/g, '\\$&')}"` : word
}
