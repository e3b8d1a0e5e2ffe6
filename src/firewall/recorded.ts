/** Dialogues as they were recorded, and what was answered to what. */
import { concat, LF, NO_BYTES } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import type { Duration, Instant } from '../base/time.ts'
import { DotReader } from '../smtp/body.ts'
import { type Capabilities, NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { type Command, parseCommand } from '../smtp/command.ts'
import { ENDS_ITS_GROUP, Onlooker, type Said, said } from '../smtp/dialogue.ts'
import { LineSplitter } from '../smtp/line.ts'
import { digit, type Reply, ReplyReader } from '../smtp/reply.ts'
import { type Part, readDirection, spokenBy, type Transcript, type Turn } from '../transcript/transcript.ts'
import type { Caller } from './access.ts'

/** One connection as it was recorded, wherever the record comes from: a transcript, or a capture. */
export interface Dialogue {
  readonly file: string
  /** Who called whom, as far as the record says so. */
  readonly caller?: Partial<Caller & { readonly at: string }>
  /** When the connection stood and when it was over, where the record tells. */
  readonly opened?: Instant
  readonly closed?: Instant
  readonly spoken: readonly Spoken[]
}

/** What one side sent in one segment. */
export interface Spoken {
  readonly by: Part
  readonly bytes: Uint8Array
  readonly at: SourceRef
  /** When the last octet of it came, where the record tells. */
  readonly when?: Instant
}

/**
 * The connections of a transcript. Whatever came out of a firewall there does not count: what was said does. Where time
 * passes in it, all of it has a time; where none does, nothing is known of it.
 */
export function dialoguesOf({ file, dialogue, sections }: Transcript): readonly Dialogue[] {
  const dialogues: Taken[] = []
  let endsSegment = true
  const isTimed = dialogue.some(turn => passed(turn, sections) > 0)
  let when: Instant = 0
  for (const turn of dialogue) {
    if (turn.kind === 'direction') {
      if (turn.text.startsWith('client connects')) {
        const caller = callerOf(turn.text)
        dialogues.push({ file, spoken: [], ...(caller && { caller }), ...(isTimed && { opened: when }) })
      }
      when += passed(turn, sections)
      endsSegment = true
    }
    const words = spokenBy(turn, sections)
    if (!words) continue
    if (dialogues.length === 0) dialogues.push({ file, spoken: [], ...(isTimed && { opened: when }) })
    const now = isTimed && { when }
    const current = dialogues.at(-1)
    const spoken = current?.spoken ?? []
    if (current && isTimed) current.closed = when
    const last = spoken.at(-1)
    if (!endsSegment && last?.by === words.by) {
      const bytes = new Uint8Array([...last.bytes, ...words.bytes])
      spoken.splice(-1, 1, { ...last, bytes, ...now })
    } else spoken.push({ ...words, at: turn.at, ...now })
    endsSegment = turn.kind === 'direction'
  }
  return dialogues.filter(({ spoken }) => spoken.length > 0)
}

/** A connection while its transcript is read. */
type Taken = { -readonly [K in keyof Dialogue]: K extends 'spoken' ? Spoken[] : Dialogue[K] }

function passed(turn: Turn, sections: Transcript['sections']): Duration {
  const direction = turn.kind === 'direction' ? readDirection(turn.text, sections) : undefined
  return direction?.kind === 'pass' ? direction.duration : 0
}

function callerOf(direction: string): Dialogue['caller'] {
  const [, source, at, destination, port = '25'] =
    /^client connects from (\S+) at (\S+) to (\S+)(?: port (\d+))?$/.exec(direction) ?? []
  if (source === undefined || at === undefined || destination === undefined) return undefined
  return { source, at, destination, port: Number(port) }
}

/** One thing that the client said, and what it was answered. */
export interface Exchange {
  readonly said: Said
  readonly command?: Command
  /** The line as it was said, or all octets of a message, its end included. */
  readonly octets: Uint8Array
  /** What is in a chunk. */
  readonly content: Uint8Array
  readonly at: SourceRef
  /** It was said before its turn: where what is before it had no reply yet, and no group was allowed. */
  readonly isAhead: boolean
  /** When its octets came, those of a chunk behind those of its command; empty where the record does not tell. */
  readonly arrivals: readonly Arrival[]
  /** `undefined` where the record ends before it. */
  readonly reply?: Reply
  /** When the reply was whole. */
  readonly repliedAt?: Instant
}

/** So many octets had come by then. */
export interface Arrival {
  readonly octets: number
  readonly at: Instant
}

/** Did TLS begin there, so that nothing more of the record can be read? */
export function endsInTls(exchanges: readonly Exchange[]): boolean {
  const last = exchanges.at(-1)
  return last?.said === 'starttls' && last.reply?.code === 220
}

/** While the record is read, what belongs to an exchange is still to come. */
type Growing = { -readonly [K in keyof Exchange]: K extends 'arrivals' ? Arrival[] : Exchange[K] }

/** What the client said, one after the other; the first is that it connected. Total. */
export function exchangesOf({ spoken }: Dialogue): readonly Exchange[] {
  return new Reading(spoken[0]?.at ?? NOWHERE).read(spoken)
}

/** For what has no place. */
export const NOWHERE: SourceRef = { file: '', line: 0, column: 1, length: 1, text: '' }

class Reading {
  readonly #all: Growing[]
  readonly #onlooker = new Onlooker()
  /** What has no reply yet. */
  readonly #open: Growing[]
  readonly #server = new LineSplitter()
  readonly #replies = new ReplyReader()
  #offered: Capabilities = NO_CAPABILITIES
  #body: { readonly reader: DotReader; readonly octets: Uint8Array[] } | undefined
  #chunk: { readonly of: Growing; left: number } | undefined
  #line: Uint8Array = NO_BYTES
  #when: Instant | undefined
  #bodyArrivals: Arrival[] = []
  /** The server said what is no reply: whose replies the next ones are cannot be told. */
  #isLost = false

  constructor(at: SourceRef) {
    const first: Growing = { said: 'connect', octets: NO_BYTES, content: NO_BYTES, at, isAhead: false, arrivals: [] }
    this.#all = [first]
    this.#open = [first]
  }

  read(spoken: readonly Spoken[]): readonly Exchange[] {
    for (const { by, bytes, at, when } of spoken) {
      this.#when = when
      if (by === 'S') this.#heard(bytes)
      else this.#client(bytes, at)
    }
    return this.#all
  }

  #client(bytes: Uint8Array, at: SourceRef): void {
    for (let from = 0; from < bytes.length; ) {
      if (this.#onlooker.phase === 'body' && this.#onlooker.outstanding === 0) from = this.#message(bytes, from, at)
      else if (this.#chunk) from = this.#chunked(bytes, from, this.#chunk)
      else {
        const lf = bytes.indexOf(LF, from)
        const to = lf < 0 ? bytes.length : lf + 1
        this.#line = concat([this.#line, bytes.subarray(from, to)])
        from = to
        if (lf >= 0) this.#command(at)
      }
    }
  }

  #message(bytes: Uint8Array, from: number, at: SourceRef): number {
    this.#body ??= { reader: new DotReader(), octets: [] }
    const { reader, octets } = this.#body
    const { rest } = reader.push(bytes.subarray(from))
    const to = rest ? bytes.length - rest.length : bytes.length
    octets.push(bytes.subarray(from, to))
    this.#arrive(this.#bodyArrivals, to - from)
    if (rest) {
      this.#body = undefined
      const arrivals = this.#bodyArrivals
      this.#bodyArrivals = []
      this.#say({ said: 'end-of-body', octets: concat(octets), content: NO_BYTES, at, isAhead: false, arrivals })
    }
    return to
  }

  #chunked(bytes: Uint8Array, from: number, chunk: { readonly of: Growing; left: number }): number {
    const to = Math.min(bytes.length, from + chunk.left)
    chunk.of.content = concat([chunk.of.content, bytes.subarray(from, to)])
    chunk.left -= to - from
    this.#arrive(chunk.of.arrivals, to - from)
    if (chunk.left === 0) this.#chunk = undefined
    return to
  }

  #command(at: SourceRef): void {
    const octets = this.#line
    this.#line = NO_BYTES
    const command = parseCommand(octets.subarray(0, octets.length - (octets.at(-2) === 0x0d ? 2 : 1)))
    const what = this.#onlooker.phase === 'auth' ? 'auth-line' : said(command)
    const last = this.#open.at(-1)
    const mayFollow = offers(this.#offered, 'PIPELINING') && last !== undefined && !ENDS_ITS_GROUP.has(last.said)
    const exchange: Growing = {
      said: what,
      command,
      octets,
      content: NO_BYTES,
      at,
      isAhead: last !== undefined && !mayFollow && !this.#isLost,
      arrivals: [],
    }
    this.#arrive(exchange.arrivals, octets.length)
    this.#say(exchange)
    if (command.kind === 'bdat' && what !== 'auth-line' && command.size > 0) {
      this.#chunk = { of: exchange, left: command.size }
    }
  }

  #arrive(arrivals: Arrival[], octets: number): void {
    if (this.#when === undefined) return
    arrivals.push({ octets: (arrivals.at(-1)?.octets ?? 0) + octets, at: this.#when })
  }

  #say(exchange: Growing): void {
    this.#all.push(exchange)
    this.#open.push(exchange)
    this.#onlooker.say(exchange.said)
  }

  #heard(bytes: Uint8Array): void {
    this.#server.push(bytes)
    while (!this.#isLost) {
      const heard = this.#replies.next(this.#server)
      if (heard === undefined) return
      if ('fault' in heard) this.#isLost = true
      else this.#reply(heard.value)
    }
  }

  #reply(reply: Reply): void {
    const asked = this.#open.shift()
    if (asked) {
      asked.reply = reply
      if (this.#when !== undefined) asked.repliedAt = this.#when
    }
    this.#onlooker.hear(reply.code)
    // What was said behind DATA was no command, and gets no reply.
    if (this.#onlooker.phase === 'body') this.#open.length = 0
    const isHello = asked?.said === 'ehlo' || asked?.said === 'helo'
    if (isHello && digit(reply) === 2) this.#offered = asked.said === 'ehlo' ? readCapabilities(reply) : NO_CAPABILITIES
  }
}
