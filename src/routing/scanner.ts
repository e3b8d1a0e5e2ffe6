import { MAX_DIGITS, readLength } from '../smtp/link2state.ts'

/**
 * Reads words, numbers, strings and lists off a frame.
 *
 * It never throws. The first thing that is wrong stays: from then on every reading gives nothing and moves nowhere, so a
 * grammar reads straight through and asks once at its end.
 */
export class Scanner {
  readonly #text: string
  readonly #end: number
  #at: number
  #wrong: string | undefined

  constructor(text: string, at = 0, end: number = text.length) {
    this.#text = text
    this.#at = at
    this.#end = end
  }

  /** What was wrong first, and where. */
  get wrong(): string | undefined {
    return this.#wrong
  }

  get at(): number {
    return this.#at
  }

  /** How many octets are left. */
  get left(): number {
    return this.#end - this.#at
  }

  fail(what: string): undefined {
    this.#wrong ??= `${what} at octet ${this.#at}`
    return undefined
  }

  /** Runs of spaces are alike outside strings. */
  skip(): void {
    if (this.#wrong !== undefined) return
    while (this.#at < this.#end && this.#text.charCodeAt(this.#at) === 0x20) this.#at++
  }

  /** Whether the next thing is this; moves behind it where it is. */
  took(mark: string): boolean {
    if (!this.peek(mark)) return false
    this.#at += mark.length
    return true
  }

  /** Whether the next thing is this. */
  peek(mark: string): boolean {
    this.skip()
    return this.#wrong === undefined && this.#text.startsWith(mark, this.#at) && mark.length <= this.left
  }

  expect(mark: string): void {
    if (!this.took(mark)) this.fail(`expected ${mark}`)
  }

  /** What stands before the next space or bracket. */
  word(): string {
    this.skip()
    if (this.#wrong !== undefined) return ''
    const from = this.#at
    let at = from
    while (at < this.#end) {
      const code = this.#text.charCodeAt(at)
      if (code === 0x20 || code === 0x28 || code === 0x29 || code === 0x7b) break
      at++
    }
    this.#at = at
    return this.#text.slice(from, at)
  }

  guid(): string {
    const word = this.word()
    if (!isHex(word, 32)) this.fail('expected 32 hex digits')
    return word.toLowerCase()
  }

  /** A number in hex; nothing larger than 32 bits is counted anywhere. */
  number(): number {
    const word = this.word()
    if (word.length === 0 || word.length > MAX_DIGITS || !isHex(word, word.length)) this.fail('expected a hex number')
    const value = Number.parseInt(word, 16)
    if (value > 0xffff_ffff) this.fail('the number does not fit into 32 bits')
    return this.#wrong === undefined ? value : 0
  }

  /** `{2f}text`: as many octets as it says, blanks among them. Line ends only where they are allowed. */
  string({ lines = false }: { readonly lines?: boolean } = {}): string {
    this.skip()
    if (this.#wrong !== undefined) return ''
    if (this.#text.startsWith('{}', this.#at) && this.left >= 2) {
      this.#at += 2
      return ''
    }
    const head = readLength(this.#text, this.#at)
    const from = this.#at + (head?.digits ?? 0)
    if (!head || from > this.#end) return this.fail('expected a string') ?? ''
    if (head.length > this.#end - from) return this.fail('the string is longer than what holds it') ?? ''
    const value = this.#text.slice(from, from + head.length)
    if (!lines && /[\x00-\x1f\x7f]/.test(value)) return this.fail('a control character in a string') ?? ''
    this.#at = from + head.length
    return value
  }

  /** `( item  item )`: each read by `item`, at most `most` of them. */
  list<T>(item: () => T, most: number): readonly T[] {
    const items: T[] = []
    this.expect('(')
    while (this.#wrong === undefined && !this.took(')')) {
      if (items.length >= most) this.fail(`more than ${most} of them`)
      else items.push(item())
    }
    return items
  }

  /** A scanner for the next `length` octets, behind which this one goes on. */
  within(length: number): Scanner {
    const from = this.#at
    if (length > this.left) this.fail('the inner frame is longer than what holds it')
    else this.#at += length
    const inner = new Scanner(this.#text, from, this.#wrong === undefined ? from + length : from)
    inner.#wrong = this.#wrong
    return inner
  }

  /** The length in braces that a frame begins with. */
  length(): number {
    const head = this.#wrong === undefined ? readLength(this.#text, this.#at) : undefined
    if (!head) return this.fail('expected a length in braces') ?? 0
    this.#at += head.digits
    return head.length
  }
}

function isHex(word: string, length: number): boolean {
  if (word.length !== length) return false
  for (let i = 0; i < length; i++) {
    const code = word.charCodeAt(i)
    const isDigit = code >= 0x30 && code <= 0x39
    const isLetter = (code >= 0x61 && code <= 0x66) || (code >= 0x41 && code <= 0x46)
    if (!isDigit && !isLetter) return false
  }
  return true
}
