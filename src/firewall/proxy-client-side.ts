import { bytes, isUtf8, lower, NO_BYTES, text, upper, utf8 } from '../base/bytes.ts'
import { offers } from '../smtp/capabilities.ts'
import { formatCommand, type Sayable, verbOf } from '../smtp/command.ts'
import { ENDS_ITS_GROUP, may, type Said, said } from '../smtp/dialogue.ts'
import { AUTH_LINE } from '../smtp/limits.ts'
import type { Line } from '../smtp/line.ts'
import { param } from '../smtp/params.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import { examine, isSecret, outOfPlace, readLine, type Understood, withoutSecrets } from './proxy-commands.ts'
import type { Body } from './proxy-message.ts'
import { passesTls } from './proxy-offer.ts'
import { MAX_OWED } from './proxy-queue.ts'
import { refusal } from './proxy-rules.ts'
import type { ServerSide } from './proxy-server-side.ts'
import { FLOWS, type ProxySession } from './proxy-session.ts'
import type { Transfer } from './proxy-transfer.ts'

const JUNK: ReadonlySet<Said> = new Set<Said>(['noop', 'rset', 'vrfy', 'expn', 'help', 'ehlo', 'helo'])

/** The client's half of a proxied connection: its commands, each judged, and passed on in its turn. */
export class ClientSide {
  readonly #session: ProxySession
  readonly #transfer: Transfer
  readonly #server: ServerSide
  /** The client began a login, and no command that we know has come since: a line may be its secret. */
  #loginBegun = false
  /** A command that waits until every reply before its own is there, or the server is back. */
  #held: { readonly command: Sayable; readonly line: Uint8Array } | undefined
  #stopping = false
  #ended = false

  constructor(session: ProxySession, transfer: Transfer, server: ServerSide) {
    this.#session = session
    this.#transfer = transfer
    this.#server = server
  }

  /** It will send no more. */
  end(): void {
    const session = this.#session
    this.#ended = true
    if (session.body || session.message) {
      session.abort()
      return session.close()
    }
    this.work()
  }

  /** The firewall is going down: said as soon as no reply is owed that would be lost. */
  stop(): void {
    const session = this.#session
    this.#stopping = true
    if (session.mode === 'blind') session.close()
    else if (session.phase === 'greeting') session.hangUp(session.word(421, '4.3.2', 'is going down'))
    else this.work()
  }

