/** A dialogue that somebody else had, cut into exchanges: from segments of a capture, or from lines of a log. */
import { text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Arrival } from '../firewall/recorded.ts'
import { type Exchange, MAX_HEARD, verbOf } from './observation.ts'

/** Something that one side sent. */
export interface Piece {
  readonly by: 'C' | 'S'
  readonly octets: Uint8Array
  /** When, where the record tells. */
  readonly at?: Instant
}

/** When one exchange was said, the octets of a chunk counted behind its command, and when its reply was whole. */
export interface Times {
  readonly said: readonly Arrival[]
  readonly heard?: Instant
}

/** Commands of one dialogue that are followed; a capture of a day's mail holds more. */
export const MAX_EXCHANGES = 2_000

interface Asked {
  readonly said: string
  readonly pieces: number
  readonly arrivals: Arrival[]
}

/** Follows one connection. What comes behind STARTTLS is TLS, and is not read. */
export class Hearing {
  readonly #session: number
  readonly #exchanges: Exchange[] = []
  /** What was said and is not answered; the first is the greeting. */
  readonly #asked: Asked[] = [{ said: '', pieces: 1, arrivals: [] }]
  #fromClient = ''
  #clientPieces = 0
  #fromServer = ''
  #lines: string[] = []
  #body: string[] | undefined
  #chunk = 0
  #octets = 0
  readonly #times: Times[] = []
  /** Of the message, or of the command that was said last. */
  #arrivals: Arrival[] = []
  #at: Instant | undefined
  #isBlind = false

  constructor(session: number) {
    this.#session = session
  }

  /** Octets were lost on this side: what stands half is no line. */
  lost(by: Piece['by']): void {
    if (by === 'C') this.#fromClient = ''
    else this.#fromServer = ''
  }

  /** When each exchange was; empty where no piece tells. As many as there are exchanges, in their order. */
  get times(): readonly Times[] {
    return this.#times
  }

  push({ by, octets, at }: Piece): void {
    if (this.#isBlind) return
    this.#at = at
    this.#octets += octets.length
    if (by === 'C') this.#client(octets)
    else this.#server(text(octets.subarray(0, MAX_HEARD)))
  }

  #client(octets: Uint8Array): void {
    let rest = octets
    if (this.#chunk > 0) {
      const taken = Math.min(this.#chunk, rest.length)
      this.#chunk -= taken
      rest = rest.subarray(taken)
      this.#arrive(taken)
    }
    if (rest.length === 0) return
    this.#clientPieces++
    const fresh = text(rest)
    this.#fromClient += fresh
    // Without a line end in what is new there is none: what is held is not searched again and again.
    if (!fresh.includes('\n')) {
      if (this.#fromClient.length > MAX_HEARD) this.#fromClient = ''
      return
    }
    for (let end = this.#fromClient.indexOf('\n'); end >= 0; end = this.#fromClient.indexOf('\n')) {
      const line = this.#fromClient.slice(0, end + 1)
      this.#fromClient = this.#fromClient.slice(end + 1)
      this.#line(line)
      if (this.#chunk > 0) {
        const taken = Math.min(this.#chunk, this.#fromClient.length)
        this.#chunk -= taken
        this.#fromClient = this.#fromClient.slice(taken)
        this.#arrive(taken)
      }
    }
  }

  #line(line: string): void {
    const pieces = this.#clientPieces
    this.#clientPieces = this.#fromClient === '' ? 0 : 1
    if (this.#body) {
      if (this.#octets < MAX_HEARD) this.#body.push(line)
      this.#arrive(line.length)
      if (line.replace(/\r?\n$/, '') !== '.') return
      const said = this.#octets < MAX_HEARD ? this.#body.join('') : '(a message)\r\n'
      this.#ask({ said, pieces: 1, arrivals: this.#arrivals })
      this.#body = undefined
      return
    }
    this.#chunk = Number(/^BDAT (\d{1,12})/i.exec(line)?.[1] ?? 0)
    this.#arrivals = []
    this.#arrive(line.length)
    this.#ask({ said: line, pieces, arrivals: this.#arrivals })
  }

  #arrive(octets: number): void {
    const at = this.#at
    if (at === undefined) return
    const last = this.#arrivals.at(-1)
    const all = (last?.octets ?? 0) + octets
    if (last?.at === at) this.#arrivals.pop()
    this.#arrivals.push({ octets: all, at })
  }

  #ask(asked: Asked): void {
    if (this.#asked.length + this.#exchanges.length < MAX_EXCHANGES) this.#asked.push(asked)
  }

  #server(octets: string): void {
    this.#fromServer += octets
    for (let end = this.#fromServer.indexOf('\n'); end >= 0; end = this.#fromServer.indexOf('\n')) {
      const line = this.#fromServer.slice(0, end).replace(/\r$/, '')
      this.#fromServer = this.#fromServer.slice(end + 1)
      this.#lines.push(line)
      if (/^\d{3}(?: |$)/.test(line) || this.#lines.length >= 100) this.#answered('answered')
      if (this.#isBlind) return
    }
    if (this.#fromServer.length > MAX_HEARD) this.#fromServer = ''
  }

  #answered(ending: Exchange['ending']): void {
    const asked = this.#asked.shift()
    const heard = this.#lines
    this.#lines = []
    if (!asked) return
    const verb = verbOf(asked)
    const isOpen = heard.at(-1)?.startsWith('354') === true && verb === 'DATA'
    this.#exchanges.push({
      session: this.#session,
      said: asked.said,
      // Many pieces of a few octets: somebody typed, or a stream was cut into them.
      typed: asked.pieces > 2 && asked.said.length / asked.pieces < 3,
      secured: false,
      heard,
      ending,
    })
    this.#times.push({ said: asked.arrivals, ...(this.#at !== undefined && { heard: this.#at }) })
    if (isOpen) {
      this.#body = []
      this.#arrivals = []
    }
    if (verb === 'STARTTLS' && heard.at(-1)?.startsWith('220')) this.#isBlind = true
  }

  /** All exchanges; what was said last may have no answer. */
  end(): readonly Exchange[] {
    if (this.#lines.length > 0 && !this.#isBlind) this.#answered('unreadable')
    const [open] = this.#asked
    if (open && open.said !== '' && !this.#isBlind) {
      const typed = open.pieces > 2 && open.said.length / open.pieces < 3
      this.#exchanges.push({
        session: this.#session,
        said: open.said,
        typed,
        secured: false,
        heard: [],
        ending: 'unknown',
      })
      this.#times.push({ said: open.arrivals })
    }
    return this.#exchanges
  }
}

export function hear(session: number, pieces: readonly Piece[]): readonly Exchange[] {
  const hearing = new Hearing(session)
  for (const piece of pieces) hearing.push(piece)
  return hearing.end()
}
