/** What becomes of a command: refused, answered here, or passed on in the one form that there is. */
import { bytes, lower, text, upper, utf8 } from '../base/bytes.ts'
import { domainKey, formatMailbox, isAscii, type Mailbox } from '../smtp/address.ts'
import { type Command, parseCommand, type Sayable, verbOf } from '../smtp/command.ts'
import { may, type Phase, type Said, said } from '../smtp/dialogue.ts'
import { lineLimit } from '../smtp/limits.ts'
import type { Line } from '../smtp/line.ts'
import type { FrameGatherer } from '../smtp/link2state.ts'
import type { Params } from '../smtp/params.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import type { Subject } from './judge.ts'
import { type Offer, passesTls, readParams } from './proxy-offer.ts'
import { type Refusal, type Rules, refusal, wordsOf } from './proxy-rules.ts'
import { type Because, PASS, type Verdict } from './verdict.ts'

/** Octets of one XEXCH50 blob. Exchange sends a few thousand. */
export const MAX_EXCH50 = 1_048_576

/** Words of HTTP and the like: whoever was tricked into talking to us must not be answered line by line. */
const NOT_SMTP = new Set(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE', 'PATCH', 'TRACE', 'PROXY'])

export type Understood = Exclude<Command, { kind: 'other' | 'garbled' | 'unreadable' }>

/** A line of the client's, understood or not. */
export type Read =
  | { readonly kind: 'command'; readonly command: Understood }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  /** A chunk without a size: what follows cannot be told from commands. */
  | { readonly kind: 'unframed' }
  | { readonly kind: 'not-smtp' }

/** With `hidden`, the line may be the secret of a login that was refused: it is judged, and not shown. */
export function readLine({ bytes: octets, ending }: Line, rules: Rules, hidden: boolean): Read {
  const command = parseCommand(octets)
  const kind = command.kind === 'garbled' ? command.verb : command.kind
  const isKnown = kind !== 'other' && kind !== 'unreadable' && !isSecret(kind)
  // A line that reads as another command holds no login.
  const shown = hidden && kind === 'other' ? bytes(SECRET) : isKnown ? octets : withoutSecrets(octets)
  const refuse = (subject: string, otherwise: Reply, reason: string, verdict?: Verdict): Read =>
    /^BDAT/i.test(text(octets, 0, 4))
      ? { kind: 'unframed' }
      : { kind: 'refuse', refusal: refusal(subject, shown, otherwise, reason, verdict) }
  if (ending !== 'crlf') {
    const verdict = rules.judge({ on: 'octet', what: 'bare-lf' })
    if (verdict.kind !== 'normalise') {
      return refuse('BARE-LF', reply(500, '5.5.2', 'A line must end with CRLF'), 'a bare LF ends no line')
    }
    rules.explain('line-end', 'bare-lf', { before: shown, because: verdict.because, did: 'normalise' })
  }
  const size = octets.length + 2
  const long = rules.judge({ on: 'size', what: 'command-line', size })
  if (long.kind !== 'pass' || size > lineLimit(kind === 'other' || kind === 'unreadable' ? undefined : kind)) {
    return refuse('COMMAND-LINE', reply(500, '5.5.2', 'Line too long'), 'the line is too long for its verb', long)
  }
  switch (command.kind) {
    case 'unreadable': {
      // `Host: x`: what a browser sends behind its first line.
      if (/^[A-Za-z-]{1,64}:/.test(text(octets, 0, 66))) return { kind: 'not-smtp' }
      const wording = reply(500, '5.5.2', `Not a command: ${command.wrong}`)
      return refuse('UNREADABLE', wording, 'it cannot be read as a command')
    }
    case 'other': {
      const word = upper(command.verb)
      if (NOT_SMTP.has(word)) return { kind: 'not-smtp' }
      const verdict = rules.judge({ on: 'word', what: 'verb', word })
      const otherwise = word === 'XFORWARD' ? notForYou(word) : reply(500, '5.5.1', 'Command unrecognized')
      return refuse(
        hidden ? SECRET : word,
        otherwise,
        'the proxy passes on no verb that it does not understand',
        verdict,
      )
    }
    case 'garbled': {
      const word = upper(command.verb)
      if (command.verb === 'bdat') return { kind: 'unframed' }
      const status = command.verb === 'mail' ? '5.1.7' : command.verb === 'rcpt' ? '5.1.3' : '5.5.4'
      const verdict = rules.judge({ on: 'word', what: 'verb', word })
      const wrong = refusal(
        word,
        isSecret(command.verb) ? bytes(`${word} ${SECRET}`) : octets,
        reply(501, status, command.wrong),
        command.wrong,
        verdict,
      )
      return { kind: 'refuse', refusal: wrong }
    }
    default:
      return { kind: 'command', command }
  }
}

/** What the proxy knows when a command comes. */
export interface View {
  readonly rules: Rules
  readonly phase: Phase
  /** Every phase that may be by the time the command is the server's. */
  readonly phases: ReadonlySet<Phase>
  readonly offered: Offer['keywords']
  readonly withheld: Offer['withheld']
  /** Is the client's side under TLS, and could it be? */
  readonly secured: boolean
  readonly canSecure: boolean
  readonly login: boolean
  /** Recipients of this transaction, taken or asked for. */
  readonly recipients: number
  readonly linkState: FrameGatherer
}

export type Outcome =
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  /** Answered here, and no mistake of the client's. */
  | { readonly kind: 'answer'; readonly reply: Reply; readonly closes: boolean }
  | { readonly kind: 'pass'; readonly command: Sayable }
  /** TLS with the proxy itself. */
  | { readonly kind: 'start-tls' }

const pass = (command: Sayable): Outcome => ({ kind: 'pass', command })

/** Total: a command in, what becomes of it out. Chunks are not asked about here: they are framed whatever becomes of them. */
export function examine(command: Understood, octets: Uint8Array, view: View): Outcome {
  const { rules } = view
  const what = said(command)
  const verb = verbOf(command.kind)
  const shown = isSecret(command.kind) ? bytes(secretless(command)) : octets
  const refuse: Refuse = (otherwise, reason, verdict) => ({
    kind: 'refuse',
    refusal: refusal(verb, shown, otherwise, reason, verdict),
  })
  const closed = rules.judge({ on: 'word', what: 'verb', word: verb })
  if (closed.kind !== 'pass') return refuse(reply(502, '5.5.1', `${verb} is not available`), '', closed)
  const argument = rules.asksAbout(ARGUMENT)
    ? rules.judge({ ...ARGUMENT, text: octets.subarray(verb.length + 1) })
    : PASS
  if (argument.kind !== 'pass') return refuse(reply(501, '5.5.4', 'Not accepted'), '', argument)
  if (!mayInAny(view.phases, what)) {
    return { kind: 'refuse', refusal: outOfPlace(what, view.phase, shown) }
  }
  switch (command.kind) {
    case 'ehlo':
    case 'helo':
      return hello(command, view, refuse)
    case 'mail':
      return mail(command, octets, view, refuse)
    case 'rcpt':
      return rcpt(command, octets, view, refuse)
    case 'vrfy':
      return local(reply(252, '2.1.5', 'Cannot verify; send some mail and see'))
    case 'help':
      return local(reply(214, '2.0.0', 'See RFC 5321'))
    case 'noop':
      return pass({ kind: 'noop', argument: '' })
    case 'auth':
    case 'x-exps':
      return login(command, view, refuse)
    case 'starttls':
      return startTls(view, refuse)
    case 'x-link2state': {
      const gathered = view.linkState.take(command)
      if (gathered.kind !== 'refused') return pass(command)
      return refuse(reply(gathered.code, '5.5.2', gathered.why), gathered.why)
    }
    case 'xexch50':
      if (command.size <= MAX_EXCH50) return pass(command)
      return refuse(reply(552, '5.3.4', 'Too large'), `more than ${MAX_EXCH50} octets`)
    case 'xclient':
      return refuse(notForYou(verb), 'nobody stands in front of us')
    default:
      return pass(command)
  }

  function local(answer: Reply): Outcome {
    rules.explain('command', verb, { before: octets, because: 'answered here, without the server', did: 'answer' })
    return { kind: 'answer', reply: answer, closes: false }
  }
}

const ARGUMENT = { on: 'text', what: 'argument' } as const

function mayInAny(phases: ReadonlySet<Phase>, what: Said): boolean {
  for (const phase of phases) if (may(phase, what)) return true
  return false
}

/** What may not come now, in words that say what must. */
export function outOfPlace(what: Said, phase: Phase, octets: Uint8Array): Refusal {
  const word = upper(what)
  return refusal(word, octets, reply(503, '5.5.1', missing(what, phase)), 'it is not the time for it')
}

export function missing(what: Said, phase: Phase): string {
  if (phase === 'hello') return 'Send EHLO first'
  const needsMail = ['rcpt', 'data', 'bdat', 'last-chunk'].includes(what)
  if (needsMail && phase === 'ready') return 'Send MAIL first'
  if (needsMail && phase === 'mail') return 'Send RCPT first'
  return `${upper(what)} may not come now`
}

type Refuse = (otherwise: Reply, reason: string | Because, verdict?: Verdict) => Outcome

function hello(command: Command & { readonly kind: 'ehlo' | 'helo' }, { rules }: View, refuse: Refuse): Outcome {
  const name = utf8(command.domain)
  const verdict = rules.judgeAll([
    { on: 'size', what: 'hello', size: name.length },
    { on: 'text', what: 'hello', text: name },
  ])
  if (command.domain !== '' && isAscii(command.domain) && verdict.kind === 'pass') return pass(command)
  return refuse(reply(501, '5.5.4', 'Who are you?'), 'one word of ASCII names the client', verdict)
}

function mail(command: Command & { readonly kind: 'mail' }, octets: Uint8Array, view: View, refuse: Refuse): Outcome {
  const { rules, offered, withheld } = view
  const { engine } = rules.policy
  const { from } = command
  const against = from ? address('sender', from, octets, rules) : undefined
  if (against) return refuse(reply(550, '5.7.1', 'Sender refused'), '', against)
  if (engine.tls === 'require' && !view.secured) {
    return refuse(reply(530, '5.7.0', 'Must issue a STARTTLS command first'), rules.own('no mail without TLS', 'tls'))
  }
  const params = keptParams(command.params, rules)
  const read = readParams('mail', params, { keywords: offered, withheld })
  if ('refusal' in read) return refuse(read.refusal, read.because ?? 'the client was not offered this')
  const size = read.facts?.size ?? 0
  const large = rules.judgeAll([
    { on: 'size', what: 'declared-size', size },
    { on: 'size', what: 'message', size },
  ])
  if (large.kind !== 'pass') return refuse(reply(552, '5.3.4', 'Message size exceeds the limit'), '', large)
  if (from && !isPlain(from) && !read.facts?.smtputf8) return refuse(NEEDS_SMTPUTF8, 'SMTPUTF8 was not asked for')
  const shown = from && engine.masquerade.get(domainKey(from.domain))
  return pass({ ...command, from: from && shown !== undefined ? { ...from, domain: shown } : from, params } as Sayable)
}

function rcpt(command: Command & { readonly kind: 'rcpt' }, octets: Uint8Array, view: View, refuse: Refuse): Outcome {
  const { rules, offered, withheld } = view
  const { to } = command
  const denied = () => reply(550, '5.7.1', `Unable to relay for ${formatMailbox(to)}`)
  const against = address('recipient', to, octets, rules)
  if (against) return refuse(denied(), '', against)
  // `postmaster` alone is at home everywhere (RFC 5321 §4.5.1).
  const isPostmaster = to.domain === '' && lower(to.local) === 'postmaster'
  const relay = isPostmaster ? PASS : rules.judge({ on: 'relay', domain: domainKey(to.domain) })
  if (relay.kind !== 'pass' && !view.login) return refuse(denied(), '', relay)
  const params = keptParams(command.params, rules)
  const read = readParams('rcpt', params, { keywords: offered, withheld })
  if ('refusal' in read) return refuse(read.refusal, read.because ?? 'the client was not offered this')
  if (!isPlain(to) && !offered.has('SMTPUTF8'))
    return refuse(NEEDS_SMTPUTF8, withheld.get('SMTPUTF8') ?? 'SMTPUTF8 is not offered')
  const many = rules.judge({ on: 'size', what: 'recipients', size: view.recipients + 1 })
  if (many.kind === 'strip' || many.kind === 'answer') {
    // Not an error of the client's: the rest are to come in another transaction (RFC 5321 §4.5.3.1.10).
    rules.explain('command', 'RECIPIENTS', { before: octets, because: many.because, did: many.kind })
    if (many.kind === 'strip') return { kind: 'answer', reply: reply(250, '2.1.5', 'Ok'), closes: false }
    return { kind: 'answer', reply: wordsOf(many), closes: many.close ?? false }
  }
  if (many.kind !== 'pass') return refuse(reply(452, '4.5.3', 'Too many recipients'), '', many)
  return pass({ ...command, params })
}

const NEEDS_SMTPUTF8: Reply = reply(553, '5.6.7', 'An address outside ASCII needs SMTPUTF8')

function isPlain({ local, domain }: Mailbox): boolean {
  return isAscii(local + domain)
}

/** What the policy has against an address, in whatever way it was written. */
function address(of: 'sender' | 'recipient', mailbox: Mailbox, octets: Uint8Array, rules: Rules): Verdict | undefined {
  const plain = formatMailbox(mailbox)
  const { local } = mailbox
  const size: Subject = { on: 'size', what: of, size: isAscii(plain) ? plain.length : utf8(plain).length }
  const subjects: Subject[] = rules.asksAbout(TEXT[of])
    ? [{ on: 'text', what: of, text: writtenPath(octets) ?? utf8(plain) }, size]
    : [size]
  if (/[|`\0<>]/.test(local)) {
    if (/[|`\0]/.test(local)) subjects.push({ on: 'octet', what: 'special' })
    if (local.includes('|')) subjects.push({ on: 'octet', what: 'pipe' })
    if (/[<>]/.test(local)) subjects.push({ on: 'octet', what: 'stray-bracket' })
  }
  const verdict = rules.judgeAll(subjects)
  return verdict.kind === 'pass' ? undefined : verdict
}

