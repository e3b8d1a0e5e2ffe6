/**
 * Expected lines, with `[[any]]`, `[[date]]`, `[[number]]` and `[[id:x]]` in them, against lines that came.
 *
 * Nothing here backtracks: `[[any]]` takes as little as it can, the others all they can, and none of them tries again.
 * So the work is at most the length of the line times the length of the pattern, whatever a peer sends.
 */

export type Piece =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'any' | 'date' | 'number' }
  | { readonly kind: 'id'; readonly name: string }
export type Pattern = readonly Piece[]

/** What each `[[id:x]]` has stood for so far. */
export type Bindings = ReadonlyMap<string, string>

/** Take a text as it stands: no placeholders. */
export function literally(text: string): Pattern {
  return text === '' ? [] : [{ kind: 'literal', text }]
}

/** Read the placeholders in a text. Double brackets around anything else are the text's own. */
export function readPattern(text: string): Pattern {
  const pieces: Piece[] = []
  let taken = 0
  for (let open = text.indexOf('[['); open >= 0; open = text.indexOf('[[', Math.max(open + 1, taken))) {
    const length = text.slice(open + 2, open + 66).indexOf(']]') // names are short; looking further would take squares
    const piece = length < 0 ? undefined : readPlaceholder(text.slice(open + 2, open + 2 + length))
    if (!piece) continue
    pieces.push(...literally(text.slice(taken, open)), piece)
    taken = open + length + 4
  }
  return [...pieces, ...literally(text.slice(taken))]
}

function readPlaceholder(name: string): Piece | undefined {
  if (name === 'any' || name === 'date' || name === 'number') return { kind: name }
  return /^id:[A-Za-z0-9_-]+$/.test(name) ? { kind: 'id', name: name.slice(3) } : undefined
}

export function hasPlaceholder(text: string): boolean {
  return readPattern(text).some(piece => piece.kind !== 'literal')
}

/** The text that a pattern was read from. */
export function patternText(pattern: Pattern): string {
  return pattern.map(textOf).join('')
}

function textOf(piece: Piece): string {
  if (piece.kind === 'literal') return piece.text
  return piece.kind === 'id' ? `[[id:${piece.name}]]` : `[[${piece.kind}]]`
}

/** Does the whole line match? Then what is bound now; otherwise `undefined`. */
export function match(pattern: Pattern, line: string, bound: Bindings): Bindings | undefined {
  const reach = { digits: reaches(line, /[0-9]/), word: reaches(line, /[A-Za-z0-9_-]/) }
  const segments = splitAt(pattern, piece => piece.kind === 'any')
  return glob(segments, line.length, { bound, follow: (segment, from) => follow(segment, from, { line, reach }) })
}

/** Do these lines match? Expected lines of `...` alone skip as few as they can, from none on. */
export function matchLines(
  expected: readonly string[],
  lines: readonly string[],
  bound: Bindings,
): Bindings | undefined {
  const blocks = splitAt(expected, line => line === '...').map(block => block.map(readPattern))
  const followBlock = (block: readonly Pattern[], from: Place): Place | undefined => {
    let { at, bound } = from
    for (const pattern of block) {
      const line = lines[at++]
      const next = line === undefined ? undefined : match(pattern, line, bound)
      if (!next) return undefined
      bound = next
    }
    return { at, bound }
  }
  return glob(blocks, lines.length, { bound, follow: followBlock })
}

interface Place {
  readonly at: number
  readonly bound: Bindings
}

/** The first part at the start, the last one up to the end, those between where they first fit, in order. */
function glob<Item>(
  parts: readonly Item[],
  length: number,
  { bound, follow }: { bound: Bindings; follow: (part: Item, from: Place) => Place | undefined },
): Bindings | undefined {
  let place: Place = { at: 0, bound }
  for (const [i, part] of parts.entries()) {
    const mustEnd = i === parts.length - 1
    const latest = i === 0 ? 0 : length
    let next: Place | undefined
    for (let at = place.at; at <= latest && !next; at++) {
      const end = follow(part, { at, bound: place.bound })
      if (end && (!mustEnd || end.at === length)) next = end
    }
    if (!next) return undefined
    place = next
  }
  return place.bound
}

function splitAt<Item>(items: readonly Item[], isSplit: (item: Item) => boolean): readonly (readonly Item[])[] {
  const parts: Item[][] = [[]]
  for (const item of items) {
    if (isSplit(item)) parts.push([])
    else parts.at(-1)?.push(item)
  }
  return parts
}

interface Looked {
  readonly line: string
  readonly reach: { readonly digits: Reach; readonly word: Reach }
}

function follow(segment: Pattern, from: Place, { line, reach }: Looked): Place | undefined {
  let { at, bound } = from
  for (const piece of segment) {
    const end = endOf(piece, { at, bound }, { line, reach })
    if (end === undefined || end === at) return undefined
    if (piece.kind === 'id' && !bound.has(piece.name)) bound = new Map(bound).set(piece.name, line.slice(at, end))
    at = end
  }
  return { at, bound }
}

/** Where the piece ends that begins here; `undefined` where it does not fit. */
function endOf(piece: Piece, { at, bound }: Place, { line, reach }: Looked): number | undefined {
  switch (piece.kind) {
    case 'literal':
      return line.startsWith(piece.text, at) ? at + piece.text.length : undefined
    case 'number':
      return reach.digits(at)
    case 'date':
      DATE.lastIndex = at
      return DATE.test(line) ? DATE.lastIndex : undefined
    case 'id': {
      const end = reach.word(at)
      const before = bound.get(piece.name)
      return before === undefined || before === line.slice(at, end) ? end : undefined
    }
    default:
      return undefined // [[any]] is between the segments, never in one
  }
}

