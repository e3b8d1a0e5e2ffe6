/** The real machines behind the face that a transcript plays: what a golden file is held against. */
import { bytes, concat, show, text } from '../src/base/bytes.ts'
import type { TlsFacts } from '../src/base/machine.ts'
import { cite, formatDiagnostic } from '../src/base/problem.ts'
import { type Instant, parseDuration } from '../src/base/time.ts'
import { unreachable } from '../src/base/unreachable.ts'
import type { Grammar } from '../src/config/grammar.ts'
import { parse } from '../src/config/parse.ts'
import type { Caller } from '../src/firewall/access.ts'
import { admit } from '../src/firewall/admission.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import type { FirewallConfig } from '../src/firewall/config.ts'
import { inspectionOf } from '../src/firewall/inspection.ts'
import { Inspector } from '../src/firewall/inspector.ts'
import type { Policy } from '../src/firewall/policy.ts'
import { formatSyslog, type LogEnds, syslogOf } from '../src/firewall/syslog.ts'
import type { Explanation } from '../src/firewall/verdict.ts'
import { formatDate } from '../src/mail/date.ts'
import type { Envelope, Recipient } from '../src/mail/envelope.ts'
import { acceptRecipient, verifyAddress } from '../src/mta/acceptance.ts'
import { Attempt, type AttemptOutput, type Order } from '../src/mta/attempt.ts'
import { MTA } from '../src/mta/commands.ts'
import type { MtaConfig } from '../src/mta/config.ts'
import { type Floor, WORKAROUNDS } from '../src/mta/order.ts'
import { formatMailbox, formatPath, parsePath } from '../src/smtp/address.ts'
import { clientWorld, offering, wish, worldOf } from '../src/smtp/any-login.test.ts'
import { dialect } from '../src/smtp/dialect.ts'
import { param, parseParams } from '../src/smtp/params.ts'
import { sayReply } from '../src/smtp/reply.ts'
import { type Answer, type Question, Server, type ServerOutput } from '../src/smtp/server.ts'
import { MAIL_ONLY } from '../src/smtp/session.ts'
import { sayOutcome } from '../src/spool/entry.ts'
import { crossing } from '../src/topology/topology.ts'
import type { Act, Part, Subject } from '../src/transcript/play.ts'
import { CURTAIN } from '../src/transcript/play.ts'
import { sectionBytes, sectionLines, type Transcript } from '../src/transcript/transcript.ts'
import { isProxied, ProxySubject } from './proxy-subject.ts'

/** By what stands behind `subject:`. */
export const SUBJECTS: Readonly<Record<string, (transcript: Transcript) => Subject>> = {
  server: transcript => new ServerSubject(transcript),
  client: transcript => new ClientSubject(transcript),
  firewall: transcript => (isProxied(transcript) ? new ProxySubject(transcript) : new FirewallSubject(transcript)),
}

/** The configuration of a transcript, without a problem; the lines are counted from its section's first. */
function configOf<C>(grammar: Grammar<C>, { sections, file }: Transcript, name: string): C {
  const { config, problems } = parse(grammar, sections.get('config')?.text ?? '', name)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error([`${file}: -- config --`, ...errors.map(formatDiagnostic)].join('\n'))
  return config
}

function note(section: string, line: string): Act {
  return { kind: 'note', section, line }
}

/** What a handshake in a transcript comes to: `(tls is up)`. */
const TLS: TlsFacts = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }

/** `src/smtp/server.ts`, answered by the rules of `src/mta/acceptance.ts`; what it takes is noted under `spool`. */
class ServerSubject implements Subject {
  readonly parts: readonly Part[] = ['S']
  readonly #config: MtaConfig
  readonly #accounts: ReturnType<typeof worldOf>
  readonly #services: readonly string[]
  readonly #traces: boolean
  #server: Server | undefined
  #peer = ''
  #body: Uint8Array[] = []
  #protocol = ''
  #messages = 0

  constructor(transcript: Transcript) {
    this.#config = configOf(MTA, transcript, 'mta.conf')
    const [user = '', password = ''] = transcript.headers.get('login')?.split(' ') ?? []
    this.#accounts = worldOf({ [user]: password })
    this.#services = transcript.headers.get('services')?.split(' ') ?? []
    this.#traces = transcript.sections.has('trace')
  }

