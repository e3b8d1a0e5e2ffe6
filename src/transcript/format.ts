import { bytes, strictUtf8, text } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import { type Came, hasPlaceholder, patternText, type Wanted, type Way } from './match.ts'
import { type Cut, type Section, sayCut, sectionLines, type Transcript } from './transcript.ts'

/** Write a transcript: what was parsed without problems comes back as it was, comments, spacing and all. */
export function formatTranscript(transcript: Transcript): string {
  return assemble(transcript, {
    dialogue: transcript.dialogue.map(turn => turn.at.text),
    sections: transcript.sections,
  })
}

/** The same transcript around another dialogue and other sections; sections it did not have come last. */
export function assemble(
  { head, order }: Transcript,
  { dialogue, sections }: { dialogue: readonly string[]; sections: ReadonlyMap<string, Section> },
): string {
  let lines = head.map(line => line.at.text)
  const added = [...sections.keys()].filter(name => !order.includes(name))
  for (const name of [...order, ...added]) {
    if (added.includes(name) && lines.at(-1) !== '') lines.push('')
    lines.push(`-- ${name} --`)
    const section = sections.get(name)
    if (name === 'dialogue') lines = lines.concat(dialogue)
    else if (section) lines = lines.concat(sectionLines(section), section.blankAfter ? '' : [])
  }
  return lines.map(line => `${line}\n`).join('')
}

/** What opens a dialogue line that carries bytes. */
export type Mark = 'C' | 'S' | 'F' | '=>'

/**
 * Bytes as a dialogue line that parses back to them: as text where a reader sees all there is, exactly where not.
 * `asPattern` leaves `[[any]]` and its like as they stand; otherwise text that looks like one is written exactly.
 */
export function formatWords(
  mark: Mark,
  bytes: Uint8Array,
  { asPattern = false }: { asPattern?: boolean } = {},
): string {
  const ended = bytes.at(-2) === 0x0d && bytes.at(-1) === 0x0a
  const line = ended ? strictUtf8(bytes.subarray(0, -2)) : undefined
  // A space at the end, or a character without a shape of its own, would be lost on whoever reads or edits the file.
  const plain = line !== undefined && !/\p{C}|[^\S ]| $/u.test(line)
  if (!plain || (!asPattern && hasPlaceholder(line))) return `${mark}= ${quote(bytes)}`
  const lead = mark === '=>' ? mark : `${mark}:`
  return line === '' ? lead : `${lead} ${line}`
}

/** A JSON string in ASCII, one character for each octet. */
function quote(bytes: Uint8Array): string {
  return JSON.stringify(text(bytes)).replace(/[\x7f-\xff]/g, char => `\\u00${char.charCodeAt(0).toString(16)}`)
}

export interface Failure {
  readonly message: string
  readonly at: SourceRef
  /** What the transcript has and the subject lacks, and the other way round: both as lines of a transcript. */
  readonly expected: readonly string[]
  readonly got: readonly string[]
  readonly cut: Cut
}

export function formatFailure({ message, at, expected, got, cut }: Failure): string {
  const head = `${at.file}:${at.line}:${at.column}: ${message}${cut.kind === 'whole' ? '' : ` (${sayCut(cut)})`}`
  if (expected.length + got.length === 0) return `${head}\n   ${at.text}`
  const list = (title: string, lines: readonly string[]) =>
    (lines.length > 0 ? lines : ['(nothing)']).map((line, i) => `   ${i === 0 ? title : '        '}  ${line}`)
  return [head, ...list('expected', expected), ...list('got     ', got)].join('\n')
}

/** A line that came, as it would be written. */
export function showCame({ way, text }: Came): string {
  return showLine(way, text, { asPattern: false })
}

/** A line that was wanted, as it was written. */
export function showWanted({ way, pattern }: Wanted): string {
  return showLine(way, patternText(pattern), { asPattern: true })
}

function showLine(way: Way, line: string, { asPattern }: { asPattern: boolean }): string {
  if (way === 'closes') return '(connection closes)'
  if (way === 'tls') return '(tls starts)'
  return way === 'note' ? line : formatWords(way, bytes(line), { asPattern })
}