/** RFC 5322 dates, and those of RFC 3339. Its length is limited, and so is the work. */
const DATE =
  /(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), {1,2})?\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d(?::\d\d)? (?:[+-]\d{4}|GMT|UTC|UT)(?: \([A-Za-z]{1,5}\))?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)/y

/** How far the characters of one kind go from a place. */
type Reach = (at: number) => number

/** Looked up once for the whole line, and only when asked: going along the same digits again and again would take squares. */
function reaches(line: string, kind: RegExp): Reach {
  let ends: Uint32Array | undefined
  return at => {
    if (!ends) {
      ends = new Uint32Array(line.length + 1)
      ends[line.length] = line.length
      for (let i = line.length - 1; i >= 0; i--) ends[i] = kind.test(line.charAt(i)) ? (ends[i + 1] ?? i) : i
    }
    return ends[at] ?? at
  }
}

/** Who or what a step of a dialogue is: someone's words, words let through, a line of a result, or something done. */
export type Way = 'C' | 'S' | 'F' | '=>' | 'note' | 'closes' | 'tls'

/** A line that must come. `from` and `to` number the turns it was written in: several lines may be one turn. */
export interface Wanted {
  readonly way: Way
  readonly pattern: Pattern
  readonly from: number
  readonly to: number
}

export interface Came {
  readonly way: Way
  readonly text: string
}

/** Words as lines, wherever their turns were cut: up to and with each LF. */
export function linesWanted(turns: readonly { way: Way; pattern: Pattern; turn: number }[]): readonly Wanted[] {
  const lines: { way: Way; pattern: Piece[]; from: number; to: number }[] = []
  for (const { way, pattern, turn } of turns) {
    if (isDeed(way)) lines.push({ way, pattern: [], from: turn, to: turn })
    for (const piece of pattern.flatMap(splitLiteral)) {
      const open = lines.at(-1)
      if (open?.way === way && !endsLine(open.pattern.at(-1))) {
        open.pattern.push(piece)
        open.to = turn
      } else {
        lines.push({ way, pattern: [piece], from: turn, to: turn })
      }
    }
  }
  return lines
}

export function linesCame(words: readonly Came[]): readonly Came[] {
  const streams: { way: Way; texts: string[] }[] = []
  for (const { way, text } of words) {
    const open = streams.at(-1)
    if (open?.way === way && !isDeed(way)) open.texts.push(text)
    else streams.push({ way, texts: [text] })
  }
  return streams.flatMap(({ way, texts }) => {
    const lines = texts.join('').split(/(?<=\n)/)
    return lines.filter(line => line !== '' || isDeed(way)).map(text => ({ way, text }))
  })
}

function isDeed(way: Way): boolean {
  return way === 'closes' || way === 'tls'
}

function splitLiteral(piece: Piece): readonly Piece[] {
  return piece.kind === 'literal' ? piece.text.split(/(?<=\n)/).map(text => ({ ...piece, text })) : [piece]
}

function endsLine(piece: Piece | undefined): boolean {
  return piece?.kind === 'literal' && piece.text.endsWith('\n')
}

/** How many lines fit at the start and how many at the end; and between these, what did not come and what did. */
export interface Comparison {
  readonly same: boolean
  readonly before: number
  readonly after: number
  readonly missing: readonly Wanted[]
  readonly extra: readonly Came[]
  readonly bound: Bindings
}

export function compare(wanted: readonly Wanted[], came: readonly Came[], given: Bindings): Comparison {
  let bound = given
  const fits = (want: Wanted | undefined, line: Came | undefined) => {
    const now = want && line && want.way === line.way ? match(want.pattern, line.text, bound) : undefined
    bound = now ?? bound
    return now !== undefined
  }
  let before = 0
  while (fits(wanted[before], came[before])) before++
  if (before === wanted.length && before === came.length) {
    return { same: true, before, after: 0, missing: [], extra: [], bound }
  }
  // Turns stay whole: of one that wrote several lines, none counts as fitting unless all do.
  const isTorn = (i: number) => (wanted[i - 1]?.to ?? -1) >= (wanted[i]?.from ?? Number.POSITIVE_INFINITY)
  while (isTorn(before)) before--
  const most = Math.min(wanted.length, came.length) - before
  let after = 0
  while (after < most && fits(wanted.at(-1 - after), came.at(-1 - after))) after++
  while (after > 0 && isTorn(wanted.length - after)) after--
  const missing = wanted.slice(before, wanted.length - after)
  return { same: false, before, after, missing, extra: came.slice(before, came.length - after), bound }
}

/** Divide what came out of a firewall among the words it came from, as well as can be told. */
export function share(spoken: readonly string[], came: string): readonly string[] {
  const counts = spoken.map(words => words.split(/(?<=\n)/).length)
  const lines = came.split(/(?<=\n)/)
  const isInPlace = spoken.join('').length === came.length // then every octet stands where it stood
  let octet = 0
  let line = 0
  let later = counts.reduce((sum, count) => sum + count, 0)
  return spoken.map((words, i) => {
    const [fromOctet, fromLine, count] = [octet, line, counts[i] ?? 0]
    octet += words.length
    if (isInPlace) return came.slice(fromOctet, octet)
    later -= count
    const isItself = lines.slice(line, line + count).join('') === words
    const spare = Math.max(0, lines.length - line - later)
    line = i === spoken.length - 1 ? lines.length : line + (isItself ? count : Math.min(count, spare))
    return lines.slice(fromLine, line).join('')
  })
}