  work(): void {
    const session = this.#session
    while (session.mode !== 'closed' && !session.handshake && !session.ending) {
      if (session.mode === 'pregreet' || session.phase === 'greeting') return this.talkedAhead('before the greeting')
      if (session.body) {
        if (session.fromClient.size === 0 && !isOver(session.body)) return
        this.#transfer.readBody(session.body)
        continue
      }
      if (this.#held) {
        if (session.restsUntil !== undefined) return
        if (session.queue.size > 0 || session.hello || session.chunk) return
        if (session.leg === 'none') this.#redial()
        if (session.leg !== 'up' || !this.#held) return
        const { command, line } = this.#held
        this.#held = undefined
        this.#forward(command, line)
        continue
      }
      if (this.#stopping && session.queue.size === 0 && !session.hello && !session.message) {
        return session.hangUp(session.word(421, '4.3.2', 'is going down'))
      }
      if (this.#waits() || session.restsUntil !== undefined) return
      const line = session.fromClient.next(AUTH_LINE)
      if (line === undefined) {
        if (this.#ended && session.queue.size === 0) session.close()
        return
      }
      session.turnAt = session.now
      this.#take(line)
    }
  }

  /** Must what the client sends wait? */
  #waits(): boolean {
    const session = this.#session
    const busy = session.hello !== undefined || session.chunk !== undefined || session.leg === 'dialing'
    if (!busy) {
      if (session.queue.size === 0) return false
      if (session.queue.size >= MAX_OWED) return true
      if (session.sync === undefined && offers(session.steps.server, 'PIPELINING')) return false
    }
    // Of what is asked for our own sake the client knows nothing.
    if (!session.queue.owesClient && !session.hello) return true
    // It said nothing that should have waited.
    if (session.fromClient.size === 0) return true
    const last = session.sync
    const mayFollow = last === undefined || !ENDS_ITS_GROUP.has(last)
    if (!session.offered.has('PIPELINING') || !mayFollow || session.hello) {
      this.talkedAhead(last === undefined ? 'where no group is allowed' : `behind ${upper(last)}`)
    }
    return true
  }

  /** Octets came that should have waited: whoever puts them there hopes that somebody loses count. */
  talkedAhead(where: string): void {
    const session = this.#session
    if (session.fromClient.size === 0) return
    if (session.engine.talkingAhead === 'wait' && session.sync !== 'starttls') return
    const before = this.#loginBegun ? NO_BYTES : withoutSecrets(session.fromClient.take(64))
    // Behind STARTTLS nothing may ever stand: no line allows it.
    const because = session.rules.own(
      `the client spoke ${where}`,
      session.sync === 'starttls' ? undefined : 'talkingAhead',
    )
    session.rules.explain('session', 'PIPELINING', { before, because, did: 'answer' })
    session.hangUp(reply(554, '5.5.0', 'Synchronization error: speak when it is your turn'))
  }

  #take(line: Line | 'overlong'): void {
    const session = this.#session
    if (session.phase === 'auth') return this.#authLine(line)
    if (line === 'overlong') {
      const wording = reply(500, '5.5.2', 'Line too long')
      return session.refuse(refusal('COMMAND-LINE', NO_BYTES, wording, 'no command is this long'))
    }
    const { bytes: octets } = line
    const read = readLine(line, session.rules, this.#loginBegun)
    switch (read.kind) {
      case 'command':
        return this.#command(read.command, octets)
      case 'refuse':
        if (isSecret(lower(read.refusal.subject))) this.#loginBegun = true
        return session.refuse(read.refusal)
      case 'unframed': {
        const because = 'a chunk without a size leaves the stream without frames'
        session.rules.explain('command', 'BDAT', { before: octets, because, did: 'answer' })
        return session.answer(reply(501, '5.5.4', 'BDAT size [LAST] was expected'), true)
      }
      default:
        session.rules.explain('session', 'NOT-SMTP', {
          before: this.#loginBegun ? NO_BYTES : octets,
          because: 'this is another protocol',
          did: 'drop-connection',
        })
        return session.answer(session.word(421, '4.7.0', 'speaks SMTP'), true)
    }
  }

  #command(command: Understood, octets: Uint8Array): void {
    const session = this.#session
    const what = said(command)
    this.#loginBegun = isSecret(command.kind)
    if (command.kind === 'bdat') {
      session.sync = what
      this.#held = { command, line: NO_BYTES }
      return
    }
    const outcome = examine(command, octets, {
      rules: session.rules,
      phase: session.phase,
      phases: session.queue.phasesFrom(session.phase),
      offered: session.offered,
      withheld: session.withheld,
      secured: session.secured,
      canSecure: session.options.canSecure,
      login: session.login,
      recipients: session.recipients + session.queue.count('rcpt'),
      linkState: session.linkState,
    })
    if (outcome.kind === 'refuse') return session.refuse(outcome.refusal)
    if (JUNK.has(what) && session.tooMuchJunk()) return
    if (what === 'rset') session.linkState.drop()
    if (what === 'quit') session.leaving = session.queue.size === 0 && session.fromClient.size === 0
    if (outcome.kind === 'answer') return session.answer(outcome.reply, outcome.closes)
    if (outcome.kind === 'start-tls') return this.#hold({ kind: 'starttls' }, STARTTLS)
    // The server is in the middle of a message that the client sends in chunks.
    if (what === 'noop' && session.message?.writer) return session.answer(reply(250, '2.0.0', 'Ok'))
    this.#pass(outcome.command, octets)
  }

  #authLine(line: Line | 'overlong'): void {
    if (line === 'overlong') return this.#cancelLogin(reply(500, '5.5.6', 'Authentication line too long'))
    const response = text(line.bytes)
    if (line.ending !== 'crlf' || !/^(?:\*|[A-Za-z0-9+/]*={0,2})$/.test(response)) {
      return this.#cancelLogin(reply(501, '5.5.2', 'base64 was expected'))
    }
    this.#session.write('server', bytes(`${response}\r\n`))
    this.#session.ask('auth-line')
  }