const TEXT = {
  sender: { on: 'text', what: 'sender' },
  recipient: { on: 'text', what: 'recipient' },
} as const

/** The path as the client wrote it, without < and >: a source route, quotes and all. */
function writtenPath(octets: Uint8Array): Uint8Array | undefined {
  const [open, close] = [octets.indexOf(OPEN), octets.lastIndexOf(CLOSE)]
  return open >= 0 && close > open ? octets.subarray(open + 1, close) : undefined
}

const [OPEN, CLOSE] = [0x3c, 0x3e]

function keptParams(params: Params, rules: Rules): Params {
  if (params.length === 0) return params
  return params.filter(({ keyword }) => {
    const verdict = rules.judge({ on: 'word', what: 'param', word: keyword })
    if (verdict.kind !== 'strip') return true
    rules.explain('command', keyword, { before: bytes(keyword), because: verdict.because, did: 'strip' })
    return false
  })
}

function login(command: Command & { readonly kind: 'auth' | 'x-exps' }, view: View, refuse: Refuse): Outcome {
  const word = upper(command.kind)
  const { rules, withheld } = view
  if (view.login) return refuse(reply(503, '5.5.1', 'Already authenticated'), 'one login is enough')
  const notOffered = withheld.get(word) ?? 'the client was not offered this'
  const mechanisms = view.offered.get(word)
  if (!mechanisms) {
    const inClear = !view.secured && !rules.policy.engine.authInClear
    const wording = inClear
      ? reply(538, '5.7.11', 'Encryption required for authentication')
      : reply(502, '5.5.1', `${word} is not available`)
    return refuse(wording, notOffered)
  }
  if (mechanisms.some(each => upper(each) === command.mechanism)) return pass(command)
  const judged = rules.judge({ on: 'word', what: 'auth-mechanism', word: command.mechanism })
  const because = judged.kind === 'pass' ? notOffered : judged.because
  return refuse(reply(504, '5.5.4', 'Authentication mechanism not supported'), because)
}

