import { fromBase64, lower, text } from '../base/bytes.ts'

/** Names read of one field; with more of them it is not clear which of them a reader takes. */
export const MAX_NAMES = 50
/** Characters of one name that are looked at; no file system takes more. */
const MAX_NAME = 1024

/** `name=`, `filename=` and their forms in pieces and with a charset (RFC 2231 §3, §4), wherever they stand. */
const NAMED = /((?:file)?name)(?:\*(\d{1,9}))?(\*?)[ \t]*(?:\([^()]*\)[ \t]*)?=[ \t]*/gi

/** RFC 2047 §2; no place for them, and many readers take them there. */
const ENCODED_WORD = /=\?[^?\s]{1,80}\?([bq])\?([^?\s]*)\?=/gi

/**
 * The file names that the value of a Content-Type or a Content-Disposition field may have for one reader or another, in
 * lower case; `undefined` where there are too many. Readers differ in which of two they take, in how they decode them,
 * and in what they make of a field that is out of order: so all of it counts. Total, and linear in the field.
 */
export function fileNames(value: string): readonly string[] | undefined {
  const names = new Set<string>()
  const pieces = new Map<string, [number, string][]>()
  let count = 0
  for (const found of value.matchAll(NAMED)) {
    if (++count > MAX_NAMES) return undefined
    const [whole, word = '', piece, star] = found
    for (const each of valuesAt(value, found.index + whole.length)) {
      for (const name of decoded(each)) names.add(name)
      if (piece === undefined && star === '') continue
      for (const name of decoded(unescaped(each))) names.add(name)
    }
    const [first = ''] = valuesAt(value, found.index + whole.length)
    if (piece === undefined) continue
    const known = pieces.get(lower(word)) ?? []
    known.push([Number(piece), star === '' ? first : unescaped(first)])
    pieces.set(lower(word), known)
  }
  for (const each of pieces.values()) {
    const inOrder = each.toSorted(([a], [b]) => a - b)
    for (const order of [each, inOrder])
      for (const name of decoded(order.map(([, said]) => said).join(''))) names.add(name)
  }
  return [...names]
}

/** The value from here on as it reads, and where it ends for those who end it earlier or later. */
function valuesAt(value: string, at: number): readonly string[] {
  const most = value.slice(at, at + MAX_NAME)
  if (most[0] !== '"') {
    const token = (/^[^;]*/.exec(most)?.[0] ?? '').trim()
    return [token, /^[^\s(]*/.exec(token)?.[0] ?? '']
  }
  const quoted = /^"((?:[^"\\]|\\.)*)/s.exec(most)?.[1] ?? ''
  // Windows writes paths there, with no thought of quoted pairs.
  return [quoted.replace(/\\(.)/gs, '$1'), quoted, /^[^";]*/.exec(most.slice(1))?.[0] ?? '']
}

/** Without `charset'language'`, and with the octets that `%XX` stands for. */
function unescaped(said: string): string {
  return said
    .replace(/^[^'%]*'[^'%]*'/, '')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** The name as it is, and with its encoded words decoded; without what no file system keeps at the end of one. */
function decoded(said: string): readonly string[] {
  const plain = said
    .replace(/\?=[ \t]+=\?/g, '?==?')
    .replace(ENCODED_WORD, (_, form: string, words: string) => (lower(form) === 'b' ? ofBase64(words) : ofQ(words)))
  return [said, plain].map(each => lower(ended(each.replace(/\0/g, '')))).filter(each => each !== '')
}

/** Without the dots and blanks at its end. */
function ended(name: string): string {
  let end = name.length
  while (end > 0 && '. \t'.includes(name.charAt(end - 1))) end--
  return name.slice(0, end)
}

function ofBase64(words: string): string {
  const whole = words.replace(/[^A-Za-z0-9+/]/g, '')
  const octets = fromBase64(
    whole.slice(0, whole.length - (whole.length % 4 === 1 ? 1 : 0)).padEnd(4 * Math.ceil(whole.length / 4), '='),
  )
  return octets ? text(octets) : ''
}

function ofQ(words: string): string {
  return words
    .replace(/_/g, ' ')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