  get deadline(): Instant | undefined {
    return this.#server?.deadline
  }

  open(words: string, now: Instant): readonly Act[] {
    const { hostname, dialect: name, version, quoteUnknown, authWithoutTls, logins, limits, tls, off } = this.#config
    const spoken = dialect(name, { quoteUnknown })
    this.#peer = / from (\S+)$/.exec(words)?.[1] ?? '192.0.2.7'
    this.#server = new Server({
      host: hostname,
      peer: this.#peer,
      dialect: spoken,
      version: version ?? spoken.version,
      limits,
      ...MAIL_ONLY,
      ...offering(...(logins.length > 0 ? ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'] : [])),
      ...(authWithoutTls
        ? {}
        : { mechanisms: secured => (secured && logins.length > 0 ? ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'] : []) }),
      startTls: tls !== undefined,
      requireTls: this.#config.tlsRequired,
      services: new Set([...this.#services, ...(this.#config.verifies ? ['VRFY'] : [])]),
      off: new Set(off),
      date: formatDate,
      trace: this.#traces,
    })
    return this.#carryOut(this.#server.open(now), now)
  }

  hear(_from: Part, segment: Uint8Array, now: Instant): readonly Act[] {
    return this.#server ? this.#carryOut(this.#server.receive(segment, now), now) : []
  }

  direct(words: string, now: Instant): readonly Act[] | undefined {
    if (!this.#server) return undefined
    if (words === 'the server is stopped') return this.#carryOut(this.#server.stop(now), now)
    return words === 'tls is up' ? this.#carryOut(this.#server.secured(TLS, now), now) : undefined
  }

  end(_from: Part, now: Instant): readonly Act[] {
    return this.#server ? this.#carryOut(this.#server.end(now), now) : []
  }

  tick(now: Instant): readonly Act[] {
    return this.#server ? this.#carryOut(this.#server.tick(now), now) : []
  }

  #carryOut(outputs: readonly ServerOutput[], now: Instant): readonly Act[] {
    return outputs.flatMap((output): readonly Act[] => {
      switch (output.kind) {
        case 'write':
          return [{ kind: 'say', by: 'S', bytes: output.bytes }]
        case 'start-tls':
          return [{ kind: 'start-tls' }]
        case 'close':
          return [{ kind: 'close' }]
        case 'message-begins':
          this.#body = []
          this.#protocol = output.facts.protocol
          return []
        case 'body':
          this.#body.push(output.bytes)
          return []
        case 'body-abandoned':
          return [note('spool', `abandoned: ${output.why}`)]
        case 'trace':
          return [note('trace', `${output.by}: ${output.text}`)]
        case 'login':
          return this.#traces
            ? [note('trace', `login by ${output.mechanism}: ${output.user ?? `no: ${output.why}`}`)]
            : []
        case 'turned':
          return [note('spool', `turned for ${output.login}: ${output.domains.join(' ') || 'all'}`)]
        case 'ask': {
          const kept = output.question.about === 'message' ? this.#keep(output.question) : []
          return [...kept, ...this.#carryOut(this.#server?.answer(this.#answer(output.question), now) ?? [], now)]
        }
        default:
          return unreachable(output)
      }
    })
  }

  #answer(question: Question): Answer {
    switch (question.about) {
      case 'mail':
        return { yes: '' }
      case 'rcpt':
        return acceptRecipient(this.#config, question)
      case 'vrfy':
        return verifyAddress(this.#config, question.text)
      case 'sasl':
        return { sasl: this.#accounts(question.question) }
      case 'etrn': {
        const found = this.#config.turns.find(({ domain }) => domain === question.node.replace(/^@/, ''))
        return found ? { yes: '' } : { no: 'etrn-refused' }
      }
      case 'turn': {
        const own = this.#config.turns.filter(({ login }) => login === question.login).map(({ domain }) => domain)
        return own.length > 0 && question.domains.every(each => own.includes(each))
          ? { yes: '' }
          : { no: 'turn-refused' }
      }
      case 'link-state':
        return { frame: question.frame }
      case 'message': {
        const id = `M${this.#messages}`
        return { yes: this.#config.dialect === 'exchange2000' ? `<${id}@${this.#config.hostname}>` : id }
      }
      default:
        return unreachable(question)
    }
  }

  #keep({ transaction, size }: Question & { readonly about: 'message' }): readonly Act[] {
    const { from, recipients, body } = transaction
    const to = recipients.map(each => formatPath(each.to)).join(' ')
    const { blob } = transaction
    const more = blob ? `, XEXCH50 ${blob.version} of ${blob.bytes.length} octets` : ''
    const head = `M${++this.#messages} from ${formatPath(from)} to ${to} by ${this.#protocol}, ${body}, ${size} octets${more}`
    const lines = text(concat(this.#body))
      .split(/(?<=\r\n)/)
      .filter(line => line !== '')
    const content = lines.map(line => `| ${show(bytes(line.replace(/\r\n$/, '')))}`.trimEnd())
    return [head, ...content].map(line => note('spool', line))
  }
}

/** `src/mta/attempt.ts` with the order of `-- envelope --`; outcomes are noted under `outcomes`. */
class ClientSubject implements Subject {
  readonly parts: readonly Part[] = ['C']
  readonly #attempt: Attempt
  readonly #order: Order
  readonly #message: Uint8Array

  constructor(transcript: Transcript) {
    const message = transcript.sections.get('message')
    this.#message = message ? sectionBytes(message, { raw: true }) : new Uint8Array(0)
    this.#order = readOrder(transcript, this.#message.length)
    this.#attempt = new Attempt(this.#order, { trace: transcript.sections.has('trace') })
  }

  get deadline(): Instant | undefined {
    return this.#attempt.deadline
  }

  open(_words: string, now: Instant): readonly Act[] {
    return this.#carryOut(this.#attempt.open(now), now)
  }

  hear(_from: Part, segment: Uint8Array, now: Instant): readonly Act[] {
    return this.#carryOut(this.#attempt.receive(segment, now), now)
  }

  direct(words: string, now: Instant): readonly Act[] | undefined {
    if (words === 'tls is up') return this.#carryOut(this.#attempt.secured(TLS, now), now)
    if (words === 'tls is up, unproven')
      return this.#carryOut(this.#attempt.secured({ ...TLS, unproven: 'it is self-signed' }, now), now)
    if (words === 'tls fails') return this.#carryOut(this.#attempt.unsecured('it is no TLS'), now)
    return undefined
  }

  end(_from: Part, now: Instant): readonly Act[] {
    return this.#carryOut(this.#attempt.end(now), now)
  }

  tick(now: Instant): readonly Act[] {
    return this.#carryOut(this.#attempt.tick(now), now)
  }

  #carryOut(outputs: readonly AttemptOutput[], now: Instant): readonly Act[] {
    return outputs.flatMap((output): readonly Act[] => {
      switch (output.kind) {
        case 'write':
          return [{ kind: 'say', by: 'C', bytes: output.bytes }]
        case 'start-tls':
          return [{ kind: 'start-tls' }]
        case 'close':
          return [{ kind: 'close' }]
        case 'want-body':
          return this.#carryOut([...this.#attempt.body(this.#message, now), ...this.#attempt.endBody(now)], now)
        case 'outcome': {
          const to = this.#order.envelope.recipients[output.recipient]?.to
          return [note('outcomes', `${to ? formatMailbox(to) : '?'}  ${sayOutcome(output.outcome)}`)]
        }
        case 'convert': {
          const by = {
            status: '5.6.3',
            why: `the next server takes no ${this.#order.envelope.body}, and nobody converts it`,
          }
          return [
            note('outcomes', `convert to ${output.to}`),
            ...this.#carryOut(this.#attempt.unconvertible(by, now), now),
          ]
        }
        case 'ask':
          return this.#carryOut(this.#attempt.answer(clientWorld(output.question), now), now)
        case 'elsewhere':
          return [note('outcomes', `elsewhere: ${sayOutcome({ kind: 'deferred', by: output.by })}`)]
        case 'again':
          return [note('outcomes', `again without ${output.without}: ${output.why}`)]
        case 'note':
          return [note('outcomes', `note: ${output.what}`)]
        case 'pulled':
          return [note('outcomes', `pulled: ${sayReply(output.reply)}`)]
        case 'answered':
          return []
        case 'turned':
        case 'idle':
        case 'done':
          return [note('outcomes', output.kind)]
        case 'trace':
          return [note('trace', `${output.by}: ${output.text}`)]
        default:
          return unreachable(output)
      }
    })
  }
}

/** The lines of `-- envelope --`, as `docs/transcripts.md` describes them. */
function readOrder({ sections, file }: Transcript, size: number): Order {
  const envelope = sections.get('envelope')
  const lines = (envelope ? sectionLines(envelope) : []).filter(line => line !== '')
  const words = lines.map(line => /^([a-z0-9]+): (.*)$/.exec(line) ?? fail(file, line))
  const one = (key: string) => words.find(([, name]) => name === key)?.[2]
  const known = [
    'hello',
    'from',
    'to',
    'body',
    'smtputf8',
    'ret',
    'envid',
    'size',
    'login',
    'tls',
    'blob',
    'pull',
    'queued',
    'requiretls',
    'lmtp',
    'elsewhere',
    'by',
    'priority',
  ]
  for (const [line, name = ''] of words) if (!known.includes(name)) fail(file, line)

  const recipients = words.flatMap(([line, name, value = '']) => {
    if (name !== 'to') return []
    const read = parsePath(value)
    const params = 'wrong' in read ? read : parseParams(read.rest)
    if ('wrong' in read || 'wrong' in params || read.path === null) return fail(file, line)
    const [notify, orcpt] = [param(params, 'NOTIFY')?.value, param(params, 'ORCPT')?.value]
    const recipient: Recipient = { to: read.path, ...(notify && { notify }), ...(orcpt && { orcpt }) }
    return [recipient]
  })
  const from = parsePath(one('from') ?? '')
  if ('wrong' in from) return fail(file, 'from')
  const [ret, envid] = [one('ret'), one('envid')]
  const [, within = '', mode] = /^(\S+) (return|notify)$/.exec(one('by') ?? '') ?? []
  const whole: Envelope = {
    from: from.path,
    recipients,
    smtputf8: one('smtputf8') === 'yes',
    body: (one('body') ?? '7bit') as Envelope['body'],
    ...(ret && { ret: ret as 'FULL' }),
    ...(envid && { envid }),
    ...(one('requiretls') === 'yes' && { requireTls: true }),
    ...(mode && {
      deliverBy: { at: CURTAIN + (parseDuration(within) ?? 0), mode: mode as 'return', trace: false },
    }),
    ...(one('priority') && { priority: Number(one('priority')) }),
    ...(one('blob') && { blob: { version: '2', bytes: bytes(one('blob') ?? '') } }),
  }
  const [, verb, mechanism, user, password, required, by] =
    /^(x-exps|auth)(?: by mechanism (\S+))? (\S+) (\S+)( required)? by (.+)$/.exec(one('login') ?? '') ?? []
  const [, floor, wanter] = /^(\S+) by (.+)$/.exec(one('tls') ?? '') ?? []
  const [pull, argument = ''] = (one('pull') ?? '').split(' ')
  const queued = parseDuration(one('queued') ?? '')
  return {
    hello: one('hello') ?? 'mail-a.a.example',
    to: 'mail-b [10.54.7.10]',
    envelope: whole,
    recipients: recipients.map((_, i) => i),
    size: Number(one('size') ?? size),
    outcome: one('lmtp') === 'yes' ? 'delivered' : 'relayed',
    ...(one('lmtp') === 'yes' && { lmtp: true }),
    ...(one('elsewhere') === 'yes' && { elsewhere: true }),
    ...(verb && user && password && by
      ? {
          login: wish({
            verb: verb as 'auth',
            user,
            password,
            required: required !== undefined,
            by,
            ...(mechanism && { mechanism }),
          }),
        }
      : {}),
    ...(floor && wanter && { tls: { floor: floor as Floor, by: wanter } }),
    ...(pull && { pull: pull === 'turn' ? { kind: pull } : { kind: pull as 'etrn', argument } }),
    ...(queued !== undefined && {
      workarounds: { names: new Set(WORKAROUNDS), delay: 10_000, threshold: 500_000, queuedFor: queued },
    }),
  }
}

function fail(file: string, line: string): never {
  throw new Error(`${file}: -- envelope --: cannot read "${line}"`)
}

/** `src/firewall/inspector.ts` under the policy that the configuration puts on the connection's way. */
class FirewallSubject implements Subject {
  readonly parts: readonly Part[] = []
  readonly deadline = undefined
  readonly #config: FirewallConfig
  readonly #logs: boolean
  #inspector: Inspector | undefined

  constructor(transcript: Transcript) {
    this.#config = configOf(FIREWALL, transcript, 'firewall.conf')
    this.#logs = transcript.sections.has('syslog')
  }

  open(words: string): readonly Act[] {
    this.#inspector = undefined
    const [, source, port, destination, number = '25'] =
      /^client connects from (\S+) at (\S+) to (\S+)(?: port (\d+))?$/.exec(words) ?? []
    if (source && port && destination) return this.#admit(port, { source, destination, port: Number(number) })
    const policy = this.#policyBetween(words)
    this.#inspector = policy && new Inspector(policy)
    return []
  }

  /** As the whole firewall decides it: translations, access lists, security levels. */
  #admit(port: string, caller: Caller): readonly Act[] {
    const admission = admit(this.#config, 'firewall', port, caller)
    if (admission.kind === 'refuse') {
      const by = admission.rule === undefined ? '' : ` (${admission.rule})`
      return [note('admission', `refuse: ${admission.reason}${by}`), { kind: 'close' }]
    }
    const { crossing, to, policy } = admission
    if (policy) this.#inspector = new Inspector(policy)
    const way = `from ${crossing.from.name} to ${crossing.to.name}, ${crossing.direction}, to ${to.destination}`
    return [note('admission', `${admission.kind} ${way}`)]
  }

  /** As the security levels alone decide it: `outside` 0, `inside` 100 where no line names them. */
  #policyBetween(words: string): Policy | undefined {
    const [, from = 'outside', to = 'inside'] = /^client connects(?: from (\S+) to (\S+))?$/.exec(words) ?? []
    const named = (name: string) =>
      this.#config.ports.interfaces.find(each => each.name === name) ?? {
        name,
        device: name,
        level: name === 'inside' ? 100 : 0,
      }
    const way = crossing('firewall', named(from), named(to))
    const port = this.#config.smtpFixups[0]?.ports.from ?? 25
    return inspectionOf(this.#config, way, { source: '192.0.2.7', destination: '10.54.7.10', port })
  }

  hear(from: Part, segment: Uint8Array): readonly Act[] {
    if (!this.#inspector) return [{ kind: 'say', by: from, bytes: segment }]
    return this.#inspector.receive(from === 'C' ? 'client' : 'server', segment).flatMap((output): readonly Act[] => {
      if (output.kind === 'altered') return this.#told(output.explanation)
      if (output.kind === 'close') return [{ kind: 'close' }]
      // A segment for the server is one that the client said.
      return [{ kind: 'say', by: output.to === 'server' ? 'C' : 'S', bytes: output.bytes }]
    })
  }

  /** As a verdict, and as the firewall's own log says it where the transcript asks for that. */
  #told(explanation: Explanation): readonly Act[] {
    const line = this.#logs ? syslogOf(explanation, LOG_ENDS) : undefined
    const logged = line ? [note('syslog', formatSyslog(this.#config.product, line))] : []
    return [note('verdicts', sayExplanation(explanation)), ...logged]
  }

  direct(): undefined {}

  end(): readonly Act[] {
    return [{ kind: 'close' }]
  }

  tick(): readonly Act[] {
    return []
  }
}

/** Who speaks in the log of a transcript. */
const LOG_ENDS: LogEnds = {
  client: { port: 'outside', ip: '10.53.7.203', tcp: 4711 },
  server: { port: 'inside', ip: '10.54.7.10', tcp: 25 },
}

/** `mask EHLO          firewall.conf:3 fixup protocol smtp 25`. */
function sayExplanation({ what, subject, did, because: { cause } }: Explanation): string {
  const about = what === 'command' ? subject : `${what} ${subject}`.trim()
  return `${did} ${about.padEnd(14)} ${cite(cause.at)} ${cause.command}`
}
