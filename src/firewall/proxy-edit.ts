import { bytes, CR, concat, LF, lower, NO_BYTES, strictUtf8, text, upper, utf8 } from '../base/bytes.ts'
import { type Body, type MimePiece, MimeReader } from '../mail/mime.ts'
import type { Part } from '../mail/part.ts'
import { domainKey, MAX_DOMAIN } from '../smtp/address.ts'
import { reply } from '../smtp/reply.ts'
import { fileNames } from './file-name.ts'
import { InlineFiles, type InlinePiece } from './inline-file.ts'
import { asksAbout, type Subject } from './judge.ts'
import { type MimeField, parseMimeField } from './mime-field.ts'
import type { Fault } from './proxy-content.ts'
import { type ProxyPolicy, type Rules, wordsOf } from './proxy-rules.ts'
import { type Explanation, explain, type Verdict } from './verdict.ts'

/** Octets of a header that is held to be judged as a whole. */
export const MAX_HELD_HEADER = 262_144

/** Fields that show where a message comes from. */
const SHOWS_SENDER: ReadonlySet<string> = new Set(['from', 'sender', 'reply-to', 'return-path', 'message-id'])
/** Fields that name the file that a part is. */
const NAMES_FILE: ReadonlySet<string> = new Set(['content-type', 'content-disposition'])
const SHOWS_CONTENT = /^content-/

/** An editor, where the policy speaks of anything that only an editor can do. */
export function editorFor(rules: Rules): MessageEditor | undefined {
  return edits(rules) ? new MessageEditor(rules) : undefined
}

const editing = new WeakMap<ProxyPolicy, boolean>()

/** Must messages be looked into, and so be such that one can? */
export function edits({ policy }: Pick<Rules, 'policy'>): boolean {
  const known = editing.get(policy)
  if (known !== undefined) return known
  const found = speaksOfContent(policy)
  editing.set(policy, found)
  return found
}

function speaksOfContent(policy: ProxyPolicy): boolean {
  const words = ['header-field', 'mime-encoding'].map(what => ({ on: 'word', what }) as const)
  const texts = ['header-value', 'mime-type', 'filename'].map(what => ({ on: 'text', what }) as const)
  const sizes = ['filename', 'mime-depth', 'mime-parts', 'header-line'].map(what => ({ on: 'size', what }) as const)
  return policy.engine.masquerade.size > 0 || [...words, ...texts, ...sizes].some(each => asksAbout(policy, each))
}

/**
 * Changes a message as it streams past: header fields are left out or said otherwise, attachments left out or replaced by
 * a text. Holds one header at a time; depth and number of parts are the reader's to limit (`mail/mime.ts`).
 */
export class MessageEditor {
  readonly #rules: Rules
  readonly #reader = new MimeReader({ opens: true })
  #header: Uint8Array[] = []
  #held = 0
  #parts = 0
  /** What stands for the body under way, which is thrown away. */
  #instead: Uint8Array | undefined
  #replaces = false
  /** Files in the text of the body under way, where anybody asks. */
  #inline: InlineFiles | undefined
  /** Such a file is left out. */
  #leavesOut = false
  #fault: Fault | undefined
  readonly #altered: Explanation[] = []

  constructor(rules: Rules) {
    this.#rules = rules
  }

  get fault(): Fault | undefined {
    return this.#fault
  }

  altered(): readonly Explanation[] {
    return this.#altered.splice(0)
  }

  push(chunk: Uint8Array): readonly Uint8Array[] {
    return this.#edit(this.#reader.push(chunk))
  }

