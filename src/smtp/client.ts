import { takeFirst } from '../base/array.ts'
/**
 * The client's half of SMTP, as a machine: it says commands, keeps the order in which they were said, and tells which
 * reply answered which. What to say, and why, is its user's affair (`mta/attempt.ts`).
 */
import { toBase64, utf8, utf8Text } from '../base/bytes.ts'
import type { Machine, TlsFacts, WireOutput } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import { DotWriter } from './body.ts'
import { formatCommand, type Sayable } from './command.ts'
import { after, type Phase, type Said, said } from './dialogue.ts'
import { type Heard, LineSplitter } from './line.ts'
import { MAX_CHUNKS, MAX_FRAME } from './link2state.ts'
import { type Reply, type ReplyCaps, ReplyReader, sayReply } from './reply.ts'
import { LoginSecrets } from './secrets.ts'

/** How long to wait for an answer, by what was said (RFC 5321 §4.5.3.2). */
export const WAITS: Readonly<Partial<Record<Said, Duration>>> & { readonly other: Duration } = {
  connect: 300_000,
  mail: 300_000,
  rcpt: 300_000,
  data: 120_000,
  'end-of-body': 600_000,
  'last-chunk': 600_000,
  other: 300_000,
}

export type ClientOutput<Tag> =
  | WireOutput
  /** The reply to what was said with this tag. */
  | { readonly kind: 'answered'; readonly tag: Tag; readonly heard: Heard<Reply> }
  /** A reply in the middle of a message sent by DATA: nothing more will be sent, and the connection is to be closed. */
  | { readonly kind: 'interrupted'; readonly heard: Heard<Reply> }
  /** There is no going on: nothing that is unanswered will be. */
  | { readonly kind: 'failed'; readonly status: string; readonly why: string }
  | { readonly kind: 'trace'; readonly by: 'C' | 'S'; readonly text: string }

/** A frame of link state is a reply of thousands of lines. */
const FRAME_CAPS: ReplyCaps = { lines: MAX_CHUNKS, octets: 2 * MAX_FRAME }

const LOGIN: ReadonlySet<Said | undefined> = new Set<Said>(['auth', 'x-exps', 'auth-line'])

interface Waiting<Tag> {
  readonly said: Said
  readonly tag: Tag
}

export class Client<Tag> implements Machine<ClientOutput<Tag>> {
  readonly #trace: boolean
  readonly #input = new LineSplitter()
  readonly #replies = new ReplyReader()
  readonly #secrets = new LoginSecrets()
  #waiting: Waiting<Tag>[] = []
  #body: DotWriter | undefined
  #phase: Phase = 'greeting'
  #deadline: Instant | undefined
  #over = false
  /** The end of a message that goes out later, in a segment of its own. */
  #held: { readonly until: Instant; readonly bytes: Uint8Array } | undefined

