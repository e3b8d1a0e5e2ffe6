/** What the next server takes, by what it offers: the form of a message, its parameters, and what cannot be sent at all. */
import type { Instant } from '../base/time.ts'
import type { Envelope, Recipient } from '../mail/envelope.ts'
import { isAscii } from '../smtp/address.ts'
import { type Capabilities, offers } from '../smtp/capabilities.ts'
import type { Param, Params } from '../smtp/params.ts'
import type { Reply } from '../smtp/reply.ts'
import type { Failure } from '../spool/entry.ts'
import type { Without } from './order.ts'

/** A message as a server gets it: what it declares of its octets, and how many there are. */
export interface Form {
  readonly body: Envelope['body']
  readonly size: number
}

/** The keywords that go with what is left out. */
const GONE: Readonly<Record<Without, readonly string[]>> = {
  tls: ['STARTTLS'],
  bdat: ['CHUNKING', 'BINARYMIME'],
  parameters: ['SIZE', '8BITMIME', 'BINARYMIME', 'SMTPUTF8', 'DSN', 'DELIVERBY', 'MT-PRIORITY'],
}

/** What a server offers, but for what did not work there. */
export function spare(offered: Capabilities, without: ReadonlySet<Without> = NOTHING): Capabilities {
  const gone = new Set([...without].flatMap(each => GONE[each]))
  return gone.size === 0
    ? offered
    : { ...offered, keywords: new Map([...offered.keywords].filter(([keyword]) => !gone.has(keyword))) }
}

const NOTHING: ReadonlySet<Without> = new Set()

/** Does a refusal speak of the command and not of the message (RFC 5321 §4.2.2)? */
export function isOfCommand({ code }: Reply): boolean {
  return code >= 500 && code <= 504
}

/**
 * Does a refusal of MAIL or RCPT speak of their parameters (RFC 5321 §4.1.1.11)? 501 may be about the address as well:
 * whoever tries again without parameters will hear.
 */
export function isOfParameters({ code, status }: Reply, params: Params): boolean {
  if (params.length === 0) return false
  return code === 555 || ((code === 501 || code === 504) && (status === undefined || status.startsWith('5.5.')))
}

/** In which form the server would take what it does not take as it is (RFC 6152 §3, RFC 3030 §3). */
export function wantedForm(offered: Capabilities, body: Envelope['body']): '7bit' | '8bitmime' | undefined {
  const binary = offers(offered, 'BINARYMIME') && offers(offered, 'CHUNKING')
  const eight = offers(offered, '8BITMIME')
  if (body === 'binarymime' && !binary) return eight ? '8bitmime' : '7bit'
  return body === '8bitmime' && !eight ? '7bit' : undefined
}

/**
 * Must it not go on without TLS and REQUIRETLS? A report on such a message asks for both and does without: better that its
 * sender hears of it (RFC 8689 §5).
 */
export function requiresTls({ requireTls, from }: Envelope): boolean {
  return requireTls === true && from !== null
}

/** What the server would have to take and does not say it can, in whatever form (RFC 6531 §3.5, RFC 8689 §4.2.1, RFC 2852 §4). */
export function unsendableTo(
  offered: Capabilities,
  envelope: Envelope,
  { form: { size }, now }: { readonly form: Form; readonly now: Instant },
): Failure | undefined {
  if (requiresTls(envelope) && !offers(offered, 'REQUIRETLS')) {
    const why = 'the message requires TLS on all its way, and the next server takes no REQUIRETLS'
    return { status: '5.7.30', why }
  }
  if (envelope.smtputf8 && !offers(offered, 'SMTPUTF8') && !isPlain(envelope)) {
    return { status: '5.6.7', why: 'an address is outside ASCII, and the next server takes no SMTPUTF8' }
  }
  if (envelope.deliverBy?.mode === 'return') {
    if (!offers(offered, 'DELIVERBY')) {
      const why = 'the message must be delivered in time or come back, and the next server takes no DELIVERBY'
      return { status: '5.3.3', why }
    }
    const [left, least] = [secondsLeft(envelope.deliverBy, now), numberOf(offered, 'DELIVERBY')]
    if (left < least) {
      const why = `the message must be delivered within ${left} s or come back, and the next server wants ${least} s for that`
      return { status: '5.4.7', why }
    }
  }
  const limit = numberOf(offered, 'SIZE')
  if (limit === 0 || size <= limit) return undefined
  return { status: '5.3.4', why: `the message has ${size} octets, and the next server takes ${limit}` }
}