  /** The server is told that the login is over; the client hears why. */
  #cancelLogin(instead: Reply): void {
    const session = this.#session
    session.countError()
    session.write('server', bytes('*\r\n'))
    session.ask('auth-line', { instead })
  }

  /** Towards the server, in its turn, said anew. */
  #pass(command: Sayable, octets: Uint8Array): void {
    // A frame of link state has an octet per character, whatever they spell.
    const encode = command.kind !== 'x-link2state' && isUtf8(octets) ? utf8 : bytes
    const line = formatCommand(command, encode)
    const subject = verbOf(command.kind)
    if (!line) {
      return this.#session.refuse(
        refusal(subject, octets, reply(501, '5.5.2', 'Not to be said'), 'it holds a line end'),
      )
    }
    if (!isSecret(command.kind) && !isLineOf(line, octets)) {
      const because = 'commands are said anew, in one form'
      const after = line.subarray(0, -2)
      this.#session.rules.explain('command', subject, { before: octets, after, because, did: 'replace' })
    }
    this.#hold(command, line)
  }

  #hold(command: Sayable, line: Uint8Array): void {
    const session = this.#session
    const flows = FLOWS.has(said(command)) && session.leg === 'up' && !session.message
    if (flows && session.restsUntil === undefined) return this.#forward(command, line)
    session.sync = said(command)
    this.#held = { command, line }
  }

  /** The server is there, and it is this command's turn. */
  #forward(command: Sayable, line: Uint8Array): void {
    const session = this.#session
    const what = said(command)
    session.sync = FLOWS.has(what) ? undefined : what
    if (command.kind === 'bdat') return this.#transfer.bdat(command)
    // What was allowed when it came may not be any more, by what the server has answered since. And a dot cannot end
    // what is binary (RFC 3030 §3).
    const isAllowed = FLOWS.has(what) || (may(session.phase, what) && !(what === 'data' && session.binary))
    if (!isAllowed) return session.refuse(outOfPlace(what, session.phase, NO_BYTES))
    if (session.message?.writer && what !== 'noop') return this.#breakOff(command, line)
    if (command.kind === 'ehlo' || command.kind === 'helo') return this.#server.sayHello(command, false)
    if (command.kind === 'starttls' && !passesTls(session.engine, session.options)) return this.#startTls()
    if (command.kind === 'xexch50') session.blob = command.size
    session.write('server', line)
    session.ask(what, isBinary(command) ? BINARY : NOTHING_MORE)
  }

  /** The server takes a message that will never end: only the end of its connection ends it. */
  #breakOff(command: Sayable, line: Uint8Array): void {
    this.#session.drop()
    if (command.kind === 'rset') this.#session.answer(reply(250, '2.0.0', 'Ok'))
    else this.#held = { command, line }
  }

  #startTls(): void {
    const session = this.#session
    if (session.fromClient.size > 0) return this.talkedAhead('behind STARTTLS')
    session.say(reply(220, '2.0.0', 'Ready to start TLS'))
    session.handshake = 'client'
    session.out.push({ kind: 'start-tls', at: 'client' })
  }

  /** A new connection to the server, brought to where the old one was. What was proved on the old one is gone. */
  #redial(): void {
    const session = this.#session
    if (this.#held?.command.kind === 'quit') {
      this.#held = undefined
      return session.answer(reply(221, '2.0.0', `${session.options.host} closing connection`), true)
    }
    if (session.login) return session.hangUp(session.word(421, '4.3.2', 'needs another login'))
    session.dial()
  }
}

const STARTTLS = bytes('STARTTLS\r\n')
const BINARY = { binary: true } as const
const NOTHING_MORE = {} as const

/** Is the line this command, and its end? */
function isLineOf(line: Uint8Array, command: Uint8Array): boolean {
  if (line.length !== command.length + 2) return false
  for (let i = 0; i < command.length; i++) if (line[i] !== command[i]) return false
  return true
}

/** Has a chunk no octets left, so that it is over without any coming? */
function isOver(body: Body): boolean {
  return body.kind !== 'dots' && body.reader.left === 0
}

function isBinary(command: Sayable): boolean {
  return command.kind === 'mail' && upper(param(command.params, 'BODY')?.value ?? '') === 'BINARYMIME'
}
