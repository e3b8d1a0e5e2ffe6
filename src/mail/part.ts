import { lower, text } from '../base/bytes.ts'
import { type MediaType, parseMediaType, parseToken } from './media-type.ts'

/** How deep parts may stand in one another; what is deeper is left alone, whatever it says it is. */
export const MIME_DEPTH = 100
/** Octets of a boundary. RFC 2046 §5.1.1 allows 70; longer ones are about, and readers take them. */
export const MIME_BOUNDARY = 200
/** Octets of a field that are looked at, its name included. */
export const MIME_FIELD = 8192
/** Octets at the beginning of a line that are waited for, to tell whether it is a delimiter and which field it is. */
export const LINE_START = 512

/** A header, and what it says of the content under it. */
export interface Part {
  /** Counted through the message, the whole being 0. */
  readonly index: number
  readonly parent: Part | undefined
  /** It begins a message: the whole, or one in a message/rfc822. */
  readonly isMessage: boolean
  /** Its media type, or the one that holds where it says none. */
  readonly type: string
  readonly hasContentType: boolean
  readonly hasMimeVersion: boolean
  /** Its Content-Transfer-Encoding in lower case, if it has one. */
  readonly encoding: string | undefined
  readonly holds: 'octets' | 'parts' | 'message'
  readonly boundary: string | undefined
  /** Why its octets must stay as they are. A clause about "it". */
  readonly fixed: string | undefined
  /** Why readers may not agree on what it is, or on what is in it. A clause about "it". */
  readonly unclear: string | undefined
}

/** The fields that say what a part is. */
const WATCHED: ReadonlySet<string> = new Set(['content-type', 'content-transfer-encoding', 'mime-version'])

/** Why the octets of these must stay as they are; the last two may only be 7-bit from the start (RFC 2046 §5.2). */
const FIXED: Readonly<Record<string, string>> = {
  'multipart/signed': 'a signature covers it',
  'multipart/encrypted': 'it is encrypted',
  'message/partial': 'it is a fragment of another message',
  'message/external-body': 'its type may not be encoded',
}

/** The message/… types that may be encoded like any other (RFC 6532 §3.7, RFC 6533 §6). */
const ENCODABLE_MESSAGES: ReadonlySet<string> = new Set([
  'message/global',
  'message/global-headers',
  'message/global-delivery-status',
  'message/global-disposition-notification',
])

/** What readers look into for parts of its own, and what whoever looks for something in them must look into, too. */
const OPENS = /^(?:multipart\/|message\/(?:rfc822|global)$)/

const IDENTITIES: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary'])

/** A header as it streams past: what it says of its part. */
export class Header {
  readonly index: number
  readonly #parent: Part | undefined
  /** The field under way, in lower case. */
  field: string | undefined
  readonly #values = new Map<string, string>()
  readonly #opens: boolean
  #trouble: string | undefined
  #unclear: string | undefined

  /** `opens`: what must stay as it is, is looked into all the same. */
  constructor(index: number, parent: Part | undefined, opens = false) {
    this.index = index
    this.#parent = parent
    this.#opens = opens
  }

  /** Is this line more of the field under way? */
  continues(buffer: Uint8Array, at: number): boolean {
    return this.field !== undefined && (buffer[at] === 0x20 || buffer[at] === 0x09)
  }

