/** Servers by their words, as they were heard: enough of each to be probed, in virtual time. */
import { bytes, text } from '../../src/base/bytes.ts'
import type { Machine, WireOutput } from '../../src/base/machine.ts'
import { LineSplitter } from '../../src/smtp/line.ts'

export interface Words {
  readonly greeting: string
  readonly hello: string
  readonly list: readonly string[]
  readonly noop: string
  readonly quit: string
  readonly help: string
  /** `%v` is the verb, `%l` the line, as they arrived. */
  readonly unknown: string
  readonly startTls?: string
  readonly bdat?: string
}

export const SERVERS: Readonly<Record<string, Words>> = {
  postfix: {
    greeting: '220 mx.example.com ESMTP Postfix (Debian/GNU)',
    hello: 'mx.example.com',
    list: [
      'PIPELINING',
      'SIZE 10240000',
      'VRFY',
      'ETRN',
      'STARTTLS',
      'ENHANCEDSTATUSCODES',
      '8BITMIME',
      'DSN',
      'SMTPUTF8',
      'CHUNKING',
    ],
    noop: '250 2.0.0 Ok',
    quit: '221 2.0.0 Bye',
    help: '502 5.5.2 Error: command not recognized',
    unknown: '500 5.5.2 Error: command not recognized',
    startTls: '220 2.0.0 Ready to start TLS',
    bdat: '503 5.5.1 Error: need RCPT command',
  },
  exim: {
    greeting: '220 mail.example.org ESMTP Exim 4.96 Tue, 24 Nov 2026 10:20:30 +0000',
    hello: 'mail.example.org Hello c.example [192.0.2.7]',
    list: ['SIZE 52428800', '8BITMIME', 'PIPELINING', 'PIPECONNECT', 'CHUNKING', 'STARTTLS', 'PRDR', 'HELP'],
    noop: '250 OK',
    quit: '221 mail.example.org closing connection',
    help: '214-Commands supported:\r\n214 AUTH STARTTLS HELO EHLO MAIL RCPT DATA BDAT NOOP QUIT RSET HELP ETRN',
    unknown: '500 unrecognized command',
    startTls: '220 TLS go ahead',
    bdat: '503 valid RCPT command must precede BDAT',
  },
  sendmail: {
    greeting: '220 mail.example.com ESMTP Sendmail 8.17.1/8.17.1; Tue, 24 Nov 2026 10:20:30 -0400 (EDT)',
    hello: 'mail.example.com Hello c.example [192.0.2.7], pleased to meet you',
    list: [
      'ENHANCEDSTATUSCODES',
      'PIPELINING',
      'EXPN',
      'VERB',
      '8BITMIME',
      'SIZE',
      'DSN',
      'ETRN',
      'STARTTLS',
      'DELIVERBY',
      'HELP',
    ],
    noop: '250 2.0.0 OK',
    quit: '221 2.0.0 mail.example.com closing connection',
    help: '214-2.0.0 This is sendmail version 8.17.1\r\n214 2.0.0 End of HELP info',
    unknown: '500 5.5.1 Command unrecognized: "%l"',
    startTls: '220 2.0.0 Ready to start TLS',
  },
  exchange2000: {
    greeting:
      '220 mail.domainname.com Microsoft ESMTP MAIL Service, Version: 5.0.2195.2966 ready at  Sat, 29 Sep 2001 12:31:46 -0400 ',
    hello: 'mail.domainname.com Hello [10.53.7.203]',
    list: [
      'TURN',
      'ATRN',
      'SIZE',
      'ETRN',
      'PIPELINING',
      'DSN',
      'ENHANCEDSTATUSCODES',
      '8bitmime',
      'BINARYMIME',
      'CHUNKING',
      'VRFY',
      'X-EXPS GSSAPI NTLM LOGIN',
      'X-EXPS=LOGIN',
      'AUTH GSSAPI NTLM LOGIN',
      'AUTH=LOGIN',
      'X-LINK2STATE',
      'XEXCH50',
      'OK',
    ],
    noop: '250 2.0.0 OK',
    quit: '221 2.0.0 mail.domainname.com Service closing transmission channel',
    help: '214-This server supports the following commands:\r\n214 HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH TURN ATRN ETRN BDAT VRFY',
    unknown: '500 5.3.3 Unrecognized command',
    bdat: '503 5.5.2 Need Rcpt command.',
  },
  'smtp-server': {
    greeting: '220 node.example ESMTP',
    hello: 'node.example Nice to meet you, [192.0.2.7]',
    list: ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'AUTH LOGIN PLAIN', 'STARTTLS'],
    noop: '250 OK',
    quit: '221 Bye',
    help: '214 See https://tools.ietf.org/html/rfc5321 for details',
    unknown: '500 Error: command not recognized',
    startTls: '220 Ready to start TLS',
  },
  postern: {
    greeting: '220 mail.example ESMTP Postern',
    hello: 'mail.example Hello [192.0.2.7]',
    list: [
      'PIPELINING',
      'SIZE 67108864',
      'DSN',
      'ENHANCEDSTATUSCODES',
      '8BITMIME',
      'BINARYMIME',
      'CHUNKING',
      'SMTPUTF8',
      'STARTTLS',
    ],
    noop: '250 2.0.0 Ok',
    quit: '221 2.0.0 Bye',
    help: '214 2.0.0 RFC 5321',
    unknown: '500 5.5.1 Command unrecognized',
    startTls: '220 2.0.0 Ready to start TLS',
    bdat: '503 5.5.1 RCPT first',
  },
}

