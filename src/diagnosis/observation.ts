/**
 * What was heard at a vantage: a dialogue cut into exchanges, whatever it was taken from (a probe of ours, a transcript,
 * a log, a capture). Everything behind it, from the suspects to the report, reads this and nothing else.
 */
import { bytes, text, upper } from '../base/bytes.ts'
import type { Duration } from '../base/time.ts'

export interface Observation {
  /** Where it was heard: `here`, `FW_B_VPN`, `10.53.7.203 in site-a.pcap`. */
  readonly vantage: string
  /** Who was called: `mx.example.com:25`. */
  readonly target: string
  readonly exchanges: readonly Exchange[]
  /** What a reader must know of where this comes from: octets that a capture lacks, a connection that failed. */
  readonly notes: readonly string[]
}

/** One thing said, and what came back. */
export interface Exchange {
  /** Which connection of the observation; from 1. */
  readonly session: number
  /** As it was said, its line end included; empty for the greeting. One octet per character. */
  readonly said: string
  /** Octet by octet, each in a segment of its own. */
  readonly typed: boolean
  /** In TLS, where nobody between could look. */
  readonly secured: boolean
  /** The lines that came back, without their ends. One octet per character. */
  readonly heard: readonly string[]
  readonly ending: Ending
  /** From the last octet said to the last one heard. */
  readonly took?: Duration
}

export type Ending =
  | 'answered'
  /** Lines came that make no reply: no code, or no last line. */
  | 'unreadable'
  /** Nothing came while it was waited for. */
  | 'silence'
  | 'closed'
  | 'unknown' // the record ends here

/** Octets of one session that an observation keeps. */
export const MAX_HEARD = 262_144

/** The command's verb in upper case; empty for the greeting. */
export function verbOf({ said }: Pick<Exchange, 'said'>): string {
  return upper(/^\s*([^\s]{1,32})/.exec(said)?.[1] ?? '')
}

/** The reply's code; 0 where there is none. */
export function codeOf({ heard }: Pick<Exchange, 'heard'>): number {
  const last = heard.at(-1) ?? ''
  return /^\d{3}(?:[ -]|$)/.test(last) ? Number(last.slice(0, 3)) : 0
}

/** The texts of a reply's lines, without their codes. */
export function textsOf({ heard }: Pick<Exchange, 'heard'>): readonly string[] {
  return heard.map(line => (/^\d{3}[ -]/.test(line) ? line.slice(4) : line))
}

/** The lines of an EHLO reply behind its first: keywords with their arguments. */
export function offersOf(exchange: Exchange): readonly string[] {
  return codeOf(exchange) === 250 ? textsOf(exchange).slice(1) : []
}

/** The reply as it came over the wire. */
export function heardBytes({ heard }: Pick<Exchange, 'heard'>): Uint8Array {
  return bytes(heard.map(line => `${line}\r\n`).join(''))
}

export function sessionsOf({ exchanges }: Observation): readonly (readonly Exchange[])[] {
  const sessions = new Map<number, Exchange[]>()
  for (const exchange of exchanges) {
    const known = sessions.get(exchange.session)
    if (known) known.push(exchange)
    else sessions.set(exchange.session, [exchange])
  }
  return [...sessions.values()]
}

/** The first exchange with this verb that was said whole and in clear. */
export function inClear({ exchanges }: Observation, verb: string): Exchange | undefined {
  return exchanges.find(each => !each.typed && !each.secured && verbOf(each) === verb)
}

/** The lines of octets as they came, without their ends; a piece without an end counts as a line. */
export function linesIn(octets: Uint8Array): readonly string[] {
  const lines = text(octets).split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines.map(line => (line.endsWith('\r') ? line.slice(0, -1) : line))
}

/** Reads what `JSON.stringify` made of an observation; `undefined` where it is something else. Total. */
export function readObservation(value: unknown): Observation | undefined {
  if (!isRecord(value) || !Array.isArray(value.exchanges)) return undefined
  const exchanges = value.exchanges.map(readExchange)
  if (exchanges.some(each => each === undefined)) return undefined
  return {
    vantage: word(value.vantage),
    target: word(value.target),
    exchanges: exchanges.filter(each => each !== undefined),
    notes: strings(value.notes) ?? [],
  }
}

const ENDINGS: ReadonlySet<unknown> = new Set<Ending>(['answered', 'unreadable', 'silence', 'closed', 'unknown'])

function readExchange(value: unknown): Exchange | undefined {
  if (!isRecord(value)) return undefined
  const heard = strings(value.heard)
  const { session, said, ending, took } = value
  if (!heard || typeof session !== 'number' || !isOctets(said) || !heard.every(isOctets)) return undefined
  if (!ENDINGS.has(ending)) return undefined
  return {
    session,
    said,
    typed: value.typed === true,
    secured: value.secured === true,
    heard,
    ending: ending as Ending,
    ...(typeof took === 'number' && { took }),
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isOctets(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_HEARD && !/[^\x00-\xff]/.test(value)
}

function strings(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every(each => typeof each === 'string') ? value : undefined
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
