import { concat, copy, LF, NO_BYTES, text } from '../base/bytes.ts'
import { LINE_START } from '../mail/part.ts'

/** What stands in a text: text, and files in the forms that there were before MIME. */
export type InlinePiece =
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /** A file begins. Its octets follow, the line that begins it and the one that ends it among them. */
  | { readonly kind: 'begin'; readonly type: string; readonly name: string }
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }

interface Form {
  /** As which content type it counts. */
  readonly type: string
  /** What such a line begins with, so that other lines need not be waited for. */
  readonly start: string
  /** The line before it; the first group is the file's name, where it is told. */
  readonly begins: RegExp
  readonly ends: RegExp
}

const FORMS: readonly Form[] = [
  {
    type: 'application/x-uuencode',
    start: 'begin',
    begins: /^begin(?:-base64)? [0-7]{3,4} +(\S.*)$/,
    ends: /^(?:end|====)$/,
  },
  {
    // Its name is in what is encoded.
    type: 'application/mac-binhex40',
    start: '(This file must be converted with BinHex',
    begins: /^\(This file must be converted with BinHex/,
    ends: /[^:]:$/,
  },
]

/** Finds files in a text as it streams past: a line that may begin or end one waits until it is whole. */
export class InlineFiles {
  #carry: Uint8Array = NO_BYTES
  #isMidLine = false
  #inside: Form | undefined

  push(octets: Uint8Array): readonly InlinePiece[] {
    return this.#read(this.#carry.length > 0 ? concat([this.#carry, octets]) : octets, false)
  }

  /** The text is over, and a file that is in it, too. */
  end(): readonly InlinePiece[] {
    const pieces = this.#read(this.#carry, true)
    const isOpen = this.#inside !== undefined
    this.#inside = undefined
    this.#isMidLine = false
    return isOpen ? [...pieces, { kind: 'end' }] : pieces
  }

  #read(octets: Uint8Array, isLast: boolean): readonly InlinePiece[] {
    const pieces: InlinePiece[] = []
    let from = 0
    const take = (to: number): void => {
      if (to > from) pieces.push({ kind: this.#inside ? 'file' : 'text', bytes: octets.subarray(from, to) })
      from = to
    }
    this.#carry = NO_BYTES
    for (let at = 0; at < octets.length; ) {
      const lf = octets.indexOf(LF, at)
      const next = lf < 0 ? octets.length : lf + 1
      const line = this.#isMidLine ? undefined : text(octets, at, Math.min(next, at + LINE_START)).trimEnd()
      const isWhole = lf >= 0 || isLast
      if (line !== undefined && !isWhole && next - at < LINE_START && this.#mayMatter(line)) {
        take(at)
        this.#carry = copy(octets.subarray(at))
        return pieces
      }
      if (line !== undefined && isWhole) this.#line(line, { pieces, take, at, next })
      this.#isMidLine = lf < 0
      at = next
    }
    take(octets.length)
    return pieces
  }

  #line(
    line: string,
    { pieces, take, at, next }: { pieces: InlinePiece[]; take: (to: number) => void; at: number; next: number },
  ): void {
    if (this.#inside) {
      if (!this.#inside.ends.test(line)) return
      take(next)
      this.#inside = undefined
      pieces.push({ kind: 'end' })
      return
    }
    for (const form of FORMS) {
      const found = line.startsWith(form.start) ? form.begins.exec(line) : null
      if (!found) continue
      take(at)
      this.#inside = form
      pieces.push({ kind: 'begin', type: form.type, name: found[1] ?? '' })
      return
    }
  }

  #mayMatter(line: string): boolean {
    return this.#inside !== undefined || FORMS.some(({ start }) => start.startsWith(line) || line.startsWith(start))
  }
}