/** Servers that have little, or an odd taste, and stand in the open. */
export const MODEST: Readonly<Record<string, Words>> = {
  'no ESMTP': { ...must('smtp-server'), greeting: '220 old.example SMTP', list: [], hello: '' },
  'no STARTTLS': {
    ...must('postfix'),
    list: ['PIPELINING', 'SIZE 10240000', '8BITMIME'],
    startTls: '502 5.5.1 Error: command not implemented',
  },
  'no extension': { ...must('smtp-server'), list: [] },
  'stars in words': {
    ...must('exim'),
    greeting: '220-****************************\r\n220-* Welcome to mail.example *\r\n220 ****************************',
  },
  'a star for a name': { ...must('postfix'), greeting: '220 *** mx2020.example *** ready' },
  'only digits': { ...must('postfix'), greeting: '220 2020 0022 22' },
  'X in its name': {
    ...must('sendmail'),
    greeting: '220 XXX.example ESMTP',
    hello: 'XXX.example',
    unknown: '500 5.5.1 XXX.example: what is "%v"?',
  },
  'a keyword with X': { ...must('postfix'), list: ['PIPELINING', 'XCLIENT NAME ADDR', 'XFORWARD NAME', 'XEXCH50'] },
  'unknown verbs taken': { ...must('postfix'), unknown: '502 5.5.2 XX is not a command of ours' },
}

function must(name: string): Words {
  const words = SERVERS[name]
  if (!words) throw new Error(name)
  return words
}

export class WordServer implements Machine<WireOutput> {
  readonly #words: Words
  readonly #input = new LineSplitter()
  readonly deadline = undefined
  /** Each line as it arrived. */
  readonly arrived: string[] = []
  #tls = false

  constructor(words: Words) {
    this.#words = words
  }

  open(): readonly WireOutput[] {
    return say(this.#words.greeting)
  }

  receive(octets: Uint8Array): readonly WireOutput[] {
    this.#input.push(octets)
    const out: WireOutput[] = []
    for (;;) {
      const line = this.#input.next(8192)
      if (line === undefined) return out
      if (line === 'overlong') continue
      const said = text(line.bytes)
      this.arrived.push(said)
      out.push(...this.#answer(said))
    }
  }

  #answer(line: string): readonly WireOutput[] {
    const verb = (line.split(' ', 1)[0] ?? '').toUpperCase()
    const { hello, list, noop, quit, help, unknown, startTls, bdat } = this.#words
    const unrecognised = unknown.replace('%v', verb).replace('%l', line)
    switch (verb) {
      case 'HELO':
        return say(`250 ${hello === '' ? 'ok' : hello}`)
      case 'EHLO': {
        if (hello === '') return say(unrecognised)
        const lines = [hello, ...list.filter(each => each !== 'STARTTLS' || !this.#tls)]
        return say(lines.map((each, i) => `250${i === lines.length - 1 ? ' ' : '-'}${each}`).join('\r\n'))
      }
      case 'NOOP':
        return say(noop)
      case 'HELP':
        return say(help)
      case 'BDAT':
        return say(bdat ?? unrecognised)
      case 'STARTTLS':
        if (startTls?.startsWith('220')) this.#tls = true
        return say(startTls ?? unrecognised)
      case 'QUIT':
        return [...say(quit), { kind: 'close', how: 'after-writes' }]
      default:
        return say(unrecognised)
    }
  }

  tick(): readonly WireOutput[] {
    return []
  }

  end(): readonly WireOutput[] {
    return [{ kind: 'close', how: 'after-writes' }]
  }
}

function say(reply: string): readonly WireOutput[] {
  return reply === '' ? [] : [{ kind: 'write', bytes: bytes(`${reply}\r\n`) }]
}
