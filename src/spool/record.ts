import { fromBase64, toBase64 } from '../base/bytes.ts'
import type { Envelope, Recipient } from '../mail/envelope.ts'
import type { Mailbox } from '../smtp/address.ts'
import type { Reply } from '../smtp/reply.ts'
import type { Blob } from '../smtp/session.ts'
import type { Failure, Note, Outcome, RecipientState, SpoolEntry } from './entry.ts'

/**
 * An entry as it is kept: a line of JSON that a person can read, with the version of its form. What an older Postern wrote
 * is brought forward step by step; what a newer one wrote is refused and left as it is.
 */
export interface SpoolRecord {
  readonly entry: SpoolEntry
  readonly body: StoredBody
}

/** Where the content is, and how to tell that it is what came. */
export interface StoredBody {
  readonly place: 'tree' | 'file'
  /** CRC-32 of the whole. Against rot, and not against people: whoever may write here may write the sum as well. */
  readonly sum: number
}

/** From version n, at position n - 1, to version n + 1: the record without its version, as it was parsed. */
export type Upgrade = (record: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>

/** Every form there ever was but the current one. A change that an older Postern would misread adds its step here. */
export const UPGRADES: readonly Upgrade[] = []

export type Unreadable = { readonly wrong: string }

export function writeRecord({ entry, body }: SpoolRecord): string {
  const { blob } = entry.envelope
  // What is rare costs nothing where it is not there: every message is written twice.
  const kept = blob
    ? { ...entry, envelope: { ...entry.envelope, blob: { version: blob.version, bytes: toBase64(blob.bytes) } } }
    : entry
  return JSON.stringify({ version: UPGRADES.length + 1, body, entry: kept })
}

/** Total: a record, or what is wrong with it and where. */
export function readRecord(text: string, upgrades: readonly Upgrade[] = UPGRADES): SpoolRecord | Unreadable {
  const parsed = parseJson(text)
  if (parsed === undefined || !isObject(parsed)) return { wrong: 'it is no JSON object' }
  const { version, ...rest } = parsed
  const known = upgrades.length + 1
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    return { wrong: `version: expected a whole number from 1 to ${known}` }
  }
  if (version > known) return { wrong: `version ${version} was written by a newer Postern; this one knows ${known}` }
  let record: Readonly<Record<string, unknown>> = rest
  for (const upgrade of upgrades.slice(version - 1)) record = upgrade(record)
  return RECORD(record, 'record')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// ── shapes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Reads a value of one shape, or says what is wrong at which place. */
type Shape<T> = (value: unknown, at: string) => T | Unreadable

/** A shape for every field, so that a new field of `T` does not compile until it is read here, too. */
type Fields<T> = { readonly [K in keyof Required<T>]: Shape<T[K]> }

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isUnreadable(value: unknown): value is Unreadable {
  return isObject(value) && typeof value.wrong === 'string'
}

function object<T>(fields: Fields<T>): Shape<T> {
  const shapes = Object.entries(fields) as [string, Shape<unknown>][]
  const names = new Set(shapes.map(([name]) => name))
  return (value, at) => {
    if (!isObject(value)) return { wrong: `${at}: expected an object` }
    // Dropped without a word, what it said would be lost at the next write.
    const stranger = Object.keys(value).find(name => !names.has(name))
    if (stranger !== undefined) return { wrong: `${at}.${stranger}: no such field is known` }
    const found: Record<string, unknown> = {}
    for (const [name, shape] of shapes) {
      const read = shape(Object.hasOwn(value, name) ? value[name] : undefined, `${at}.${name}`)
      if (isUnreadable(read)) return read
      if (read !== undefined) found[name] = read
    }
    return found as T
  }
}

/** An absent field stays absent: `object` leaves it out. */
function optional<T>(shape: Shape<T>): Shape<T> {
  return (value, at) => (value === undefined ? (undefined as T) : shape(value, at))
}

function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return { wrong: `${at}: expected a list` }
    const found: T[] = []
    for (const [i, each] of value.entries()) {
      const read = shape(each, `${at}[${i}]`)
      if (isUnreadable(read)) return read
      found.push(read)
    }
    return found
  }
}

function oneOf<T extends string>(...words: readonly T[]): Shape<T> {
  return (value, at) => words.find(word => word === value) ?? { wrong: `${at}: expected one of ${words.join(', ')}` }
}

