/**
 * What was altered: said on one side, heard otherwise on the other. Where only one side is known, what shows itself there
 * and no server does of its own accord; each with how sure that is, and never more.
 */
import { upper } from '../base/bytes.ts'
import { countsFromA, isMasked, keywordsOf } from './keyword.ts'
import {
  codeOf,
  type Exchange,
  inClear,
  type Observation,
  offersOf,
  sessionsOf,
  textsOf,
  verbOf,
} from './observation.ts'

/** `proven`: the octets say so by themselves. `likely`: no other cause is known. `possible`: others are. */
export type Grade = 'proven' | 'likely' | 'possible'

export type AlterationKind =
  | 'greeting' // the 220 is another, or hidden
  | 'keyword-masked' // an EHLO line became something else
  | 'keyword-missing' // an EHLO line is gone
  | 'keyword-added'
  | 'verb' // a command arrived as another
  | 'fragment' // a command arrived otherwise because it came in pieces
  | 'refused' // what was offered is refused
  | 'reply' // another reply than the server gave
  | 'content' // octets of a message
  | 'cut-off' // the connection ended, or nothing came any more

export interface Alteration {
  readonly kind: AlterationKind
  /** `STARTTLS`, `EHLO`; empty for the greeting. */
  readonly subject: string
  readonly toward: 'server' | 'client'
  /** As it was said; absent where only the other end is known. One octet per character. */
  readonly before?: string
  /** As it was heard; empty where it never came. */
  readonly after: string
  readonly grade: Grade
  readonly why: string
  /** Of a masked keyword: what it may have been, the likeliest first. */
  readonly candidates?: readonly string[]
  /** Which exchange of the observation shows it, by index. */
  readonly at?: number
}

const ORDER: readonly Grade[] = ['possible', 'likely', 'proven']

export function surest(grades: readonly Grade[]): Grade | undefined {
  return ORDER.findLast(each => grades.includes(each))
}

/** Stars in a greeting below which it may be somebody's idea of a decoration. */
export const MANY_STARS = 12

/** What shows itself at one end. Pure and total; a server that is merely modest has none. */
export function alterationsIn(observation: Observation): readonly Alteration[] {
  const found: Alteration[] = []
  const { exchanges } = observation
  const greeting = exchanges.findIndex(each => each.said === '' && each.heard.length > 0)
  const first = exchanges[greeting]
  if (first) found.push(...greetingOf(first, greeting))
  for (const [at, exchange] of exchanges.entries()) {
    if (exchange.said === '' || exchange.secured) continue
    if (exchange.typed) continue
    found.push(...commandOf(observation, exchange, at))
    if (verbOf(exchange) === 'EHLO') found.push(...keywordsIn(observation, exchange, at))
  }
  found.push(...typedIn(observation))
  return once(found)
}

