/**
 * What happens to messages, and to the server: the one list that the trail in the queue (`postern queue history`), the log
 * and the metrics are made from.
 */
import { printable } from '../base/bytes.ts'
import type { Severity } from '../base/severity.ts'
import { type Duration, type Instant, sayDuration } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import { formatMailbox, formatPath, type Mailbox } from '../smtp/address.ts'
import { sayReply } from '../smtp/reply.ts'
import type { SessionFacts } from '../smtp/session.ts'
import { noted, type Outcome, type SpoolEntry, type SpoolId, sayOutcome } from '../spool/entry.ts'

/** What happens to one message. */
export type MessageNews =
  /** A client brought it. `messageId` is its own, and only the log has it: it comes after the trail is begun. */
  | { readonly kind: 'received'; readonly facts: SessionFacts; readonly size: number; readonly messageId?: string }
  /** It is a report of ours about another one. */
  | { readonly kind: 'made'; readonly about: SpoolId }
  /** An address of ours stood for others. */
  | { readonly kind: 'expanded'; readonly alias: Mailbox; readonly to: number }
  /** What an attempt came to for one recipient; `wait` until the next one, where there is one. `hop`: which way it went. */
  | {
      readonly kind: 'tried'
      readonly to: Mailbox
      readonly outcome: Outcome
      readonly hop?: string
      readonly wait?: Duration
    }
  /** Its sender is told, by a message of ours. */
  | { readonly kind: 'reported'; readonly what: ReportKind; readonly by: SpoolId }
  | { readonly kind: 'late' }
  | { readonly kind: 'way-opened' }
  | { readonly kind: 'fault'; readonly why: string }
  | { readonly kind: 'operated'; readonly verb: OperatorVerb }

export type ReportKind = 'delay' | 'end'
export type OperatorVerb = 'retry' | 'hold' | 'release' | 'remove' | 'bounce'

/** Why something was not taken, in the words of `smtp/dialect.ts`'s situations. */
export type RefusedWhat = 'sender' | 'recipient' | 'message'

/** Everything that a running server tells. */
export type MtaEvent =
  | { readonly kind: 'message'; readonly entry: SpoolEntry; readonly news: MessageNews }
  | {
      readonly kind: 'refused'
      readonly what: RefusedWhat
      readonly why: string
      readonly peer: string
      readonly login?: string
      readonly from: Mailbox | null
      readonly to?: Mailbox
    }
  /** Somebody logged in, or `why` not. */
  | {
      readonly kind: 'login'
      readonly peer: string
      readonly mechanism: string
      readonly user?: string
      readonly why?: string
    }
  | { readonly kind: 'connected'; readonly peer: string; readonly session: string }
  /** There were too many sessions. */
  | { readonly kind: 'turned-away'; readonly peer: string }
  | { readonly kind: 'started'; readonly listens: readonly string[]; readonly waiting: number }
  | { readonly kind: 'stopping'; readonly grace: Duration }
  | { readonly kind: 'stopped'; readonly waiting: number }
  /** The configuration was read again: what is different now, or how many mistakes it has. */
  | { readonly kind: 'read'; readonly file: string; readonly changes: readonly string[] }
  | { readonly kind: 'not-read'; readonly file: string; readonly problems: readonly string[] }
  /** Something an operator should know. */
  | { readonly kind: 'note'; readonly what: string }

/** What an attempt came to for a recipient of an entry, as the entry stands after it. */
export function triedNews(
  entry: SpoolEntry,
  recipient: number,
  { outcome, hop, now }: { readonly outcome: Outcome; readonly hop?: string | undefined; readonly now: Instant },
): MessageNews {
  const state = entry.recipients[recipient]
  return {
    kind: 'tried',
    to: entry.envelope.recipients[recipient]?.to ?? { local: '?', domain: '' },
    // The last try of all came to more than it did by itself: the recipient is given up.
    outcome: state?.kind === 'done' ? state.outcome : outcome,
    ...(hop !== undefined && { hop }),
    ...(state?.kind === 'waiting' && { wait: Math.max(0, state.due - now) }),
  }
}