  constructor({ trace }: { readonly trace: boolean }) {
    this.#trace = trace
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  get phase(): Phase {
    return this.#phase
  }

  /** The connection stands; the greeting will be answered with this tag. */
  open(tag: Tag, now: Instant): void {
    this.#expect('connect', tag, now)
  }

  say(command: Sayable, tag: Tag, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    const bytes = formatCommand(command)
    if (!bytes) return this.#fail('5.5.2', 'a command would have held a line end')
    this.#expect(said(command), tag, now)
    const write = { kind: 'write', bytes } as const
    return this.#trace ? [...this.#tell('C', utf8Text(bytes).trimEnd()), write] : [write]
  }

  /** Begin a SASL exchange; what follows in it is said by `respond`. An initial response is a secret in traces. */
  authenticate(
    verb: 'auth' | 'x-exps',
    { mechanism, initial }: { readonly mechanism: string; readonly initial?: Uint8Array | undefined },
    tag: Tag,
    now: Instant,
  ): readonly ClientOutput<Tag>[] {
    if (initial === undefined) return this.say({ kind: verb, mechanism }, tag, now)
    if (this.#over) return []
    // No octets are sent as "=": an empty response is not none (RFC 4954 §4).
    const encoded = initial.length === 0 ? '=' : toBase64(initial)
    this.#secrets.add(initial)
    const bytes = formatCommand({ kind: verb, mechanism, initial: encoded })
    if (!bytes) return this.#fail('5.5.2', 'a command would have held a line end')
    this.#expect(verb, tag, now)
    return [...this.#tell('C', `${verb.toUpperCase()} ${mechanism} [secret]`), { kind: 'write', bytes }]
  }

  /** A line of a SASL exchange; traces show that there was one, and nothing of it. */
  respond(response: Uint8Array, tag: Tag, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    this.#secrets.add(response)
    this.#expect('auth-line', tag, now)
    return [...this.#tell('C', '[secret]'), { kind: 'write', bytes: utf8(`${toBase64(response)}\r\n`) }]
  }

  /** Breaks a SASL exchange off (RFC 4954 §4); the server answers 501. */
  cancel(tag: Tag, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    this.#expect('auth-line', tag, now)
    return [...this.#tell('C', '*'), { kind: 'write', bytes: utf8('*\r\n') }]
  }

  /** Octets that are no line: those of XEXCH50 behind its 354. */
  blob(bytes: Uint8Array, tag: Tag, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    this.#expect('end-of-blob', tag, now)
    return [...this.#tell('C', `(XEXCH50 of ${bytes.length} octets)`), { kind: 'write', bytes }]
  }

  /** A piece of the message: dot-stuffed after DATA, as it is after BDAT. */
  body(piece: Uint8Array, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    // The server can answer a chunk only once it is whole: the wait begins anew with each piece of it.
    this.#wait(now)
    const pieces = this.#body ? this.#body.push(piece) : [piece]
    return pieces.map(bytes => ({ kind: 'write', bytes }))
  }

  /**
   * The message is over. After BDAT nothing is said: the size told where the end is. `hold`: so long must the end of DATA
   * wait, to travel in a segment of its own. As many replies follow as there are tags (RFC 2033 §4.2).
   */
  endBody(octets: number, tags: readonly Tag[], now: Instant, hold: Duration = 0): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    const told = this.#tell('C', `(message of ${octets} octets)`)
    if (!this.#body) {
      // The chunk is out only now: the wait for its reply begins here.
      this.#wait(now)
      return told
    }
    const bytes = this.#body.end()
    this.#body = undefined
    if (hold === 0) {
      for (const tag of tags) this.#expect('end-of-body', tag, now)
      return [...told, { kind: 'write', bytes }]
    }
    // The last line's own end goes with it, and only the three octets of the dot are kept back.
    const line = bytes.subarray(0, bytes.length - 3)
    this.#held = { until: now + hold, bytes: bytes.subarray(bytes.length - 3) }
    for (const tag of tags) this.#expect('end-of-body', tag, now)
    return [...told, ...(line.length > 0 ? [{ kind: 'write', bytes: line } as const] : [])]
  }

  receive(bytes: Uint8Array, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over) return []
    // Nobody may say anything in clear while the handshake is due (CVE-2021-38371).
    if (this.#phase === 'tls') return this.#fail('4.7.0', 'octets in clear behind the reply to STARTTLS')
    this.#input.push(bytes)
    const out: ClientOutput<Tag>[] = []
    for (;;) {
      const read = this.#isOver ? undefined : this.#next()
      if (read === undefined) return out
      // What is said of a login may repeat it.
      const secrets = LOGIN.has(this.#waiting[0]?.said) ? this.#secrets : undefined
      if ('fault' in read) {
        const line = secrets?.withoutIn(read.line) ?? read.line
        return [...out, ...this.#fail('4.5.0', `not a reply (${read.fault}): ${line}`)]
      }
      const heard = secrets ? { ...read, value: secrets.without(read.value) } : read
      for (const line of this.#trace ? heard.lines : []) {
        const said = utf8Text(line.bytes)
        out.push(...this.#tell('S', secrets?.withoutIn(said) ?? said))
      }
      const isHeld = this.#held !== undefined
      this.#held = undefined
      const waiting = takeFirst(this.#waiting)
      // The end of the message is not out yet, so no reply can be about it.
      if ((isHeld || (!waiting && this.#body)) && heard.value.code !== 421) {
        this.#over = true
        this.#deadline = undefined
        return [...out, { kind: 'interrupted', heard }]
      }
      if (!waiting) {
        const why = heard.value.code === 421 ? 'the server hung up' : 'a reply that nobody had asked for'
        return [...out, ...this.#fail('4.4.2', `${why}: ${sayReply(heard.value)}`)]
      }
      this.#phase = after(this.#phase, waiting.said, heard.value.code)
      // 421 comes in the place of any reply, and no other follows (RFC 5321 §3.8).
      if (heard.value.code === 421) this.#waiting = []
      if (waiting.said === 'data' && heard.value.code < 400) this.#body = new DotWriter()
      this.#wait(now)
      out.push({ kind: 'answered', tag: waiting.tag, heard })
      if (waiting.said !== 'starttls' || this.#phase !== 'tls') continue
      // What stands behind it was not sent by who holds the certificate.
      if (this.#input.size > 0) return [...out, ...this.#fail('4.7.0', 'octets in clear behind the reply to STARTTLS')]
      out.push({ kind: 'start-tls' })
    }
  }

  #next(): ReturnType<ReplyReader['next']> {
    return this.#waiting[0]?.said === 'x-link2state'
      ? this.#replies.next(this.#input, FRAME_CAPS)
      : this.#replies.next(this.#input)
  }

  /** The handshake is over: all that was heard in clear is forgotten (RFC 3207 §4.2). */
  secured(_tls: TlsFacts, now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over || this.#phase !== 'tls') return []
    this.#input.clear()
    this.#phase = 'hello'
    this.#wait(now)
    return []
  }

  end(): readonly ClientOutput<Tag>[] {
    return this.#over || this.#isOver ? [] : this.#fail('4.4.2', 'the connection was closed')
  }

  /** Behind the reply that ended the session nobody listens. A QUIT may still be due to a server that refused us. */
  get #isOver(): boolean {
    return this.#phase === 'closed' && this.#waiting.length === 0
  }

  tick(now: Instant): readonly ClientOutput<Tag>[] {
    if (this.#over || this.#deadline === undefined || now < this.#deadline) return []
    const held = this.#held
    if (held) {
      this.#held = undefined
      this.#wait(now)
      return [{ kind: 'write', bytes: held.bytes }]
    }
    const asked = this.#waiting[0]?.said
    // Whoever never greeted has not answered the call (RFC 3463 §3.5).
    return this.#fail(asked === 'connect' ? '4.4.1' : '4.4.2', `no answer in time to ${asked ?? 'nothing'}`)
  }

  #expect(what: Said, tag: Tag, now: Instant): void {
    this.#waiting.push({ said: what, tag })
    if (this.#waiting.length === 1) this.#wait(now)
  }

  /** The clock is that of the oldest unanswered: those behind it cannot be answered before. */
  #wait(now: Instant): void {
    const oldest = this.#waiting[0]
    if (this.#held) {
      this.#deadline = this.#held.until
      return
    }
    this.#deadline = oldest ? now + (WAITS[oldest.said] ?? WAITS.other) : undefined
  }

  #fail(status: string, why: string): readonly ClientOutput<Tag>[] {
    this.#over = true
    this.#deadline = undefined
    return [
      { kind: 'failed', status, why },
      { kind: 'close', how: 'at-once' },
    ]
  }

  #tell(by: 'C' | 'S', text: string): readonly ClientOutput<Tag>[] {
    return this.#trace ? [{ kind: 'trace', by, text }] : []
  }
}