/** The shape that a tag names. */
function tagged<T>(tag: string, shapes: Readonly<Record<string, Shape<T>>>): Shape<T> {
  return (value, at) => {
    const named = isObject(value) ? value[tag] : undefined
    const shape = typeof named === 'string' && Object.hasOwn(shapes, named) ? shapes[named] : undefined
    return shape?.(value, at) ?? { wrong: `${at}.${tag}: expected one of ${Object.keys(shapes).join(', ')}` }
  }
}

const text: Shape<string> = (value, at) => (typeof value === 'string' ? value : { wrong: `${at}: expected a text` })
const flag: Shape<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : { wrong: `${at}: expected true or false` }
const whole: Shape<number> = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : { wrong: `${at}: expected a whole number` }
/** An expiry or a due time may be computed, and need not be whole. */
const time: Shape<number> = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) ? value : { wrong: `${at}: expected a time` }
/** RFC 6710 §2. */
const degree: Shape<number> = (value, at) =>
  typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 9
    ? value
    : { wrong: `${at}: expected -9 to 9` }
const octets: Shape<Uint8Array> = (value, at) =>
  (typeof value === 'string' ? fromBase64(value) : undefined) ?? { wrong: `${at}: expected base64` }

const MAILBOX: Shape<Mailbox> = object<Mailbox>({ local: text, domain: text })

const REPLY: Shape<Reply> = object<Reply>({ code: whole, status: optional(text), text: list(text) })
const FAILURE: Shape<Failure> = object<Failure>({ status: text, why: text })
const BY: Shape<Reply | Failure> = (value, at) => (isObject(value) && 'code' in value ? REPLY : FAILURE)(value, at)

type Of<T extends { readonly kind: string }, K> = T extends { readonly kind: infer Kind }
  ? K extends Kind
    ? T
    : never
  : never

const GONE: Shape<Outcome> = object<Of<Outcome, 'relayed'>>({
  kind: oneOf('delivered', 'relayed', 'expanded'),
  to: text,
  by: optional(REPLY),
  dsn: optional(flag),
  untimed: optional(flag),
})
const OUTCOME: Shape<Outcome> = tagged<Outcome>('kind', {
  delivered: GONE,
  relayed: GONE,
  expanded: GONE,
  deferred: object<Of<Outcome, 'deferred'>>({
    kind: oneOf('deferred'),
    by: BY,
    until: optional(time),
    remote: optional(text),
  }),
  failed: object<Of<Outcome, 'failed'>>({
    kind: oneOf('failed'),
    by: BY,
    remote: optional(text),
    reply: optional(REPLY),
  }),
})

const STATE: Shape<RecipientState> = tagged<RecipientState>('kind', {
  waiting: object<Of<RecipientState, 'waiting'>>({
    kind: oneOf('waiting'),
    due: time,
    attempts: whole,
    last: optional(OUTCOME),
    tried: optional(time),
  }),
  done: object<Of<RecipientState, 'done'>>({ kind: oneOf('done'), at: time, outcome: OUTCOME }),
})

const RECIPIENT: Shape<Recipient> = object<Recipient>({
  to: MAILBOX,
  notify: optional(text),
  orcpt: optional(text),
})

const ENVELOPE: Shape<Envelope> = object<Envelope>({
  from: (value, at) => (value === null ? null : MAILBOX(value, at)),
  recipients: list(RECIPIENT),
  smtputf8: flag,
  body: oneOf('7bit', '8bitmime', 'binarymime'),
  ret: optional(oneOf('FULL', 'HDRS')),
  envid: optional(text),
  requireTls: optional(flag),
  hold: optional(time),
  deliverBy: optional(
    object<NonNullable<Envelope['deliverBy']>>({ at: time, mode: oneOf('return', 'notify'), trace: flag }),
  ),
  priority: optional(degree),
  blob: optional(object<Blob>({ version: text, bytes: octets })),
})

const ENTRY_FIELDS: Shape<SpoolEntry> = object<SpoolEntry>({
  id: text,
  revision: whole,
  arrived: time,
  expires: time,
  held: optional(time),
  toldLate: optional(time),
  envelope: ENVELOPE,
  size: whole,
  recipients: list(STATE),
  trail: list(object<Note>({ at: time, what: text })),
})

const ENTRY: Shape<SpoolEntry> = (value, at) => {
  const entry = ENTRY_FIELDS(value, at)
  if (isUnreadable(entry) || entry.recipients.length === entry.envelope.recipients.length) return entry
  return { wrong: `${at}.recipients: expected as many as there are in the envelope` }
}

const RECORD: Shape<SpoolRecord> = object<SpoolRecord>({
  entry: ENTRY,
  body: object<StoredBody>({ place: oneOf('tree', 'file'), sum: whole }),
})
