/**
 * Would this box have done just this? Its policy is run over the dialogue as it would have been without it, and what comes
 * out is held against what was heard.
 *
 * Of the undisturbed dialogue only one end is known. What the box would have hidden is filled in with what it may have
 * been, and a server that was told something else is asked nothing but what every server does: it takes EHLO, HELO and
 * NOOP, and refuses what it does not know.
 */
import { bytes, concat, text, upper } from '../base/bytes.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Policy } from '../firewall/policy.ts'
import { echoOf } from './alteration.ts'
import { isMasked, keywordsOf } from './keyword.ts'
import { codeOf, type Exchange, heardBytes, type Observation, sessionsOf, textsOf, verbOf } from './observation.ts'

/** What became of one exchange in the experiment. */
export interface Trial {
  /** The index of the exchange in the observation. */
  readonly at: number
  /** The box altered something of it. */
  readonly touched: boolean
  /** Why what was heard cannot have come through this box; absent where it can. */
  readonly against?: string
  /** What masked keywords may have been: those that this box masks. */
  readonly keywords?: ReadonlyMap<string, readonly string[]>
}

export function tryBox(policy: Policy, observation: Observation): readonly Trial[] {
  const index = new Map(observation.exchanges.map((each, i) => [each, i]))
  return sessionsOf(observation).flatMap(session => {
    const inspector = new Inspector(policy)
    let blind = false
    return session.map((exchange): Trial => {
      const at = index.get(exchange) ?? 0
      if (blind || exchange.secured) return { at, touched: false }
      const trial = tryExchange(inspector, policy, exchange, at)
      if (verbOf(exchange) === 'STARTTLS' && codeOf(exchange) === 220) blind = true
      return trial
    })
  })
}

function tryExchange(inspector: Inspector, policy: Policy, exchange: Exchange, at: number): Trial {
  if (exchange.said === '') return tryGreeting(inspector, policy, exchange, at)
  const said = bytes(exchange.said)
  const segments = exchange.typed ? [...said].map(octet => Uint8Array.of(octet)) : [said]
  const arrived = text(concat(segments.flatMap(each => forwarded(inspector, 'client', each))))
  const touched = arrived !== exchange.said
  const against = heedless(exchange, arrived)
  if (exchange.heard.length === 0) return { at, touched, ...(against !== undefined && { against }) }
  const isList = upper(arrived.slice(0, 4)) === 'EHLO' && codeOf(exchange) === 250
  const reply = isList ? tryList(inspector, policy, exchange) : tryReply(inspector, exchange)
  const why = against ?? reply.against
  return {
    at,
    touched: touched || reply.touched,
    ...(why !== undefined && { against: why }),
    ...(reply.keywords && { keywords: reply.keywords }),
  }
}

type Tried = Omit<Trial, 'at'>

function forwarded(inspector: Inspector, from: 'client' | 'server', segment: Uint8Array): readonly Uint8Array[] {
  return inspector.receive(from, segment).flatMap(output => (output.kind === 'forward' ? [output.bytes] : []))
}

/** A reply that is no list passes every box we run as it came: what it does to this one is what it would have done. */
function tryReply(inspector: Inspector, exchange: Exchange): Tried {
  const came = heardBytes(exchange)
  const out = text(concat(forwarded(inspector, 'server', came)))
  return out === text(came) ? { touched: false } : { touched: false, against: 'this reply would have been altered' }
}

function tryGreeting(inspector: Inspector, policy: Policy, exchange: Exchange, at: number): Trial {
  const came = text(heardBytes(exchange))
  // A trial run each: the inspector of the session must see the greeting once.
  const through = (fill: string) => text(concat(forwarded(new Inspector(policy), 'server', bytes(fill))))
  const fitting = fillings(exchange).filter(fill => through(fill) === came)
  // A mask of a mask is itself: what the box would have changed to get here says more.
  const fill = fitting.find(each => each !== came) ?? fitting[0]
  if (fill !== undefined) {
    forwarded(inspector, 'server', bytes(fill))
    return { at, touched: fill !== came }
  }
  forwarded(inspector, 'server', bytes(came))
  return { at, touched: false, against: 'this greeting cannot have come through it' }
}

/** Greetings that may have become this one: as it stands, with letters for stars, and with letters for all. */
function fillings({ heard }: Exchange): readonly string[] {
  const all = (line: string, i: number) => {
    const code = i === heard.length - 1 ? '220 ' : '220-'
    return line.length < 4 ? line : `${code}${'x'.repeat(line.length - 4)}`
  }
  const stars = heard.map(line => line.replaceAll('*', 'x'))
  // A later line's dash is a star under the mask that keeps 2 and 0.
  const dashes = heard.map((line, i) => {
    const filled = line.replaceAll('*', 'x')
    return /^220\*/.test(line) && i < heard.length - 1 ? `220-${filled.slice(4)}` : filled
  })
  // A server gives every line its code.
  const said = [dashes, stars, heard.map(all), heard].filter(lines =>
    lines.every(line => /^\d{3}(?:[ -]|$)/.test(line)),
  )
  return said.map(lines => lines.map(line => `${line}\r\n`).join(''))
}