/** It is noted on the message's trail. */
export function trailed(entry: SpoolEntry, news: MessageNews, at: Instant): SpoolEntry {
  return noted(entry, at, sayNews(news))
}

const OPERATED: Readonly<Record<OperatorVerb, string>> = {
  retry: 'retried by an operator',
  hold: 'held by an operator',
  release: 'released by an operator',
  remove: 'removed by an operator; nobody is told',
  bounce: 'returned by an operator',
}

/** In words, as it stands on the trail. */
export function sayNews(news: MessageNews): string {
  switch (news.kind) {
    case 'received': {
      const { hello, peer, protocol, login, uid } = news.facts
      if (uid !== undefined) return `left here by userid ${uid} while no server ran`
      return `received from ${hello} [${peer}] by ${protocol}${login === undefined ? '' : `, logged in as ${login}`}`
    }
    case 'made':
      return `report about ${news.about}`
    case 'expanded':
      return `${formatPath(news.alias)} is an alias of ${news.to} ${news.to === 1 ? 'address' : 'addresses'}`
    case 'tried': {
      const next = news.wait === undefined ? '' : `; next try in ${sayDuration(news.wait)}`
      return `${formatPath(news.to)} ${sayOutcome(news.outcome)}${next}`
    }
    case 'reported':
      return `the sender is told ${news.what === 'delay' ? 'that it is delayed' : 'how it ended'}, by ${news.by}`
    case 'late':
      return 'it is delayed, and nobody is to be told'
    case 'way-opened':
      return 'a way opened'
    case 'fault':
      return `the attempt failed by a mistake here: ${news.why}`
    case 'operated':
      return OPERATED[news.verb]
    default:
      return unreachable(news)
  }
}

/** In words, for a log that is read. */
export function sayEvent(event: MtaEvent): string {
  switch (event.kind) {
    case 'message': {
      const { entry, news } = event
      return printable(`${entry.id}: ${news.kind === 'received' ? sayReceived(entry, news) : sayNews(news)}`)
    }
    case 'refused': {
      const { what, why, peer, from, to } = event
      const about = to ? `<${formatMailbox(to)}>` : what
      return printable(`[${peer}] ${about} from ${formatPath(from)} refused: ${why}`)
    }
    case 'login': {
      const { peer, mechanism, user, why } = event
      const who = user === undefined ? '' : ` as ${user}`
      const how = why === undefined ? 'logged in' : 'did not log in'
      return printable(`[${peer}] ${how}${who} by ${mechanism}${why === undefined ? '' : `: ${why}`}`)
    }
    case 'connected':
      return `[${event.peer}] connected`
    case 'turned-away':
      return `[${event.peer}] turned away: there are too many sessions`
    case 'started':
      return `listening at ${event.listens.join(', ')}, with ${messages(event.waiting)} in the queue`
    case 'stopping':
      return `stopping: what is under way has ${sayDuration(event.grace)}`
    case 'stopped':
      return `stopped with ${messages(event.waiting)} in the queue`
    case 'read':
      return `${event.file} is in force: ${event.changes.length === 0 ? 'nothing is different' : event.changes.join('; ')}`
    case 'not-read':
      return printable(`${event.file} has mistakes, and nothing was changed: ${event.problems.join('; ')}`)
    case 'note':
      return printable(event.what)
    default:
      return unreachable(event)
  }
}

function messages(count: number): string {
  return `${count} ${count === 1 ? 'message' : 'messages'}`
}

function sayReceived({ envelope }: SpoolEntry, news: MessageNews & { readonly kind: 'received' }): string {
  const { from, recipients, body, smtputf8 } = envelope
  const to = recipients.map(each => formatPath(each.to)).join(' ')
  const kind = [body, ...(smtputf8 ? ['smtputf8'] : [])].join(' ')
  return `received from ${formatPath(from)} for ${to}, ${kind}; ${sayNews(news)}`
}

