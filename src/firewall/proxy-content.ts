import { bytes, CR, concat, LF, NO_BYTES, SP } from '../base/bytes.ts'
import { HeaderWatch } from '../mail/trace.ts'
import type { Stray } from '../smtp/body.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import { leastJudged } from './judge.ts'
import type { OctetKind, SizeKind } from './policy.ts'
import { type LongLine, LongLines } from './proxy-lines.ts'
import { type Rules, wordsOf } from './proxy-rules.ts'
import { type Because, type Explanation, explain, PASS, type Verdict } from './verdict.ts'

/** Received: fields before a message is taken to loop (RFC 5321 §6.3 wants at least 100). */
export const MAX_HOPS = 100
/** Octets of a header that are watched for hops where no rule limits it. */
const HEADER_WATCHED = 1024 * 1024

/** What is judged of a line. */
const LINE_KINDS = ['body-line', 'dotted-line'] as const satisfies readonly SizeKind[]

const OCTET_OF: Readonly<Record<Stray, OctetKind>> = { 'bare CR': 'bare-cr', 'bare LF': 'bare-lf', NUL: 'nul' }

/** Why a message cannot go on, and what is said of it behind its real end. */
export interface Fault {
  readonly reply: Reply
  readonly explanation: Explanation
}

/** Changes a message's content as it streams past, such as `proxy-mime.ts`. */
export interface Editor {
  push(chunk: Uint8Array): readonly Uint8Array[]
  end(): readonly Uint8Array[]
  readonly fault: Fault | undefined
  /** What it altered since it was asked last. */
  altered(): readonly Explanation[]
}

/**
 * A message's content between its two framings: decoded octets in, canonical ones out, whose every line ends with CRLF
 * and which hold no other CR, no other LF and no NUL. What cannot be made so is a fault.
 */
export class Content {
  readonly #rules: Rules
  readonly #binary: boolean
  readonly #editor: Editor | undefined
  readonly #header = new HeaderWatch()
  /** Of what goes on: an editor folds some, and an octet left out joins two. */
  readonly #lines: LongLines | undefined
  #size = 0
  #afterCr = false
  #strays = 0
  /** Why they did not stay as they were. */
  #mended: Because | undefined
  #fault: Fault | undefined
  readonly #altered: Explanation[] = []

  constructor(rules: Rules, { binary, editor }: { readonly binary: boolean; readonly editor: Editor | undefined }) {
    this.#rules = rules
    this.#binary = binary
    this.#editor = editor
    const least = LINE_KINDS.flatMap(what => leastJudged(rules.policy, what) ?? [])
    this.#lines = least.length > 0 ? new LongLines(Math.min(...least)) : undefined
  }

  get fault(): Fault | undefined {
    return this.#fault ?? this.#editor?.fault
  }

  get size(): number {
    return this.#size
  }

