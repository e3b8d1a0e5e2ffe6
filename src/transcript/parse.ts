import { bytes, lower, utf8 } from '../base/bytes.ts'
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import type { HeadLine, Section, Transcript, Turn, Words } from './transcript.ts'

export interface Parsed {
  /** As much as could be understood. Worth playing only when no problem is an error. */
  readonly transcript: Transcript
  readonly problems: readonly Diagnostic[]
}

/** Read a transcript. Never throws: whatever is wrong is among the problems, each with its place. */
export function parseTranscript(text: string, file: string): Parsed {
  const problems: Diagnostic[] = []
  const lines = linesOf(text, file)
  const starts = lines.flatMap((line, i) => (markerName(line.text) === undefined ? [] : [i]))
  const head = lines.slice(0, starts[0] ?? lines.length).map(line => readHeadLine(line, problems))

  const sections = new Map<string, Section>()
  const order: string[] = []
  let dialogue: readonly Turn[] = []
  for (const [i, start] of starts.entries()) {
    const [at, ...content] = lines.slice(start, starts[i + 1] ?? lines.length)
    const name = at && markerName(at.text)
    if (!at || name === undefined) continue
    if (order.includes(name)) problems.push(error(`a second section is called "${name}"`, at, 'one name, one section'))
    else if (name === 'dialogue') dialogue = readDialogue(content, problems)
    else sections.set(name, sectionOf(name, at, content))
    if (!order.includes(name)) order.push(name)
  }

  const before = text.split('\r', 1)[0] ?? ''
  const stray = before === text ? undefined : lines[before.split('\n').length - 1]
  if (stray) {
    const at = { ...stray, column: before.length - before.lastIndexOf('\n'), length: 1 }
    problems.push(error('a carriage return', at, 'end lines with LF; exact bytes are written C= "…\\r\\n"'))
  }
  const start = lines[0] ?? { file, line: 1, column: 1, length: 1, text: '' }
  const headers = new Map(head.flatMap(line => (line.kind === 'header' ? [[line.name, line.value] as const] : [])))
  const prose = head.flatMap(line => (line.kind === 'prose' ? [line.text] : []))
  if (!headers.has('subject')) problems.push(error('nothing says what is under test', start, 'subject: server'))
  if (!order.includes('dialogue')) problems.push(error('there is no dialogue', start, '-- dialogue --'))
  return { transcript: { file, head, prose, headers, sections, dialogue, order }, problems }
}

function linesOf(text: string, file: string): readonly SourceRef[] {
  // Of a file saved with CR LF as much is understood as of any other, so that this one problem does not become hundreds.
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line, i) => ({ file, line: i + 1, column: 1, length: Math.max(1, line.length), text: line }))
}

function error(message: string, at: SourceRef, hint?: string): Diagnostic {
  return { severity: 'error', message, at, ...(hint === undefined ? {} : { hint }) }
}

/** The name in `-- name --`. */
function markerName(line: string): string | undefined {
  if (!line.startsWith('-- ') || !line.endsWith(' --') || line.length < 7) return undefined
  const name = line.slice(3, -3)
  return name.trim() === name ? name : undefined
}

function readHeadLine(at: SourceRef, problems: Diagnostic[]): HeadLine {
  if (at.text === '') return { kind: 'blank', at }
  if (at.text.startsWith('#')) return { kind: 'prose', text: afterHash(at.text), at }
  const [, name, value] = /^([A-Za-z][A-Za-z0-9-]*):(.*)$/s.exec(at.text) ?? []
  if (name !== undefined && value !== undefined) return { kind: 'header', name: lower(name), value: value.trim(), at }
  problems.push(error('neither prose nor a header', at, 'begin with "# ", or "subject: ", or open a section'))
  return { kind: 'prose', text: at.text, at } // kept, so that nothing the author wrote is lost
}

function sectionOf(name: string, at: SourceRef, content: readonly SourceRef[]): Section {
  const lines = content.map(line => line.text)
  // Without this, the empty line people leave between sections would be sent at the end of a message.
  const blankAfter = lines.at(-1) === ''
  if (blankAfter) lines.pop()
  return { name, text: lines.map(line => `${line}\n`).join(''), blankAfter, at }
}

function readDialogue(content: readonly SourceRef[], problems: Diagnostic[]): readonly Turn[] {
  let speaks = false
  return content.map(at => {
    const turn = readTurn(at, problems)
    const answers = turn.kind === 'heard' || turn.kind === 'lost'
    if (answers && !speaks) problems.push(error('no line above that could come out', at, 'put it after a C or S line'))
    if (turn.kind === 'line') speaks = true
    else if (turn.kind === 'direction') speaks = /^(client|server) sends /.test(turn.text)
    else if (turn.kind === 'firewall') speaks = false
    return turn
  })
}

/** How a line that carries bytes opens, and whether they are a JSON string. */
type Lead = readonly [lead: string, exact: boolean]

const LEADS: readonly Lead[] = [
  ['C:', false],
  ['S:', false],
  ['F:', false],
  ['=>', false],
  ['C=', true],
  ['S=', true],
  ['F=', true],
  ['=>=', true],
]

function readTurn(at: SourceRef, problems: Diagnostic[]): Turn {
  const line = at.text
  if (line === '') return { kind: 'blank', at }
  if (line.startsWith('#')) return { kind: 'note', text: afterHash(line), at }
  if (line.startsWith('(') && line.endsWith(')')) return { kind: 'direction', text: line.slice(1, -1).trim(), at }
  if (line === '=|') return { kind: 'lost', at }

  const found = LEADS.find(([lead]) => line === lead || line.startsWith(`${lead} `))
  const turn = found && readLine(found, at, problems)
  if (!found) problems.push(error('no such dialogue line', at, 'known: C: S: F: => and C= S= F= =>= "…", =|, (…), #'))
  return turn ?? { kind: 'note', text: line, at } // kept, so that nothing the author wrote is lost
}

function readLine([lead, exact]: Lead, at: SourceRef, problems: Diagnostic[]): Turn | undefined {
  const words = readWords(at.text.slice(lead.length + 1), at, { exact, problems })
  if (!words) return undefined
  const [mark] = lead
  if (mark === 'C' || mark === 'S') return { kind: 'line', by: mark, ...words }
  return { kind: mark === 'F' ? 'firewall' : 'heard', ...words }
}

function readWords(
  rest: string,
  at: SourceRef,
  { exact, problems }: { exact: boolean; problems: Diagnostic[] },
): Words | undefined {
  if (!exact) return { bytes: utf8(`${rest}\r\n`), exact, at }
  const place = { ...at, column: at.text.length - rest.length + 1, length: Math.max(1, rest.length) }
  const said = jsonString(rest)
  if (said === undefined) {
    problems.push(error('not a JSON string', place, 'exact bytes are written C= "QUIT\\n"'))
  } else if (said === '') {
    problems.push(error('no bytes, so nothing is said', place))
  } else if (/[^\x00-\xff]/.test(said)) {
    problems.push(
      error('a character above U+00FF is not one octet', place, 'write its UTF-8 octets, \\u00e2\\u0082\\u00ac'),
    )
  } else {
    return { bytes: bytes(said), exact, at }
  }
  return undefined
}

function jsonString(source: string): string | undefined {
  try {
    const value: unknown = JSON.parse(source)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

function afterHash(line: string): string {
  return line.startsWith('# ') ? line.slice(2) : line.slice(1)
}