/** The EHLO list, with what is masked there filled in with what the box would have masked. */
function tryList(inspector: Inspector, policy: Policy, exchange: Exchange): Tried {
  const came = text(heardBytes(exchange))
  const keywords = new Map<string, readonly string[]>()
  const lines = exchange.heard.map((line, i) => {
    const body = line.slice(4)
    if (i === 0 || !isMasked(body)) return line
    const fitting = keywordsOf(body.length).filter(each => masks(policy, each))
    keywords.set(body, fitting)
    // A keyword that nobody knows is one of the others.
    return `${line.slice(0, 4)}${fitting[0] ?? 'Q'.repeat(body.length)}`
  })
  const filled = lines.map(line => `${line}\r\n`).join('')
  const out = text(concat(forwarded(inspector, 'server', bytes(filled))))
  if (out === came) return { touched: filled !== came, keywords }
  const open = exchange.heard.find((line, i) => i > 0 && line === lines[i] && !out.includes(line))
  const against = open === undefined ? 'this list cannot have come through it' : `it would have hidden ${open.slice(4)}`
  return { touched: false, against }
}

/** What a policy does to a keyword is always the same: it is tried once. */
const known = new WeakMap<Policy, Map<string, boolean>>()

/** Does this policy hide the keyword, where it stands alone in a list? */
function masks(policy: Policy, keyword: string): boolean {
  const tried = known.get(policy) ?? new Map<string, boolean>()
  known.set(policy, tried)
  const before = tried.get(keyword)
  if (before !== undefined) return before
  const inspector = new Inspector(policy)
  forwarded(inspector, 'server', bytes('220 mail.example\r\n'))
  forwarded(inspector, 'client', bytes('EHLO c\r\n'))
  const line = `250 ${keyword}\r\n`
  const out = text(concat(forwarded(inspector, 'server', bytes(`250-mail.example\r\n${line}`))))
  tried.set(keyword, !out.includes(line))
  return !out.includes(line)
}

/** Why no server would have answered so to what arrived; `undefined` where one may have. */
function heedless(exchange: Exchange, arrived: string): string | undefined {
  const verb = upper(arrived.trimEnd().split(/\s/, 1)[0] ?? '')
  const code = codeOf(exchange)
  if (!arrived.includes('\n')) {
    return exchange.heard.length === 0 ? undefined : 'the command would never have arrived whole, and is answered'
  }
  // A server that says nothing, or hangs up, may have reasons of its own.
  const isSilent = exchange.typed && exchange.ending === 'silence'
  if (isSilent && arrived !== exchange.said) return 'it would have arrived, if not as it was said, and been answered'
  if (exchange.heard.length === 0)
    return exchange.typed && arrived === exchange.said ? 'it would have passed' : undefined
  const quoted = quotes(exchange, arrived)
  if (quoted !== undefined) return quoted
  const isMask = arrived !== exchange.said && /^X+$/.test(verb)
  if (isMask && code < 400) return `it would have arrived as ${verb}, and is taken`
  const isNoop = arrived !== exchange.said && verb === 'NOOP'
  if (isNoop && (code >= 400 || exchange.heard.length > 1))
    return 'it would have arrived as NOOP, and is answered otherwise'
  // Whole or in pieces, HELO and NOOP that arrive are taken.
  if (exchange.typed && arrived === exchange.said && code >= 500) return 'it would have passed, and is refused'
  return undefined
}

/** Does the reply quote something else than what would have arrived? */
function quotes(exchange: Exchange, arrived: string): string | undefined {
  const echo = echoOf(exchange)
  const line = arrived.trimEnd()
  if (echo !== undefined) {
    const word = /^[Xx]+/.exec(echo)?.[0] ?? echo
    const first = line.split(/\s/, 1)[0] ?? ''
    // Servers cut what they quote, at a blank too: its first word decides, and what follows must be its own.
    if (upper(word) === upper(first) && rest(echo) === '') return undefined
    const quoted = upper(echo.replace(/["')\]].*$/, ''))
    return upper(line).startsWith(quoted) || quoted.startsWith(upper(line))
      ? undefined
      : `it would have arrived as ${first}, and ${word} is quoted`
  }
  const verb = upper(exchange.said.trimEnd().split(/\s/, 1)[0] ?? '')
  const isQuoted = verb === 'ZQXJ' && textsOf(exchange).some(each => upper(each).includes(verb))
  return isQuoted && line !== exchange.said.trimEnd() ? 'what was said is quoted as it was said' : undefined
}

function rest(echo: string): string {
  return echo
    .replace(/^[Xx]+/, '')
    .replace(/["')\].,:;]*$/, '')
    .trim()
}