function startTls({ rules, secured, canSecure, login: loggedIn, offered }: View, refuse: Refuse): Outcome {
  const { engine } = rules.policy
  if (secured) return refuse(reply(503, '5.5.1', 'TLS is on already'), 'once is enough')
  if (loggedIn) return refuse(reply(503, '5.5.1', 'TLS comes before the login'), 'a login in clear must not outlive it')
  if (passesTls(engine, { canSecure })) {
    if (offered.has('STARTTLS')) return pass({ kind: 'starttls' })
  } else if (engine.tls !== 'off' && canSecure) return { kind: 'start-tls' }
  return refuse(reply(502, '5.5.1', 'STARTTLS is not available'), rules.own('the client was not offered this', 'tls'))
}

function notForYou(verb: string): Reply {
  return reply(550, '5.7.0', `${verb} is not for you`)
}

export function isSecret(kind: string): boolean {
  return kind === 'auth' || kind === 'x-exps'
}

/** What stands in the place of what is not shown. */
export const SECRET = '[secret]'

/** Octets of the client's as they may be shown: of a login its mechanism, and nothing behind it. */
export function withoutSecrets(octets: Uint8Array): Uint8Array {
  const said = text(octets)
  const [login] = /(?:^|\n)[ \t]*(?:AUTH|X-EXPS)(?:[ \t]+[^ \t\r\n]*)?(?=[ \t\r\n])/i.exec(said) ?? []
  return login === undefined ? octets : bytes(`${said.slice(0, said.indexOf(login))}${login} ${SECRET}`)
}

/** A login as it may be shown. */
function secretless(command: Understood): string {
  const word = upper(command.kind)
  if (!('mechanism' in command)) return word
  return `${word} ${command.mechanism}${command.initial === undefined ? '' : ` ${SECRET}`}`
}
