import { lower } from '../base/bytes.ts'

/** What a Content-Type field says (RFC 2045 §5.1), as far as one must know to find the parts of a message. */
export interface MediaType {
  /** `text/plain`: both names in lower case. */
  readonly name: string
  /** Missing where there is none, or where readers would not agree on it. */
  readonly boundary?: string
}

/** Characters of a type's name and of a subtype's (RFC 6838 §4.2). */
const NAME_LENGTH = 127

/** The value of a Content-Type field, without its name; `undefined` where it does not begin with a media type. */
export function parseMediaType(value: string): MediaType | undefined {
  const start = skipComments(value, 0)
  const slash = tokenEnd(value, start)
  const end = tokenEnd(value, slash + 1)
  if (value[slash] !== '/' || slash === start || end === slash + 1) return undefined
  if (slash - start > NAME_LENGTH || end - slash - 1 > NAME_LENGTH) return undefined
  if (end < value.length && !'; \t('.includes(value.charAt(end))) return undefined
  const name = lower(value.slice(start, end))
  const boundary = parseBoundary(value, end)
  return boundary === undefined ? { name } : { name, boundary }
}

/** The only token of a field's value, in lower case; `undefined` where there is anything else in it. */
export function parseToken(value: string): string | undefined {
  const start = skipComments(value, 0)
  const end = tokenEnd(value, start)
  if (end === start || skipComments(value, end) < value.length) return undefined
  return lower(value.slice(start, end))
}

/** The one boundary among the parameters from here on; none where anything in them is out of order. */
function parseBoundary(value: string, from: number): string | undefined {
  let boundary: string | undefined
  for (let at = skipComments(value, from); at < value.length; at = skipComments(value, at)) {
    if (value[at] !== ';') return undefined
    at = skipComments(value, at + 1)
    if (at === value.length || value[at] === ';') continue
    const nameEnd = tokenEnd(value, at)
    const name = lower(value.slice(at, nameEnd))
    at = skipComments(value, nameEnd)
    if (value[at] !== '=') return undefined
    const read = parameterValue(value, skipComments(value, at + 1))
    // In pieces or with a charset (RFC 2231 §3), or twice: some readers see one boundary, some another.
    if (!read || name.startsWith('boundary*') || (name === 'boundary' && boundary !== undefined)) return undefined
    if (name === 'boundary') boundary = read.text
    at = read.end
  }
  return boundary
}

function parameterValue(value: string, at: number): { readonly text: string; readonly end: number } | undefined {
  if (value[at] !== '"') {
    // Many write `=`, `/` and `:` without the quotes these need, and every reader takes them.
    let end = at
    while (end < value.length && !'; \t('.includes(value.charAt(end))) end++
    const text = value.slice(at, end)
    return text === '' || text.includes('"') || value[end] === '(' ? undefined : { text, end }
  }
  let text = ''
  for (let i = at + 1; i < value.length; i++) {
    if (value[i] === '"') return { text, end: i + 1 }
    if (value[i] === '\\') i++
    text += value.charAt(i)
  }
  return undefined
}

/** Behind spaces and comments (RFC 5322 §3.2.2), which may stand in one another. */
function skipComments(value: string, from: number): number {
  let open = 0
  let at = from
  for (; at < value.length; at++) {
    const char = value[at]
    if (char === '(') open++
    else if (open > 0 && char === ')') open--
    else if (open > 0 && char === '\\') at++
    else if (open === 0 && char !== ' ' && char !== '\t') break
  }
  return Math.min(at, value.length)
}

function tokenEnd(value: string, from: number): number {
  let at = from
  while (at < value.length && /[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]/.test(value.charAt(at))) at++
  return at
}
