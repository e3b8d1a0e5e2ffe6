import { bytes, CR, LF, lower, text, upper } from '../base/bytes.ts'
import type { Subject } from './judge.ts'
import { parseMimeField } from './mime-field.ts'

/** Something seen in a message that a rule may speak of, and the line it was seen in, as far as it was kept. */
export interface Sight {
  readonly subject: Subject
  readonly line: Uint8Array
}

/** Octets of a header field that are looked at, its folded lines together. */
export const MAX_FIELD = 8192
/** Multiparts in one another that are followed. */
export const MAX_BOUNDARIES = 20
/** Octets of a body line that are kept: a boundary has 70 at most (RFC 2046 §5.1.1). */
const BOUNDARY_LINE = 80

type Asks = (about: About) => boolean

const SIZES = ['header-line', 'body-line', 'header', 'body', 'message'] as const
type Size = (typeof SIZES)[number]

/**
 * A message as it streams past, whatever its size: lengths, header fields, and the fields of its MIME parts. Nothing is
 * kept but the field and the line under way.
 *
 * A length is told when it is the greatest or the least so far: what holds for more than that has been told.
 */
export class MessageWatch {
  readonly #asksOfFields: boolean
  readonly #asksOfParts: boolean
  #inHeader = true
  /** Of the message itself, not of a part. */
  #isTop = true
  #line = ''
  #lineLength = 0
  #endsInCr = false
  #field = ''
  #boundaries: string[] = []
  #parts = 0
  #toFields = 0
  /** What was told so far of each size that somebody asks about. */
  readonly #told: Partial<Record<Size, { least: number; most: number }>> = {}
  /** Octets of the header lines, and of what is behind them. */
  headerSize = 0
  bodySize = 0

  constructor(asks: Asks) {
    this.#asksOfFields = FIELD_SUBJECTS.some(asks)
    this.#asksOfParts = PART_SUBJECTS.some(asks)
    for (const what of SIZES) {
      if (asks({ on: 'size', what })) this.#told[what] = { least: Number.POSITIVE_INFINITY, most: -1 }
    }
  }

  get size(): number {
    return this.headerSize + this.bodySize
  }