  /** What was altered since this was asked last. */
  altered(): readonly Explanation[] {
    if (this.#altered.length === 0) return this.#editor?.altered() ?? NOTHING
    return [...this.#altered.splice(0), ...(this.#editor?.altered() ?? [])]
  }

  /**
   * The octets that go on for these; none any more once there is a fault. `isChecked`: whoever read them off the wire has
   * found no stray octet in them.
   */
  push(chunk: Uint8Array, isChecked = false): readonly Uint8Array[] {
    if (this.fault || chunk.length === 0) return []
    this.#size += chunk.length
    this.#limit('message', this.#size)
    this.#header.push(chunk, HEADER_WATCHED)
    this.#limit('header', this.#header.size)
    if (this.#header.hops >= MAX_HOPS) this.#loops()
    const clean = this.#binary ? chunk : this.#canonical(chunk, isChecked)
    if (this.fault) return []
    return this.#going(this.#editor ? this.#editor.push(clean) : [clean])
  }

  /** The content is over. */
  end(): readonly Uint8Array[] {
    const out: Uint8Array[] = []
    if (!this.#binary && this.#afterCr) {
      this.#afterCr = false
      const octets = this.#stray('bare CR')
      if (!this.fault && octets) out.push(...(this.#editor?.push(octets) ?? [octets]))
    }
    if (this.#strays > 0 && !this.fault) this.#tellStrays()
    if (this.#editor && !this.fault) out.push(...this.#editor.end())
    const going = this.#going(out)
    const last = this.fault ? undefined : this.#lines?.end()
    if (last) this.#judgeLine(last)
    return this.fault ? [] : going
  }

  /** A CR at the end waits for what follows it; everything else is known where it stands. */
  #canonical(chunk: Uint8Array, isChecked: boolean): Uint8Array {
    const whole = this.#afterCr ? concat([ONE_CR, chunk]) : chunk
    this.#afterCr = whole[whole.length - 1] === CR
    const end = this.#afterCr ? whole.length - 1 : whole.length
    if (isChecked) return end === whole.length ? whole : whole.subarray(0, end)
    const parts: Uint8Array[] = []
    let from = 0
    for (let at = 0; at < end; at++) {
      const octet = whole[at] ?? 0
      if (octet > CR || (octet !== CR && octet !== LF && octet !== 0)) continue
      if (octet === CR && whole[at + 1] === LF) {
        at++
        continue
      }
      const instead = this.#stray(octet === CR ? 'bare CR' : octet === LF ? 'bare LF' : 'NUL')
      if (!instead) return NO_BYTES
      parts.push(whole.subarray(from, at), instead)
      from = at + 1
    }
    parts.push(whole.subarray(from, end))
    return concat(parts)
  }

  /** What becomes of a stray octet by the policy; where no rule names it, the message is refused. */
  #stray(stray: Stray): Uint8Array | undefined {
    const verdict = this.#rules.judge({ on: 'octet', what: OCTET_OF[stray] })
    if (verdict.kind === 'normalise') {
      this.#strays++
      this.#mended ??= verdict.because
      return { crlf: CRLF, space: ONE_SPACE, nothing: NO_BYTES }[verdict.to]
    }
    const wording = reply(550, '5.5.2', `Message refused: it holds a ${stray}`)
    this.#wrong(
      'line-end',
      OCTET_OF[stray],
      verdict,
      wording,
      `a ${stray} in a message is taken for a line end by some`,
    )
    return undefined
  }

  #tellStrays(): void {
    const change = { before: bytes(`${this.#strays} stray octets`), after: NO_BYTES }
    this.#altered.push(
      explain(
        'line-end',
        'normalised',
        change,
        this.#mended ?? this.#rules.own('lines end with CRLF and nothing else'),
        {
          did: 'normalise',
        },
      ),
    )
  }

  #limit(what: SizeKind, size: number): void {
    const verdict = this.#rules.judge({ on: 'size', what, size })
    if (verdict.kind === 'pass') return
    this.#wrong('body', what, verdict, reply(552, '5.3.4', 'Message exceeds a limit'), '', size)
  }

  #loops(): void {
    const wording = reply(554, '5.4.6', 'Too many hops: this message loops')
    this.#wrong('header', 'RECEIVED', PASS, wording, `${MAX_HOPS} Received: fields mean a loop`)
  }

  /** These octets are to go on, if no line of them is too long. */
  #going(octets: readonly Uint8Array[]): readonly Uint8Array[] {
    for (const piece of this.fault ? [] : octets) {
      for (const line of this.#lines?.push(piece) ?? []) this.#judgeLine(line)
    }
    return this.fault ? [] : octets
  }

  #judgeLine({ length, isWhole, endsInDot }: LongLine): void {
    this.#limit('body-line', length)
    // In chunks a dot ends nothing.
    if (isWhole && endsInDot && !this.#binary) this.#limit('dotted-line', length)
  }

  #wrong(
    what: 'line-end' | 'body' | 'header',
    subject: string,
    verdict: Verdict,
    otherwise: Reply,
    reason: string,
    size?: number,
  ): void {
    if (this.#fault) return
    const said = verdict.kind === 'answer' ? wordsOf(verdict) : otherwise
    const because = verdict.kind === 'pass' ? this.#rules.own(reason) : verdict.because
    const before = bytes(size === undefined ? subject : `${size} octets`)
    const change = { before, after: NO_BYTES }
    this.#fault = { reply: said, explanation: explain(what, subject, change, because, { did: 'answer', size }) }
  }
}

const NOTHING: readonly Explanation[] = []
const ONE_CR = Uint8Array.of(CR)
const ONE_SPACE = Uint8Array.of(SP)
const CRLF = Uint8Array.of(CR, LF)