/** The number behind a keyword; what is none says nothing, and 0 stands for that. */
function numberOf({ keywords }: Capabilities, keyword: string): number {
  const said = keywords.get(keyword)?.[0] ?? ''
  return /^\d{1,20}$/.test(said) ? Number(said) : 0
}

export function isPlain({ from, recipients }: Envelope): boolean {
  const all = [...(from ? [from] : []), ...recipients.map(({ to }) => to)]
  return all.every(({ local, domain }) => isAscii(local + domain))
}

/** RFC 9422 §3: what one transaction takes; what is not said or makes no sense is no limit. */
export function mostRecipients({ keywords }: Capabilities): number {
  const said = keywords.get('LIMITS') ?? []
  const at = said.findIndex(word => word.toUpperCase() === 'RCPTMAX')
  const most = at < 0 ? 0 : Number(said[at + 1])
  return Number.isSafeInteger(most) && most > 0 ? most : Number.POSITIVE_INFINITY
}

/** No more recipients in this transaction; 552 is what RFC 821 had for it (RFC 5321 §4.5.3.1.10). */
export function isTooMany({ code, status }: Reply): boolean {
  return status === undefined ? code === 452 || code === 552 : status.endsWith('.5.3')
}

export function mailParams(
  offered: Capabilities,
  envelope: Envelope,
  { form: { body, size }, now }: { readonly form: Form; readonly now: Instant },
): Params {
  const params: Param[] = []
  if (offers(offered, 'SIZE')) params.push({ keyword: 'SIZE', value: String(size) })
  if (body !== '7bit' && offers(offered, body.toUpperCase())) {
    params.push({ keyword: 'BODY', value: body.toUpperCase() })
  }
  if (envelope.smtputf8 && offers(offered, 'SMTPUTF8')) params.push({ keyword: 'SMTPUTF8' })
  if (envelope.requireTls && offers(offered, 'REQUIRETLS')) params.push({ keyword: 'REQUIRETLS' })
  const { deliverBy, priority } = envelope
  if (deliverBy && offers(offered, 'DELIVERBY')) params.push({ keyword: 'BY', value: sayBy(deliverBy, now) })
  if (priority !== undefined && offers(offered, 'MT-PRIORITY')) {
    params.push({ keyword: 'MT-PRIORITY', value: String(priority) })
  }
  if (offers(offered, 'DSN')) {
    if (envelope.ret) params.push({ keyword: 'RET', value: envelope.ret })
    if (envelope.envid !== undefined) params.push({ keyword: 'ENVID', value: envelope.envid })
  }
  return params
}

/** What is left of the time, in whole seconds (RFC 2852 §4). */
function sayBy(deliverBy: NonNullable<Envelope['deliverBy']>, now: Instant): string {
  const { mode, trace } = deliverBy
  return `${secondsLeft(deliverBy, now)};${mode === 'return' ? 'R' : 'N'}${trace ? 'T' : ''}`
}

/** What is to come back has a second left as long as it is sent at all. */
function secondsLeft({ at, mode }: NonNullable<Envelope['deliverBy']>, now: Instant): number {
  const seconds = Math.max(-MOST_SECONDS, Math.min(MOST_SECONDS, Math.floor((at - now) / 1000)))
  return mode === 'return' ? Math.max(1, seconds) : seconds
}

/** Nine digits (RFC 2852 §4). */
const MOST_SECONDS = 999_999_999

export function rcptParams(offered: Capabilities, recipient: Recipient | undefined): Params {
  if (!recipient || !offers(offered, 'DSN')) return []
  const { notify, orcpt } = recipient
  return [
    ...(notify === undefined ? [] : [{ keyword: 'NOTIFY', value: notify }]),
    ...(orcpt === undefined ? [] : [{ keyword: 'ORCPT', value: orcpt }]),
  ]
}