  startField(buffer: Uint8Array, at: number, eol: number): void {
    const start = text(buffer, at, Math.min(eol, at + LINE_START))
    const colon = start.indexOf(':')
    const name = lower(start.slice(0, Math.max(colon, 0)))
    this.field = name
    // Some readers end the header here, some do not.
    if (!/^[!-9;-~]+$/.test(name)) this.#trouble ??= 'its header has a line that is no field'
    if (!WATCHED.has(name)) return
    if (this.#values.has(name) && name !== 'mime-version') this.#doubt(name, `it has more than one ${name} field`)
    this.#values.set(name, '')
  }

  /** Octets of the field under way, its name included. */
  more(buffer: Uint8Array, from: number, to: number): void {
    const { field } = this
    if (field === undefined || !WATCHED.has(field)) return
    const value = (this.#values.get(field) ?? '') + text(buffer, from, Math.min(to, from + MIME_FIELD))
    if (value.length > MIME_FIELD) this.#doubt(field, `its ${field} field is longer than ${MIME_FIELD} octets`)
    this.#values.set(field, value.slice(0, MIME_FIELD))
  }

  #doubt(field: string, why: string): void {
    this.#trouble ??= why
    if (field === 'content-type') this.#unclear ??= why
  }

  /** What the part is. `delimiters`: those of the multiparts it stands in. */
  end(delimiters: readonly string[], reason?: string): Part {
    const isMessage = this.#parent === undefined || this.#parent.holds === 'message'
    const type = this.#valueOf('content-type')
    const media = type === undefined ? this.#unsaid() : parseMediaType(type)
    const label = this.#valueOf('content-transfer-encoding')
    const encoding = label === undefined ? undefined : parseToken(label)
    const isLabelRead = label === undefined || encoding !== undefined
    const unread = media ? undefined : 'its Content-Type cannot be read'
    const sealed = this.#cannotEncode(media, encoding, delimiters)
    const fixed =
      reason ??
      this.#trouble ??
      unread ??
      (!isLabelRead ? 'its Content-Transfer-Encoding cannot be read' : undefined) ??
      FIXED[media?.name ?? ''] ??
      sealed
    const unclear =
      reason ??
      this.#unclear ??
      unread ??
      (media?.name === 'message/partial' ? FIXED[media.name] : undefined) ??
      (OPENS.test(media?.name ?? '') ? sealed : undefined)
    const isShut = (this.#opens ? unclear : fixed) !== undefined
    const holds = isShut || !media ? 'octets' : holdsOf(media.name, this.#opens)
    return {
      index: this.index,
      parent: this.#parent,
      isMessage,
      type: media?.name ?? 'of a type that cannot be read',
      hasContentType: type !== undefined,
      hasMimeVersion: this.#values.has('mime-version'),
      encoding,
      holds,
      boundary: holds === 'parts' ? media?.boundary : undefined,
      fixed,
      unclear,
    }
  }

  #valueOf(field: string): string | undefined {
    return this.#values.get(field)?.slice(field.length + 1)
  }

  /** RFC 2045 §5.2, RFC 2046 §5.1.5. */
  #unsaid(): MediaType {
    return { name: this.#parent?.type === 'multipart/digest' ? 'message/rfc822' : 'text/plain' }
  }

  #cannotEncode(
    media: MediaType | undefined,
    encoding: string | undefined,
    delimiters: readonly string[],
  ): string | undefined {
    if (encoding !== undefined && !IDENTITIES.has(encoding)) {
      return /^(?:base64|quoted-printable)$/.test(encoding)
        ? `it is ${encoding} already`
        : 'its Content-Transfer-Encoding is not known'
    }
    if (!media) return undefined
    const holds = holdsOf(media.name)
    if (holds === 'octets') {
      return media.name.startsWith('message/') && !ENCODABLE_MESSAGES.has(media.name)
        ? 'its type may not be encoded'
        : undefined
    }
    let depth = 1
    for (let part = this.#parent; part; part = part.parent) depth++
    if (depth > MIME_DEPTH) return `it is nested deeper than ${MIME_DEPTH}`
    if (holds === 'message') return undefined
    const { boundary } = media
    if (boundary === undefined || boundary === '' || boundary.length > MIME_BOUNDARY || /[ \t]$/.test(boundary)) {
      return 'its boundary cannot be read'
    }
    if (delimiters.includes(`--${boundary}`)) return 'its boundary is that of a part around it, too'
    return undefined
  }
}

function holdsOf(type: string, opens = false): Part['holds'] {
  if (type === 'message/rfc822' || (opens && type === 'message/global')) return 'message'
  return type.startsWith('multipart/') ? 'parts' : 'octets'
}
