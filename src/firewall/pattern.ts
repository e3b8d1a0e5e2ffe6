/**
 * Patterns on what a peer sends, in the `regex` syntax of a Cisco ASA, matched in linear time (`pattern-run.ts`): no text a
 * peer can send makes it slow.
 *
 * `.` `(…)` `|` `?` `*` `+` `{n}` `{n,}` `{n,m}` `[abc]` `[^abc]` `[a-c]` `^`, `"…"` for literal text, `\` before a
 * character for itself, and `\r \n \t \f \xNN \NNN`. A `$` that ends an alternative is the end of the text, which the
 * ASA's own list does not name. Letters are matched as they are; what is not anchored matches anywhere.
 */
import { Run, type State } from './pattern-run.ts'

export interface Pattern {
  readonly source: string
  test(text: Uint8Array): boolean
}

export const MAX_PATTERN_LENGTH = 256
/**
 * States of one pattern: the time for a text is its octets times this at most, some 50 ms for a whole header field. A name
 * of 255 octets is counted with 511.
 */
export const MAX_PATTERN_STATES = 512

/** The pattern, or what is wrong with it and at which character. */
export function pattern(source: string): Pattern | { readonly wrong: string; readonly at: number } {
  if (source.length > MAX_PATTERN_LENGTH) {
    return { wrong: `a pattern has ${MAX_PATTERN_LENGTH} characters at most`, at: MAX_PATTERN_LENGTH }
  }
  const read = new Reader(source).read()
  if ('wrong' in read) return read
  const program = new Builder()
  const start = program.fragment(read, program.add({ kind: 'match' }))
  if (start === undefined) {
    return { wrong: `the pattern needs more than ${MAX_PATTERN_STATES} states: its counts are too large`, at: 0 }
  }
  const { states } = program
  const run = new Run(states, start)
  return { source, test: text => run.test(text) }
}

/* The pattern as a tree. */

type Tree =
  | { readonly kind: 'set'; readonly set: Uint8Array }
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'sequence' | 'either'; readonly of: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly of: Tree; readonly least: number; readonly most: number }

type Wrong = { readonly wrong: string; readonly at: number }

const ESCAPES: Readonly<Record<string, number>> = { r: 0x0d, n: 0x0a, t: 0x09, f: 0x0c }

class Reader {
  readonly #source: string
  #at = 0
  #wrong: Wrong | undefined

  constructor(source: string) {
    this.#source = source
  }

  read(): Tree | Wrong {
    if (this.#source === '') return { wrong: 'a pattern cannot be empty', at: 0 }
    const tree = this.#either()
    if (!this.#wrong && this.#at < this.#source.length) this.#fail('this bracket was never opened')
    return this.#wrong ?? tree
  }

  #fail(wrong: string, at = this.#at): void {
    this.#wrong ??= { wrong, at }
  }

  #peek(): string {
    return this.#source.charAt(this.#at)
  }

