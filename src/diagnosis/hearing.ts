/** A dialogue that somebody else had, cut into exchanges: from segments of a capture, or from lines of a log. */
import { text } from '../base/bytes.ts'
import { type Exchange, MAX_HEARD, verbOf } from './observation.ts'

/** Something that one side sent. */
export interface Piece {
  readonly by: 'C' | 'S'
  readonly octets: Uint8Array
}

/** Commands of one dialogue that are followed; a capture of a day's mail holds more. */
export const MAX_EXCHANGES = 2_000

interface Asked {
  readonly said: string
  readonly pieces: number
}

/** Follows one connection. What comes behind STARTTLS is TLS, and is not read. */
export class Hearing {
  readonly #session: number
  readonly #exchanges: Exchange[] = []
  /** What was said and is not answered; the first is the greeting. */
  readonly #asked: Asked[] = [{ said: '', pieces: 1 }]
  #fromClient = ''
  #clientPieces = 0
  #fromServer = ''
  #lines: string[] = []
  #body: string[] | undefined
  #chunk = 0
  #octets = 0
  #isBlind = false

  constructor(session: number) {
    this.#session = session
  }

  /** Octets were lost on this side: what stands half is no line. */
  lost(by: Piece['by']): void {
    if (by === 'C') this.#fromClient = ''
    else this.#fromServer = ''
  }

  push({ by, octets }: Piece): void {
    if (this.#isBlind) return
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
      }
    }
  }

  #line(line: string): void {
    const pieces = this.#clientPieces
    this.#clientPieces = this.#fromClient === '' ? 0 : 1
    if (this.#body) {
      if (this.#octets < MAX_HEARD) this.#body.push(line)
      if (line.replace(/\r?\n$/, '') !== '.') return
      this.#ask({ said: this.#octets < MAX_HEARD ? this.#body.join('') : '(a message)\r\n', pieces: 1 })
      this.#body = undefined
      return
    }
    this.#chunk = Number(/^BDAT (\d{1,12})/i.exec(line)?.[1] ?? 0)
    this.#ask({ said: line, pieces })
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
    if (isOpen) this.#body = []
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
    }
    return this.#exchanges
  }
}

export function hear(session: number, pieces: readonly Piece[]): readonly Exchange[] {
  const hearing = new Hearing(session)
  for (const piece of pieces) hearing.push(piece)
  return hearing.end()
}