/** The same thing seen twice is one thing. */
function once(found: readonly Alteration[]): readonly Alteration[] {
  const seen = new Set<string>()
  return found.filter(({ kind, subject, after }) => {
    const key = `${kind} ${subject} ${kind === 'keyword-masked' ? after : ''}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

function greetingOf(exchange: Exchange, at: number): readonly Alteration[] {
  const after = exchange.heard.join('\r\n')
  const base = { kind: 'greeting', subject: '', toward: 'client', after, at } as const
  const texts = textsOf(exchange)
  if (texts.every((line, i) => (i === 0 ? /^SMTP\/cmap ready_*$/ : /^_*$/).test(line))) {
    return [{ ...base, grade: 'likely', why: 'no server greets like this; the mailhost of a PIX 4 did' }]
  }
  // Letters anywhere, and it is somebody's decoration: a mask leaves none.
  if (!/^220[ -]/.test(after) || !texts.every(line => /^[*20 ]*$/.test(line))) return []
  const stars = texts.join('').replace(/[^*]/g, '').length
  if (stars < 4) return []
  const why =
    'a greeting begins with the name of its host (RFC 5321 §4.2); here nothing but stars, 2, 0 and blanks is left'
  const masked: Alteration = { ...base, grade: stars >= MANY_STARS ? 'likely' : 'possible', why }
  if (exchange.ending !== 'unreadable') return [masked]
  const cut = 'the mask has covered the code of the last line: clients wait for the end of this greeting for ever'
  return [masked, { kind: 'cut-off', subject: '', toward: 'client', after, grade: 'proven', why: cut, at }]
}

/** The echo of a command in its reply, where it is not as the command was said. */
export function echoOf(exchange: Exchange): string | undefined {
  const line = exchange.said.trimEnd()
  const verb = line.split(/\s/, 1)[0] ?? ''
  if (verb.length < 3 || codeOf(exchange) < 400) return undefined
  for (const said of textsOf(exchange)) {
    // What is quoted as it was said was not altered; a name that holds X is no mask.
    if (upper(said).includes(upper(verb))) continue
    const run = /(?:^|[^A-Za-z])(X{3,}|x{3,})(?![A-Za-z])[^"'\r\n]*/.exec(said)
    const masked = run?.[1]
    if (masked === undefined || run === null) continue
    if (masked.length !== verb.length && masked.length !== line.length) continue
    return run[0].replace(/^[^Xx]/, '').trimEnd()
  }
  return undefined
}

function commandOf(observation: Observation, exchange: Exchange, at: number): readonly Alteration[] {
  const before = exchange.said.trimEnd()
  const subject = verbOf(exchange)
  const base = { subject, toward: 'server', before, at } as const
  const echo = echoOf(exchange)
  if (echo !== undefined) {
    return [{ ...base, kind: 'verb', after: echo, grade: 'proven', why: 'the server quotes what arrived' }]
  }
  const code = codeOf(exchange)
  const noop = inClear(observation, 'NOOP')
  const isNoop = noop !== undefined && code === 250 && noop.heard.join('\n') === exchange.heard.join('\n')
  if (subject === 'EHLO' && isNoop && exchange.heard.length === 1) {
    const helo = inClear(observation, 'HELO')
    const why = 'EHLO is answered word for word as NOOP is'
    const differs = helo !== undefined && helo.heard.join('\n') !== exchange.heard.join('\n')
    return [{ ...base, kind: 'verb', after: 'NOOP', grade: differs ? 'likely' : 'possible', why }]
  }
  if (subject === 'EHLO' && code >= 500) {
    const greeting = observation.exchanges.find(each => each.said === '')
    const [hidden] = greeting ? greetingOf(greeting, 0) : []
    const claims = greeting !== undefined && /\bESMTP\b/.test(textsOf(greeting).join(' '))
    const why = claims ? 'the greeting says ESMTP, and EHLO is refused' : 'the greeting is hidden, and EHLO is refused'
    const grade = claims ? 'likely' : hidden?.grade
    return grade ? [{ ...base, kind: 'refused', after: exchange.heard.join('\r\n'), grade, why }] : []
  }
  if (!KNOWN.has(subject) && code === 250 && isNoop) {
    const why = 'a verb that nobody knows is answered word for word as NOOP is'
    return [{ ...base, kind: 'verb', after: 'NOOP', grade: 'likely', why }]
  }
  if (subject === 'STARTTLS' && code >= 500 && offers(observation, 'STARTTLS')) {
    const why = 'STARTTLS is offered and refused: whoever refuses it is not who offered it'
    return [{ ...base, kind: 'refused', after: exchange.heard.join('\r\n'), grade: 'likely', why }]
  }
  if (exchange.ending === 'closed' && subject !== 'QUIT' && exchange.heard.length === 0) {
    const why = 'the connection ended in the place of an answer'
    return [{ ...base, kind: 'cut-off', after: '', grade: 'possible', why }]
  }
  return []
}

const KNOWN: ReadonlySet<string> = new Set([
  'HELO',
  'EHLO',
  'NOOP',
  'HELP',
  'RSET',
  'QUIT',
  'MAIL',
  'RCPT',
  'DATA',
  'VRFY',
  'EXPN',
  'BDAT',
  'AUTH',
  'STARTTLS',
  'X-EXPS',
  'XEXCH50',
  'ETRN',
])

/** Is the keyword offered before TLS? */
export function offers({ exchanges }: Observation, keyword: string): boolean {
  return exchanges.some(
    each => !each.secured && verbOf(each) === 'EHLO' && offersOf(each).some(line => keywordOf(line) === keyword),
  )
}

function keywordOf(line: string): string {
  return upper(line.split(/[ =]/, 1)[0] ?? '')
}

/** What a server may offer in TLS alone, and before it alone, for reasons of its own. */
const IN_TLS_ONLY: ReadonlySet<string> = new Set(['AUTH', 'REQUIRETLS', 'X-EXPS', 'XCLIENT', 'XFORWARD', 'BURL', 'OK'])
/** What no server has a reason to keep from clients that do not use TLS. */
const FOR_ALL: ReadonlySet<string> = new Set([
  'PIPELINING',
  'SIZE',
  '8BITMIME',
  'CHUNKING',
  'BINARYMIME',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'SMTPUTF8',
])

function keywordsIn({ exchanges }: Observation, exchange: Exchange, at: number): readonly Alteration[] {
  const lines = offersOf(exchange)
  const masked = lines.filter(isMasked)
  const inTls = exchanges.find(each => each.secured && verbOf(each) === 'EHLO' && codeOf(each) === 250)
  const open = new Set(lines.map(keywordOf))
  const missing = inTls ? offersOf(inTls).filter(line => !open.has(keywordOf(line))) : []
  const counts = countsFromA(masked)
  const hidden = new Set<string>()
  const found = masked.map((line): Alteration => {
    const known = missing.filter(each => each.length === line.length && !hidden.has(each))
    const base = { kind: 'keyword-masked', toward: 'client', after: line, at } as const
    const [only] = known
    if (known.length === 1 && only !== undefined) {
      hidden.add(only)
      const why = 'inside TLS, where nobody could look, the same server offers it'
      return { ...base, subject: keywordOf(only), before: only, candidates: [only], grade: 'proven', why }
    }
    const candidates = known.length > 0 ? known : keywordsOf(line.length)
    const why = counts
      ? `no keyword is called so; X and a letter that counts from A is the mask of a Cisco ASA`
      : 'no keyword is called so'
    const subject = candidates[0] ?? ''
    return { ...base, subject, candidates, grade: counts ? 'proven' : 'likely', why }
  })
  for (const line of missing) {
    const keyword = keywordOf(line)
    if (hidden.has(line) || IN_TLS_ONLY.has(keyword) || masked.some(each => each.length === line.length)) continue
    const grade = FOR_ALL.has(keyword) ? 'likely' : 'possible'
    const why = 'it is offered inside TLS, where nobody could look, and not before'
    found.push({ kind: 'keyword-missing', subject: keyword, toward: 'client', before: line, after: '', grade, why, at })
  }
  return found
}

/** Whole it works, octet by octet it does not: somebody looks at each segment by itself, and no server does that. */
function typedIn(observation: Observation): readonly Alteration[] {
  const found: Alteration[] = []
  for (const session of sessionsOf(observation)) {
    for (const exchange of session) {
      const verb = verbOf(exchange)
      if (!exchange.typed || verb === 'QUIT') continue
      const whole = inClear(observation, verb)
      if (!whole || codeOf(whole) !== 250) continue
      const isRefused = codeOf(exchange) >= 500
      const isLost = exchange.ending === 'silence' && session[0]?.heard.length !== 0
      if (!isRefused && !isLost) continue
      const quoted = /X{3,}/.exec(textsOf(exchange).join(' '))?.[0]
      const why = isRefused
        ? 'whole it is taken, octet by octet it is refused: somebody looks at each segment by itself'
        : 'whole it is answered, octet by octet it is not: somebody throws pieces of commands away'
      found.push({
        kind: 'fragment',
        subject: verb,
        toward: 'server',
        before: exchange.said.trimEnd(),
        after: quoted ?? '',
        grade: isRefused ? 'proven' : 'likely',
        why,
        at: observation.exchanges.indexOf(exchange),
      })
      return found
    }
  }
  return found
}