/** How much it matters. What happens all the time and is well is `debugging` or `informational`. */
export function severityOf(event: MtaEvent): Severity {
  switch (event.kind) {
    case 'message': {
      const { news } = event
      if (news.kind === 'fault') return 3
      if (news.kind !== 'tried') return 6
      return news.outcome.kind === 'failed' ? 4 : news.outcome.kind === 'deferred' ? 5 : 6
    }
    case 'connected':
      return 7
    case 'login':
      return event.why === undefined ? 6 : 4
    case 'turned-away':
    case 'note':
      return 4
    case 'not-read':
      return 3
    default:
      return 5
  }
}

/** Recipients of one message that a line of the log names; the others are counted. */
export const MAX_NAMED = 50
/** Characters of one fact: what a peer says must not fill a disk. */
export const MAX_FACT = 1_000

export type Facts = Readonly<Record<string, unknown>>

/** As plain facts, for a JSON line. Nothing of a message but its envelope and its Message-ID, and no secret. */
export function factsOf(event: MtaEvent): Facts {
  switch (event.kind) {
    case 'message':
      return { event: event.news.kind, queue: event.entry.id, ...newsFacts(event.entry, event.news) }
    case 'refused': {
      const { kind, from, to, ...rest } = event
      return bounded({ event: kind, ...rest, from: address(from), ...(to && { to: address(to) }) })
    }
    case 'not-read':
      return { event: event.kind, file: event.file, problems: event.problems.slice(0, MAX_NAMED).map(clip) }
    default: {
      const { kind, ...rest } = event
      return bounded({ event: kind, ...rest })
    }
  }
}

function newsFacts(entry: SpoolEntry, news: MessageNews): Facts {
  switch (news.kind) {
    case 'received': {
      const { envelope } = entry
      const { hello, peer, protocol, login, tls, uid } = news.facts
      const whence = uid === undefined ? { peer, hello } : { uid }
      return bounded({
        messageId: news.messageId,
        from: address(envelope.from),
        to: envelope.recipients.slice(0, MAX_NAMED).map(each => clip(address(each.to))),
        recipients: envelope.recipients.length,
        size: news.size,
        body: envelope.body,
        ...whence,
        protocol,
        login,
        tls: tls && `${tls.protocol} ${tls.cipher}`,
      })
    }
    case 'made':
      return { about: news.about, to: entry.envelope.recipients.map(each => address(each.to)) }
    case 'expanded':
      return { alias: address(news.alias), addresses: news.to }
    case 'tried': {
      const { to, outcome, hop, wait } = news
      const by = 'by' in outcome ? outcome.by : undefined
      return bounded({
        to: address(to),
        outcome: outcome.kind,
        hop,
        peer: 'to' in outcome ? outcome.to : undefined,
        ...(by && ('code' in by ? { reply: sayReply(by) } : { status: by.status, why: by.why })),
        next: wait === undefined ? undefined : seconds(wait),
        age: seconds(ageOf(entry)),
      })
    }
    case 'reported':
      return { what: news.what, by: news.by }
    case 'fault':
      return { why: clip(news.why) }
    case 'operated':
      return { verb: news.verb }
    default:
      return {}
  }
}

/** How long it had been here when its trail was written last. */
export function ageOf({ arrived, trail }: SpoolEntry): Duration {
  return Math.max(0, (trail.at(-1)?.at ?? arrived) - arrived)
}

function seconds(duration: Duration): number {
  return Math.round(duration) / 1000
}

function address(path: Mailbox | null): string {
  return path === null ? '' : formatMailbox(path)
}

function clip(text: string): string {
  // JSON leaves DEL and the controls above it as they are.
  return printable(text.length > MAX_FACT ? `${text.slice(0, MAX_FACT)}…` : text)
}

function bounded(facts: Facts): Facts {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name, typeof value === 'string' ? clip(value) : value]),
  )
}