  end(): readonly Uint8Array[] {
    const out = [...this.#edit(this.#reader.end())]
    // A message that is nothing but a header.
    if (this.#held > 0 && !this.#fault) {
      const isMessage = this.#parts === 0
      for (const field of fieldsOf(concat(this.#header.splice(0)))) {
        // What is no field is a text without a header, for all that is known.
        out.push(...(nameOf(field) === '' ? [field] : this.#judgeField(field, { isMessage })))
      }
    }
    return this.#fault ? [] : out
  }

  #edit(pieces: readonly MimePiece[]): readonly Uint8Array[] {
    const out: Uint8Array[] = []
    for (const piece of pieces) {
      if (this.#fault) return []
      switch (piece.kind) {
        case 'header':
        case 'encoding-field':
          this.#hold(piece.bytes)
          break
        case 'header-end':
          out.push(...this.#judgeHeader(piece.part))
          break
        case 'separator':
          out.push(piece.bytes)
          if (this.#instead) out.push(this.#instead)
          this.#instead = undefined
          break
        case 'body':
          this.#mustBeClear(piece.body.part.unclear)
          if (!this.#replaces) out.push(...this.#judgeText(piece.bytes, piece.body))
          break
        default:
          out.push(...this.#judgeInline(this.#inline?.end() ?? []))
          this.#inline = undefined
          this.#replaces = false
      }
    }
    this.#mustBeClear(this.#reader.ambiguous)
    return this.#fault ? [] : out
  }

  /** Where readers may not agree, what is refused for one of them may be there for another. */
  #mustBeClear(unclear: string | undefined): void {
    if (unclear === undefined || !this.#asksOfParts()) return
    this.#refuse('AMBIGUOUS', unclear, reply(554, '5.6.0', 'The structure of this message is not clear'))
  }

  /** A text may hold files as there were before MIME; in what is encoded there are none. */
  #judgeText(octets: Uint8Array, { part: { encoding } }: Body): readonly Uint8Array[] {
    const isEncoded = encoding === 'base64' || encoding === 'quoted-printable'
    if (isEncoded || !this.#asksOfParts()) return [octets]
    this.#inline ??= new InlineFiles()
    return this.#judgeInline(this.#inline.push(octets))
  }

  #judgeInline(pieces: readonly InlinePiece[]): readonly Uint8Array[] {
    return pieces.flatMap(piece => {
      switch (piece.kind) {
        case 'text':
          return [piece.bytes]
        case 'file':
          return this.#leavesOut ? [] : [piece.bytes]
        case 'end':
          this.#leavesOut = false
          return []
        default:
          return this.#judgeFile(piece)
      }
    })
  }

  /** What stands in the place of a file in the text, if it does not go on. */
  #judgeFile({ type, name }: InlinePiece & { readonly kind: 'begin' }): readonly Uint8Array[] {
    const verdict = this.#rules.judgeAll([
      { on: 'text', what: 'mime-type', text: bytes(type) },
      ...fileSubjects(name === '' ? [] : [name]),
    ])
    if (verdict.kind === 'pass') return []
    if (verdict.kind !== 'strip' && verdict.kind !== 'replace') {
      const said = verdict.kind === 'answer' ? wordsOf(verdict) : reply(554, '5.7.1', 'This kind of content is refused')
      this.#refuse('ATTACHMENT', type, said, verdict)
      return []
    }
    this.#leavesOut = true
    const instead = verdict.kind === 'replace' ? bytes(`${verdict.by.replace(/[^\x20-\x7e]/g, '?')}\r\n`) : NO_BYTES
    this.#explain('attachment', type, bytes(name), instead, verdict, verdict.kind)
    return [instead]
  }

  #asksOfParts(): boolean {
    const { policy } = this.#rules
    return asksAbout(policy, { on: 'text', what: 'mime-type' }) || asksAbout(policy, { on: 'text', what: 'filename' })
  }

  #hold(octets: Uint8Array): void {
    this.#held += octets.length
    // The reader's octets are a view on what is read next.
    this.#header.push(new Uint8Array(octets))
    if (this.#held > MAX_HELD_HEADER) {
      this.#refuse(
        'HEADER',
        `more than ${MAX_HELD_HEADER} octets`,
        reply(552, '5.3.4', 'Message header exceeds the limit'),
      )
    }
  }

  #judgeHeader(part: Part): readonly Uint8Array[] {
    const fields = fieldsOf(concat(this.#header.splice(0)))
    this.#held = 0
    const kept = fields.flatMap(field => this.#judgeField(field, part))
    if (this.#fault) return []
    const verdict = this.#judgePart(fields, part)
    if (verdict.kind === 'pass') return kept
    if (verdict.kind !== 'strip' && verdict.kind !== 'replace') {
      const said = verdict.kind === 'answer' ? wordsOf(verdict) : reply(554, '5.7.1', 'This kind of content is refused')
      this.#refuse('ATTACHMENT', part.type, said, verdict)
      return []
    }
    if (part.holds !== 'octets') {
      this.#refuse('ATTACHMENT', part.type, reply(554, '5.7.1', 'This kind of content is refused'), verdict)
      return []
    }
    const before = concat(fields.filter(field => SHOWS_CONTENT.test(nameOf(field))))
    const header = bytes('Content-Type: text/plain; charset=us-ascii\r\n')
    this.#explain('attachment', part.type, before, header, verdict, verdict.kind)
    this.#replaces = true
    this.#instead = bytes(verdict.kind === 'replace' ? `${verdict.by.replace(/[^\x20-\x7e]/g, '?')}\r\n` : '')
    return [...kept.filter(field => !SHOWS_CONTENT.test(nameOf(field))), header]
  }

  /** The field as it goes on, or nothing. */
  #judgeField(field: Uint8Array, { isMessage }: Pick<Part, 'isMessage'>): readonly Uint8Array[] {
    const name = nameOf(field)
    const verdict = this.#rules.judgeAll([
      ...(isMessage ? [{ on: 'word', what: 'header-field', word: upper(name) } as const] : []),
      { on: 'text', what: 'header-value', text: field },
      { on: 'size', what: 'header-line', size: longestLine(field) },
    ])
    switch (verdict.kind) {
      case 'pass':
        return [this.#masquerade(name, field)]
      case 'strip':
        this.#explain('header', upper(name), field, NO_BYTES, verdict, 'strip')
        return []
      case 'fold': {
        const folded = fold(field, verdict.to)
        if (!folded) {
          const said = reply(554, '5.6.0', 'A header line is too long, and has no blank to fold it at')
          this.#refuse(upper(name), 'no blank', said, verdict)
          return []
        }
        this.#explain('header', upper(name), field, folded, verdict, 'fold')
        return [this.#masquerade(name, folded)]
      }
      case 'replace': {
        const said = bytes(`${text(field).slice(0, name.length)}: ${verdict.by.replace(/[^\x20-\x7e]/g, '?')}\r\n`)
        this.#explain('header', upper(name), field, said, verdict, 'replace')
        return [said]
      }
      default: {
        const said = verdict.kind === 'answer' ? wordsOf(verdict) : reply(554, '5.7.1', 'This header is refused')
        this.#refuse(upper(name), text(field), said, verdict)
        return []
      }
    }
  }

  #judgePart(fields: readonly Uint8Array[], part: Part): Verdict {
    this.#mustBeClear(part.unclear)
    const encoding = fieldValue(fields, 'content-transfer-encoding')?.value
    const names = fields.flatMap(field => {
      if (!NAMES_FILE.has(nameOf(field))) return []
      const found = fileNames(unfolded(field))
      if (!found) this.#mustBeClear('it has more names than can be told apart')
      return found ?? []
    })
    const subjects: Subject[] = [
      { on: 'text', what: 'mime-type', text: bytes(part.type.replace(/[^\0-\xff]/g, '?')) },
      { on: 'size', what: 'mime-parts', size: ++this.#parts },
      { on: 'size', what: 'mime-depth', size: depthOf(part) },
      ...(encoding === undefined ? [] : [{ on: 'word', what: 'mime-encoding', word: encoding } as const]),
      ...fileSubjects(names),
    ]
    return this.#rules.judgeAll(subjects)
  }

  #masquerade(name: string, field: Uint8Array): Uint8Array {
    const { masquerade } = this.#rules.policy.engine
    if (masquerade.size === 0 || !SHOWS_SENDER.has(name)) return field
    const said = text(field)
    // In UTF-8 where it is outside ASCII (RFC 6532); of `text`, each octet is a character.
    const shown = said.replace(/@([A-Za-z0-9.\x80-\xff-]+)/g, (whole, octets: string) => {
      const domain = octets.length <= MAX_DOMAIN ? strictUtf8(bytes(octets)) : undefined
      const other = domain === undefined ? undefined : masquerade.get(domainKey(domain))
      return other === undefined ? whole : `@${text(utf8(other))}`
    })
    if (shown === said) return field
    const out = bytes(shown)
    const because = this.#rules.own('the sender is shown under another domain', 'masquerade')
    this.#altered.push(explain('header', upper(name), { before: field, after: out }, because, { did: 'replace' }))
    return out
  }

  #explain(
    what: 'header' | 'attachment',
    subject: string,
    before: Uint8Array,
    after: Uint8Array,
    verdict: Verdict,
    did: Explanation['did'],
  ): void {
    if (verdict.kind === 'pass') return
    this.#altered.push(explain(what, subject, { before, after }, verdict.because, { did }))
  }

  #refuse(subject: string, seen: string, said: ReturnType<typeof reply>, verdict?: Verdict): void {
    const because = verdict && verdict.kind !== 'pass' ? verdict.because : this.#rules.own(seen)
    const change = { before: bytes(seen.replace(/[^\0-\xff]/g, '?')), after: NO_BYTES }
    this.#fault ??= { reply: said, explanation: explain('attachment', subject, change, because, { did: 'answer' }) }
  }
}

function fileSubjects(names: readonly string[]): readonly Subject[] {
  return names.flatMap((name): readonly Subject[] => [
    { on: 'text', what: 'filename', text: bytes(lower(name)) },
    { on: 'size', what: 'filename', size: name.length },
  ])
}

/** The fields of a header, each with its folded lines and its end. */
function fieldsOf(header: Uint8Array): readonly Uint8Array[] {
  const fields: Uint8Array[] = []
  let from = 0
  for (let lf = header.indexOf(LF); lf >= 0; lf = header.indexOf(LF, lf + 1)) {
    const next = header[lf + 1]
    if (next === 0x20 || next === 0x09) continue
    fields.push(header.subarray(from, lf + 1))
    from = lf + 1
  }
  if (from < header.length) fields.push(header.subarray(from))
  return fields
}

/** In lower case; empty for what is no field. */
function nameOf(field: Uint8Array): string {
  const colon = field.indexOf(0x3a)
  return colon < 0 ? '' : lower(text(field, 0, Math.min(colon, 128))).trimEnd()
}

function fieldValue(fields: readonly Uint8Array[], name: string): MimeField | undefined {
  const field = fields.find(each => nameOf(each) === name)
  if (!field) return undefined
  return parseMimeField(unfolded(field))
}

function unfolded(field: Uint8Array): string {
  return text(field, field.indexOf(0x3a) + 1).replace(/\r?\n/g, '')
}

/** The field with lines of no more than so many octets, CRLF left out; `undefined` where a line has no blank to fold it at. */
export function fold(field: Uint8Array, to: number): Uint8Array | undefined {
  const lines: string[] = []
  // The last field of a message that is nothing but a header may lack its end.
  for (const line of text(field).replace(/\r\n$/, '').split('\r\n')) {
    let rest = line
    while (rest.length > to) {
      const at = foldsAt(rest, to)
      if (at === undefined) return undefined
      lines.push(rest.slice(0, at))
      rest = rest.slice(at)
    }
    lines.push(rest)
  }
  return bytes(lines.map(line => `${line}\r\n`).join(''))
}

/** The last blank before the limit that words stand before and behind: a line of blanks alone would end the header. */
function foldsAt(line: string, to: number): number | undefined {
  for (let at = to; at > 0; at--) {
    if (!isBlank(line[at]) || isBlank(line[at - 1])) continue
    if (line.slice(0, at).trim() !== '' && line.slice(at).trim() !== '') return at
  }
  return undefined
}

function isBlank(octet: string | undefined): boolean {
  return octet === ' ' || octet === '\t'
}

function longestLine(field: Uint8Array): number {
  let longest = 0
  let from = 0
  for (let lf = field.indexOf(LF); lf >= 0; lf = field.indexOf(LF, from)) {
    longest = Math.max(longest, lf - from - (field[lf - 1] === CR ? 1 : 0))
    from = lf + 1
  }
  return Math.max(longest, field.length - from)
}

function depthOf(part: Part): number {
  let depth = 0
  for (let at = part.parent; at; at = at.parent) depth++
  return depth
}
