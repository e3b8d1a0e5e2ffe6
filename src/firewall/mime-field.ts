import { lower } from '../base/bytes.ts'

/** The value of a MIME field with its parameters: `text/plain; charset=utf-8; name="a b.txt"` (RFC 2045 §5.1). */
export interface MimeField {
  /** In lower case: `text/plain`, `attachment`, `base64`. */
  readonly value: string
  /** Names in lower case. A value that RFC 2231 §3 cut in pieces is put together, and stays as it is encoded. */
  readonly params: ReadonlyMap<string, string>
}

/** Parameters read of one field; more are left unread. */
export const MAX_MIME_PARAMS = 50

/** Total: what cannot be read ends the list. Linear in the field. */
export function parseMimeField(text: string): MimeField {
  const semicolon = text.indexOf(';')
  const value = lower((semicolon < 0 ? text : text.slice(0, semicolon)).trim())
  const pieces = new Map<string, string>()
  let at = semicolon < 0 ? text.length : semicolon
  for (let count = 0; at < text.length && count < MAX_MIME_PARAMS; count++) {
    const equals = text.indexOf('=', at + 1)
    if (equals < 0) break
    const name = lower(text.slice(at + 1, equals).trim())
    const read =
      text.charAt(skip(text, equals + 1)) === '"' ? quoted(text, skip(text, equals + 1)) : token(text, equals + 1)
    if (!pieces.has(name)) pieces.set(name, read.value)
    const next = text.indexOf(';', read.end)
    at = next < 0 ? text.length : next
  }
  return { value, params: joined(pieces) }
}

function skip(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\t') at++
  return at
}

function quoted(text: string, open: number): { readonly value: string; readonly end: number } {
  let value = ''
  let at = open + 1
  for (; at < text.length && text[at] !== '"'; at++) {
    if (text[at] === '\\') at++
    value += text.charAt(at)
  }
  return { value, end: at + 1 }
}

function token(text: string, from: number): { readonly value: string; readonly end: number } {
  const semicolon = text.indexOf(';', from)
  const end = semicolon < 0 ? text.length : semicolon
  return { value: text.slice(from, end).trim(), end }
}

/** `filename*0=a; filename*1*=b` is `filename`. */
function joined(pieces: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const params = new Map<string, string>()
  for (const [name, value] of pieces) {
    const star = name.indexOf('*')
    const base = star < 0 ? name : name.slice(0, star)
    // Pieces come in their order from every client there is; one out of order is still counted.
    params.set(base, star < 0 ? (params.get(base) ?? value) : (params.get(base) ?? '') + value)
  }
  return params
}
