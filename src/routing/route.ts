import { lower } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import { domainKey, formatMailbox, type Mailbox, type ReversePath } from '../smtp/address.ts'
import { type ConnectorState, type Guid, NO_SIZE, textIn } from './link-state.ts'
import type { Schedule } from './schedule.ts'

/**
 * Which way mail goes. Two methods over one table:
 *
 * - `least-cost`, that of Exchange 2007: the cheapest way by the configuration, the same for all who read it. Where it
 *   breaks, mail waits at the break.
 * - `link-state`, that of Exchange 2000: the cheapest way over connectors that are up, found again at every change.
 */
export type Method = 'least-cost' | 'link-state'

/**
 * When another way than the cheapest is taken: never; where a connector of our own failed its retries; or wherever the
 * table says that one is down.
 */
export type Reroute = 'never' | 'after-glitch' | 'link-state'

export interface RoutesOptions {
  readonly group: Guid
  readonly server: Guid
  readonly method: Method
  readonly reroute: Reroute
  /** What the groups are called; one without a name goes by its GUID. */
  readonly names?: ReadonlyMap<Guid, string>
  /** Groups that mail on its way may not skip. */
  readonly hubs?: ReadonlySet<Guid>
  /** What the configuration says of connectors and the table cannot carry. */
  readonly policies?: ReadonlyMap<Guid, Policy>
  /** Connectors of this server's own that failed their retries. */
  readonly failed?: ReadonlySet<Guid>
}

export type Content = 'low' | 'normal' | 'high' | 'system'

export interface Policy {
  /** Kinds of mail that it does not take. */
  readonly refuses: ReadonlySet<Content>
  readonly schedule: Schedule
  /** Larger messages follow another schedule. */
  readonly oversize?: { readonly over: number; readonly schedule: Schedule }
  /** Mail waits until the other side fetches it by TURN, ATRN or ETRN. */
  readonly isHeld: boolean
}

/** What a route depends on. */
export interface Letter {
  readonly to: Mailbox
  readonly from?: ReversePath
  /** Octets; left out, no limit applies. */
  readonly size?: number
  readonly priority?: 'low' | 'normal' | 'high'
  /** A report, a receipt, a message of the system. */
  readonly isSystem?: boolean
}

export type Route =
  | ({ readonly kind: 'relay' } & Way)
  /** No way is open now. Mail waits here for the one it would take. */
  | ({ readonly kind: 'hold'; readonly why: string } & Way)
  /** No way takes it: for good, or (4.4.4) as far as anybody has told. */
  | { readonly kind: 'unreachable'; readonly status: string; readonly why: string }

export interface Way {
  /** What mail leaves this group by. */
  readonly connector: ConnectorState
  /** Servers of our own group that hold the connector's near end; empty where this one does. */
  readonly bridgeheads: readonly string[]
  /** The groups it comes through, ours first. */
  readonly path: readonly Guid[]
  readonly cost: number
  /** What it leaves the organisation, or reaches its last server, by. */
  readonly exit: ConnectorState
  /** The groups it comes through, without ours. */
  readonly legs: readonly Leg[]
  /** Whom to try, in this order: `least-cost` goes straight to the last group and backs off along the path. */
  readonly tries: readonly Leg[]
  /** When the schedule of the connector lets it go; left out where that is now, `undefined` where nobody knows. */
  readonly waits?: { readonly until: Instant | undefined }
}

/** A group on the way, and the servers that the connector to it leads to. */
export interface Leg {
  readonly group: Guid
  readonly connector: ConnectorState
  readonly targets: readonly string[]
}

/** One connector whose address space fits, and why it was not taken. */
export interface Candidate {
  readonly connector: ConnectorState
  readonly group: Guid
  readonly space: string
  /** The whole cost: of the way there, and of the address space. Infinite where no way leads there. */
  readonly cost: number
  readonly hops: number
  readonly path: readonly Guid[]
  readonly dropped?: Dropped
}

export type Dropped =
  | { readonly kind: 'less-specific'; readonly than: string }
  | { readonly kind: 'size'; readonly limit: number }
  | { readonly kind: 'sender' }
  | { readonly kind: 'content'; readonly content: Content }
  | { readonly kind: 'down' }
  | { readonly kind: 'failed-here' }
  | { readonly kind: 'no-path' }
  | { readonly kind: 'dearer' | 'more-hops' | 'later-by-name'; readonly than: string }

export interface Explanation {
  readonly letter: Letter
  readonly candidates: readonly Candidate[]
  readonly route: Route
}

/** Why a connector does not take a letter, today or ever. */
export function objection(connector: ConnectorState, letter: Letter, policy?: Policy): Dropped | undefined {
  const { size = 0, from, isSystem = false, priority = 'normal' } = letter
  const { sizeLimit } = connector
  if (sizeLimit !== NO_SIZE && size > sizeLimit) return { kind: 'size', limit: sizeLimit }
  if (from !== undefined && !takesFrom(connector, from)) return { kind: 'sender' }
  if (isSystem && policy?.refuses.has('system')) return { kind: 'content', content: 'system' }
  return policy?.refuses.has(priority) ? { kind: 'content', content: priority } : undefined
}

/** Whether it takes mail from a sender. Names that are no addresses are of a directory that we do not have. */
function takesFrom({ restrictions: [accepted, refused] }: ConnectorState, from: ReversePath): boolean {
  const sender = from === null ? '<>' : senderKey(formatMailbox(from))
  const isNamed = (names: readonly string[]): boolean => names.some(name => senderKey(textIn(name)) === sender)
  if (isNamed(refused)) return false
  const known = accepted.filter(name => name.includes('@') || name === '<>')
  return known.length === 0 || isNamed(known)
}

function senderKey(address: string): string {
  const domain = address.lastIndexOf('@') + 1
  return `${lower(address.slice(0, domain))}${domainKey(address.slice(domain))}`
}

/** It will not take this letter tomorrow either. */
export function isFinal({ kind }: Dropped): boolean {
  return kind === 'size' || kind === 'sender' || kind === 'content'
}

export function sayDropped(dropped: Dropped | undefined): string {
  if (!dropped) return 'taken'
  switch (dropped.kind) {
    case 'less-specific':
      return `less specific than ${dropped.than}, which decides whatever it costs`
    case 'size':
      return `takes ${dropped.limit} octets at most`
    case 'sender':
      return 'does not take mail from this sender'
    case 'content':
      return `does not take ${dropped.content} mail`
    case 'down':
      return 'is down'
    case 'failed-here':
      return 'failed its retries here'
    case 'no-path':
      return 'no open way leads there'
    case 'dearer':
      return `costs more than ${dropped.than}`
    case 'more-hops':
      return `costs as much as ${dropped.than} over more groups`
    case 'later-by-name':
      return `costs as much as ${dropped.than}, which comes first by name`
    default:
      return unreachable(dropped)
  }
}
