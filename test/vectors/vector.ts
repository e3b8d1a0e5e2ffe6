/**
 * An attack, or an odd peer, as data: what it says, what it must hear, and what may come of it.
 *
 * What must be heard is written as a list of replies: `250 503` is two of them. `5xx` takes any code of the class,
 * `501/521` either, `550:5.5.2` asks for the enhanced status, too; `close` is the end of the connection, `?`, `*` and
 * `{2,5}` repeat as in a pattern, and ` | ` stands between whole alternatives. An empty list is silence.
 */
import { bytes, concat } from '../../src/base/bytes.ts'

/** A piece of what is sent: text with one octet per character, a run of it, or a pause. */
export type Piece =
  | string
  | { readonly repeat: string; readonly times: number }
  /** Milliseconds in which nothing is sent. */
  | { readonly wait: number }
  /** An octet at a time, with so many milliseconds before each. */
  | { readonly slowly: string; readonly gap: number }
  /** The handshake, from our side. */
  | { readonly tls: true }
  /** The end of TLS, and an octet in clear behind it. */
  | { readonly closeNotify: true }

export type Sent = string | readonly Piece[]

/** What is sent, and which replies have come by the time all of it was. */
export type Step = readonly [Sent, string]

/** A message that must have been taken, and no other. */
export interface Taken {
  readonly from: string
  readonly to: readonly string[]
  /** The whole content; where it is missing only that no octet in it is stray. */
  readonly content?: string
}

/** For our server: the peer is a client. */
export interface ServerVector {
  readonly id: string
  /** What must hold, in a sentence. */
  readonly holds: string
  readonly source: string
  readonly steps: readonly Step[]
  /** The messages taken, in order; none where it is missing; at most one where that is left open. */
  readonly taken?: readonly Taken[] | 'perhaps'
  /** What is said counts as one segment: cut otherwise, it is another dialogue. */
  readonly whole?: true
  /** Lines of configuration besides the usual ones. */
  readonly config?: readonly string[]
  /** Why it is not played over a socket, where the machine alone is. */
  readonly machineOnly?: string
}

/** For our client: the peer is a server. */
export interface ClientVector {
  readonly id: string
  readonly holds: string
  readonly source: string
  /** What the server says, once what the client has said since the step before matches. */
  readonly steps: readonly { readonly after?: RegExp; readonly send: Sent }[]
  /** What became of the recipients, in order. */
  readonly outcomes: readonly RegExp[]
  /** All that the client says, from beginning to end, must match. */
  readonly says?: RegExp
  /** And nothing in it may match this. */
  readonly never?: RegExp
  /** The client has hung up before the server has said more octets than this. */
  readonly closedWithin?: number
  /** Does it end only because time runs out or the server hangs up? Where it is missing, either will do. */
  readonly hangs?: boolean
  readonly whole?: true
  /** Besides: from a@example.net to bob@example.org, a message of a few lines, no login. */
  readonly order?: {
    readonly recipients?: readonly string[]
    readonly requiresLogin?: true
    readonly requiresTls?: true
    /** The message is not at hand before the server has said all it has to say. */
    readonly messageWaits?: true
  }
}

/** The octets of something without pauses, or what is wrong with asking for them. */
export function octets(sent: Sent): Uint8Array {
  return concat(piecesOf(sent).flatMap(piece => ('bytes' in piece ? [piece.bytes] : [])))
}

export type Played =
  | { readonly bytes: Uint8Array }
  | { readonly wait: number }
  | { readonly tls: true }
  | { readonly closeNotify: true }

/** What to do, one after the other. */
export function piecesOf(sent: Sent): readonly Played[] {
  return (typeof sent === 'string' ? [sent] : sent).flatMap((piece): readonly Played[] => {
    if (typeof piece === 'string') return piece === '' ? [] : [{ bytes: bytes(piece) }]
    if ('wait' in piece || 'tls' in piece || 'closeNotify' in piece) return [piece]
    if ('repeat' in piece) return [{ bytes: bytes(piece.repeat.repeat(piece.times)) }]
    return [...piece.slowly].flatMap(octet => [{ wait: piece.gap }, { bytes: bytes(octet) }])
  })
}

/** The pattern behind a list of replies. */
export function heardPattern(expected: string): RegExp {
  const alternatives = expected.split(' | ').map(list =>
    list
      .split(' ')
      .filter(word => word !== '')
      .map(word => {
        const [, what = '', often = ''] = /^(.*?)([?*+]|\{[\d,]+\})?$/.exec(word) ?? []
        if (what === 'close') return `(?:close )${often}`
        const [codes = '', status] = what.split(':')
        const code = codes.split('/').map(each => each.replaceAll('x', '\\d'))
        const enhanced =
          status === undefined ? '(?::\\S+)?' : `:${status.replaceAll('.', '\\.').replaceAll('x', '\\d+')}`
        return `(?:(?:${code.join('|')})${enhanced} )${often}`
      })
      .join(''),
  )
  return new RegExp(`^(?:${alternatives.join('|')})$`)
}

/** Replies in a stream, each as `250` or `250:2.1.0`; what is no reply shows as it is. */
export function repliesIn(stream: string): readonly string[] {
  const replies: string[] = []
  let held = ''
  for (const line of stream.split(/(?<=\r\n)/)) {
    const found = /^(\d{3})([ -])(?:([245]\.\d{1,3}\.\d{1,3}) )?.*\r\n$/s.exec(line)
    if (!found || (held !== '' && found[1] !== held)) replies.push(`not-a-reply(${JSON.stringify(line.slice(0, 80))})`)
    else if (found[2] === '-') held = found[1] ?? ''
    else {
      replies.push(found[3] === undefined ? `${found[1]}` : `${found[1]}:${found[3]}`)
      held = ''
    }
  }
  return replies.filter(each => each !== 'not-a-reply("")')
}

/** As `250:2.1.0 503 close `, for `heardPattern`. Long runs are for people, so they stay as they are. */
export function sayHeard(replies: readonly string[], closed: boolean): string {
  return [...replies, ...(closed ? ['close'] : [])].map(each => `${each} `).join('')
}

// The steps that nearly every vector begins with.

export const GREETED: Step = ['', '220']
export const HELLO: readonly Step[] = [GREETED, ['EHLO c.example\r\n', '250']]

/** A transaction as far as its recipients. */
export function envelope(from = 'a@example.net', to: readonly string[] = ['bob@example.org']): readonly Step[] {
  return [[`MAIL FROM:<${from}>\r\n`, '250'], ...to.map((each): Step => [`RCPT TO:<${each}>\r\n`, '250'])]
}

/** …and as far as the message. */
export function untilData(from?: string, to?: readonly string[]): readonly Step[] {
  return [...HELLO, ...envelope(from, to), ['DATA\r\n', '354']]
}

export const taken = (from: string, content?: string, to: readonly string[] = ['bob@example.org']): Taken => ({
  from,
  to,
  ...(content !== undefined && { content }),
})