  #either(): Tree {
    const of = [this.#sequence()]
    while (this.#peek() === '|' && !this.#wrong) {
      this.#at++
      of.push(this.#sequence())
    }
    return of.length === 1 && of[0] ? of[0] : { kind: 'either', of }
  }

  #sequence(): Tree {
    const of: Tree[] = []
    for (let char = this.#peek(); char !== '' && char !== '|' && char !== ')' && !this.#wrong; char = this.#peek()) {
      of.push(this.#repeated(this.#one()))
    }
    return { kind: 'sequence', of }
  }

  #one(): Tree {
    const start = this.#at
    const char = this.#peek()
    this.#at++
    switch (char) {
      case '(': {
        const inner = this.#either()
        if (this.#peek() !== ')') this.#fail('this bracket is never closed', start)
        this.#at++
        return inner
      }
      case '[':
        return this.#set(start)
      case '.':
        return { kind: 'set', set: new Uint8Array(256).fill(1) }
      case '^':
        return { kind: 'begin' }
      case '$':
        if (['', '|', ')'].includes(this.#peek())) return { kind: 'end' }
        return single(0x24)
      case '"':
        return this.#quoted(start)
      case '*':
      case '+':
      case '?':
      case '{':
        this.#fail(`"${char}" has nothing before it to repeat; for the character itself write \\${char}`, start)
        return single(0)
      case '\\':
        return single(this.#escape(start))
      default:
        return single(this.#octet(char, start))
    }
  }

  #repeated(tree: Tree): Tree {
    let of = tree
    for (let char = this.#peek(); char !== '' && '*+?{'.includes(char) && !this.#wrong; char = this.#peek()) {
      if (char === '{') {
        const [all = '', low = '', comma, high = ''] = /^\{(\d{1,4})(?:(,)(\d{0,4}))?\}/.exec(this.#rest()) ?? []
        if (all === '') {
          this.#fail('expected a count such as {2}, {2,} or {2,5}; for the character itself write \\{')
          break
        }
        const least = Number(low)
        const most = comma === undefined ? least : high === '' ? Number.POSITIVE_INFINITY : Number(high)
        if (most < least) this.#fail(`the lower count comes first: {${most},${least}}`)
        this.#at += all.length
        of = { kind: 'repeat', of, least, most }
        continue
      }
      this.#at++
      of = { kind: 'repeat', of, least: char === '+' ? 1 : 0, most: char === '?' ? 1 : Number.POSITIVE_INFINITY }
    }
    return of
  }

  #rest(): string {
    return this.#source.slice(this.#at, this.#at + 12)
  }

  #set(start: number): Tree {
    const set = new Uint8Array(256)
    const negated = this.#peek() === '^'
    if (negated) this.#at++
    for (let first = true; this.#peek() !== ']' || first; first = false) {
      if (this.#at >= this.#source.length) {
        this.#fail('this set is never closed', start)
        return single(0)
      }
      const from = this.#inSet()
      let to = from
      if (this.#peek() === '-' && !']'.includes(this.#source.charAt(this.#at + 1))) {
        const dash = this.#at
        this.#at++
        to = this.#inSet()
        if (to < from) this.#fail('the lower end of a range comes first', dash)
      }
      set.fill(1, from, to + 1)
    }
    this.#at++
    return { kind: 'set', set: negated ? set.map(bit => 1 - bit) : set }
  }

  #inSet(): number {
    const start = this.#at
    const char = this.#peek()
    this.#at++
    return char === '\\' ? this.#escape(start) : this.#octet(char, start)
  }

  #quoted(start: number): Tree {
    const end = this.#source.indexOf('"', this.#at)
    if (end < 0) {
      this.#fail('this quotation is never closed', start)
      return single(0)
    }
    const of = Array.from(this.#source.slice(this.#at, end), (char, i) => single(this.#octet(char, this.#at + i)))
    this.#at = end + 1
    return { kind: 'sequence', of }
  }

  /** Behind a backslash. */
  #escape(start: number): number {
    const char = this.#peek()
    this.#at++
    if (char === '') {
      this.#fail('a backslash needs a character behind it', start)
      return 0
    }
    if (char === 'x') {
      const hex = /^[0-9A-Fa-f]{2}/.exec(this.#rest())?.[0]
      if (hex === undefined) this.#fail('expected two hex digits behind \\x', start)
      this.#at += 2
      return Number.parseInt(hex ?? '0', 16)
    }
    if (/\d/.test(char)) {
      const octal = /^[0-3][0-7]{2}$/.exec(this.#source.slice(start + 1, start + 4))?.[0]
      if (octal === undefined) this.#fail('expected three octal digits behind \\, from 000 to 377', start)
      this.#at = start + 4
      return Number.parseInt(octal ?? '0', 8)
    }
    return Object.hasOwn(ESCAPES, char) ? (ESCAPES[char] ?? 0) : this.#octet(char, start)
  }

  #octet(char: string, at: number): number {
    const code = char.charCodeAt(0)
    if (code > 255 || Number.isNaN(code)) this.#fail('a pattern speaks of octets: write such a character as \\xNN', at)
    return code & 255
  }
}

function single(octet: number): Tree {
  const set = new Uint8Array(256)
  set[octet] = 1
  return { kind: 'set', set }
}

/* The tree as states. */

class Builder {
  readonly states: State[] = []

  add(state: State): number {
    return this.states.push(state) - 1
  }

  /** The state where this tree begins, if `next` is where it leads; `undefined` once there are too many. */
  fragment(tree: Tree, next: number): number | undefined {
    if (this.states.length > MAX_PATTERN_STATES) return undefined
    switch (tree.kind) {
      case 'set':
        return this.add({ kind: 'octet', set: tree.set, next })
      case 'begin':
      case 'end':
        return this.add({ kind: tree.kind, next })
      case 'sequence': {
        let at: number | undefined = next
        for (const each of tree.of.toReversed()) {
          if (at !== undefined) at = this.fragment(each, at)
        }
        return at
      }
      case 'either': {
        let at: number | undefined
        for (const each of tree.of.toReversed()) {
          const start = this.fragment(each, next)
          if (start === undefined) return undefined
          at = at === undefined ? start : this.add({ kind: 'split', next: start, other: at })
        }
        return at
      }
      default:
        return this.#repeat(tree, next)
    }
  }

  #repeat({ of, least, most }: Tree & { readonly kind: 'repeat' }, next: number): number | undefined {
    let at: number | undefined = next
    if (most === Number.POSITIVE_INFINITY) {
      const loop = this.add({ kind: 'split', next, other: next })
      const start = this.fragment(of, loop)
      if (start === undefined) return undefined
      this.states[loop] = { kind: 'split', next: start, other: next }
      at = loop
    } else {
      for (let i = least; i < most; i++) {
        const start: number | undefined = this.fragment(of, at)
        if (start === undefined) return undefined
        at = this.add({ kind: 'split', next: start, other: next })
      }
    }
    for (let i = 0; i < least; i++) {
      const start: number | undefined = this.fragment(of, at)
      // Nothing, however often, is nothing: it makes no states, so no limit would end the counting.
      if (start === undefined || start === at) return start
      at = start
    }
    return at
  }
}