  push(chunk: Uint8Array): readonly Sight[] {
    const sights: Sight[] = []
    for (let from = 0; from < chunk.length; ) {
      const lf = chunk.indexOf(LF, from)
      const end = lf < 0 ? chunk.length : lf
      this.#keep(chunk, from, end)
      this.#lineLength += end - from
      const endsInCr = end > from ? chunk[end - 1] === CR : this.#endsInCr
      this.#endsInCr = endsInCr
      const taken = end - from + (lf < 0 ? 0 : 1)
      if (this.#isTop && this.#inHeader) this.headerSize += taken
      else this.bodySize += taken
      const length = this.#lineLength - (endsInCr ? 1 : 0)
      if (this.#inHeader) this.#size(sights, 'header-line', length, lf >= 0)
      else this.#size(sights, 'body-line', length, lf >= 0)
      from = end + 1
      if (lf < 0) break
      if (this.#inHeader) this.#headerLine(sights)
      else if (this.#line.startsWith('--')) this.#boundary(sights)
      this.#line = ''
      this.#lineLength = 0
      this.#endsInCr = false
    }
    this.#size(sights, 'header', this.headerSize, true)
    this.#size(sights, 'body', this.bodySize, true)
    this.#size(sights, 'message', this.size, true)
    return sights
  }

  /** The message is over: what the last field said, if no line came behind it. */
  end(): readonly Sight[] {
    const sights: Sight[] = []
    if (this.#inHeader) this.#endField(sights)
    return sights
  }

  #keep(chunk: Uint8Array, from: number, end: number): void {
    const most = this.#inHeader ? MAX_FIELD : this.#boundaries.length > 0 ? BOUNDARY_LINE : 0
    const room = most - this.#line.length
    if (room > 0) this.#line += text(chunk, from, Math.min(end, from + room))
  }

  #size(sights: Sight[], what: Size, size: number, whole: boolean): void {
    const told = this.#told[what]
    // A line under way can only become longer: that it is short so far says nothing.
    if (!told || (size <= told.most && (!whole || size >= told.least))) return
    if (!whole && size === 0) return
    if (size > told.most) told.most = size
    if (size < told.least) told.least = size
    sights.push({ subject: { on: 'size', what, size }, line: bytes(this.#line) })
  }

  #headerLine(sights: Sight[]): void {
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line
    if (line === '') {
      this.#endField(sights)
      this.#inHeader = false
      this.#isTop = false
    } else if (/^[ \t]/.test(line)) {
      if (this.#field.length < MAX_FIELD) this.#field += line
    } else {
      this.#endField(sights)
      this.#field = line
    }
  }

  #endField(sights: Sight[]): void {
    const field = this.#field
    this.#field = ''
    const colon = field.indexOf(':')
    if (colon <= 0 || (!this.#asksOfFields && !this.#isMime(field))) return
    const name = lower(field.slice(0, colon).trim())
    const value = field.slice(colon + 1)
    const line = bytes(field.slice(0, MAX_FIELD))
    const tell = (subject: Subject): void => {
      sights.push({ subject, line })
    }
    if (this.#isTop) {
      tell({ on: 'word', what: 'header-field', word: upper(name) })
      tell({ on: 'text', what: 'header-value', text: line })
      if (name === 'to') tell({ on: 'size', what: 'to-fields', size: ++this.#toFields })
    }
    if (name === 'content-transfer-encoding') {
      tell({ on: 'word', what: 'mime-encoding', word: parseMimeField(value).value })
    }
    if (name !== 'content-type' && name !== 'content-disposition') return
    const { value: type, params } = parseMimeField(value)
    if (name === 'content-type') {
      tell({ on: 'text', what: 'mime-type', text: bytes(type.replace(/[^\0-\xff]/g, '?')) })
      const boundary = params.get('boundary')
      if (type.startsWith('multipart/') && boundary && this.#boundaries.length < MAX_BOUNDARIES) {
        this.#boundaries.push(boundary)
        tell({ on: 'size', what: 'mime-depth', size: this.#boundaries.length })
      }
    }
    const filename = params.get(name === 'content-type' ? 'name' : 'filename')
    if (filename === undefined) return
    tell({ on: 'size', what: 'filename', size: filename.length })
    tell({ on: 'text', what: 'filename', text: bytes(filename) })
  }

  /** Boundaries must be followed as long as anybody asks of the parts. */
  #isMime(field: string): boolean {
    return this.#asksOfParts && /^content-/i.test(field)
  }

  #boundary(sights: Sight[]): void {
    const line = this.#line.slice(2).trimEnd()
    for (let i = this.#boundaries.length - 1; i >= 0; i--) {
      const boundary = this.#boundaries[i] ?? ''
      if (!line.startsWith(boundary)) continue
      const rest = line.slice(boundary.length)
      if (rest !== '' && rest !== '--') continue
      // What was opened inside and never closed is over with it.
      this.#boundaries.length = rest === '' ? i + 1 : i
      if (rest === '') {
        this.#inHeader = true
        this.#parts++
        sights.push({ subject: { on: 'size', what: 'mime-parts', size: this.#parts }, line: bytes(this.#line) })
      }
      return
    }
  }
}

interface About {
  readonly on: Subject['on']
  readonly what: string
}

const about = (on: Subject['on'], ...whats: readonly string[]): readonly About[] => whats.map(what => ({ on, what }))

const PART_SUBJECTS: readonly About[] = [
  ...about('word', 'mime-encoding'),
  ...about('text', 'mime-type', 'filename'),
  ...about('size', 'filename', 'mime-depth', 'mime-parts'),
]

const FIELD_SUBJECTS: readonly About[] = [
  ...PART_SUBJECTS,
  ...about('word', 'header-field'),
  ...about('text', 'header-value'),
  ...about('size', 'to-fields'),
]

/** Everything a rule may ask of a message: where none does, nobody need watch. */
export const MESSAGE_SUBJECTS: readonly About[] = [
  ...FIELD_SUBJECTS,
  ...about('size', 'header', 'header-line', 'body', 'body-line', 'message', 'overrun'),
]
