import type { Offer } from './capabilities.ts'
import { advertised } from './extension.ts'
import { LIMITS } from './limits.ts'
import { type Reply, reply, standing } from './reply.ts'

/**
 * How a server words its replies. What happens is the protocol's affair (`server.ts`); this is only what it sounds like,
 * as data, so that a dialect is a table.
 */
export interface Dialect {
  readonly name: 'postern' | 'exchange2000' | 'exchange2003'
  /** Does it speak as Exchange does, in its trace fields as well? */
  readonly isExchange: boolean
  /** What it calls itself in its greeting, where nothing else is said. */
  readonly version: string
  readonly wording: Wording
  /**
   * The EHLO list, in order. In an Exchange dialect the list is the product's, and what does not work behind a keyword
   * is refused when it is used; in our own, a keyword stands only while it works (`extension.ts`).
   */
  readonly ehlo: (offer: Offer) => readonly string[]
  /** Does the EHLO list close with `250 OK`? */
  readonly closesWithOk: boolean
}

/** What the wording may mention. */
export interface Facts {
  readonly host: string
  /** The client's address, as text without brackets. */
  readonly peer: string
  /** The date of RFC 5322, and the product's version, for the greeting. */
  readonly date: () => string
  readonly version: string
  /** What the situation is about: an address, a verb, a reason, an id. */
  readonly about: string
}

export type Situation =
  | 'greeting'
  | 'hello'
  | 'sender-ok'
  | 'recipient-ok'
  | 'send-data'
  | 'chunk-ok'
  | 'accepted'
  | 'reset'
  | 'noop'
  | 'bye'
  | 'cannot-verify'
  | 'help'
  | 'unknown-verb'
  | 'not-here'
  | 'not-offered'
  | 'hello-first'
  | 'mail-first'
  | 'rcpt-first'
  | 'not-now'
  | 'bad-address'
  | 'bad-argument'
  | 'bad-parameter'
  | 'needs-smtputf8'
  | 'unreadable'
  | 'line-too-long'
  | 'bare-newline'
  | 'stray-octet'
  | 'too-big'
  | 'too-many-recipients'
  | 'too-many-hops'
  | 'header-too-long'
  | 'relay-refused'
  | 'no-such-user'
  | 'not-your-address'
  | 'no-space'
  | 'cannot-keep'
  | 'auth-first'
  | 'unknown-mechanism'
  | 'auth-failed'
  | 'auth-ok'
  | 'auth-cancelled'
  | 'auth-line-too-long'
  | 'auth-twice'
  | 'exchange-auth-first'
  | 'no-tls'
  | 'start-tls'
  | 'tls-twice'
  | 'clear-behind-tls'
  | 'auth-unavailable'
  | 'needs-tls'
  | 'send-blob'
  | 'blob-ok'
  | 'blob-too-big'
  | 'turned'
  | 'turn-nothing'
  | 'turn-refused'
  | 'etrn-started'
  | 'etrn-nothing'
  | 'etrn-refused'
  | 'not-trusted'
  | 'too-soon'
  | 'too-slow'
  | 'session-too-long'
  | 'too-many-messages'
  | 'too-many-chunks'
  | 'too-many-sessions'
  | 'verified'
  | 'idle-too-long'
  | 'too-many-errors'
  | 'not-smtp'
  | 'stopping'

type Word = (facts: Facts) => Reply
export type Wording = Readonly<Record<Situation, Word>>

const fixed = (code: number, status: string | undefined, text: string): Word => {
  const said = standing(code, status, text)
  return () => said
}

const POSTERN: Wording = {
  greeting: ({ host }) => reply(220, undefined, `${host} ESMTP Postern`),
  hello: ({ host, peer }) => reply(250, undefined, `${host} Hello [${peer}]`),
  'sender-ok': fixed(250, '2.1.0', 'Sender ok'),
  'recipient-ok': fixed(250, '2.1.5', 'Recipient ok'),
  'send-data': fixed(354, undefined, 'Start mail input; end with <CRLF>.<CRLF>'),
  'chunk-ok': ({ about }) => reply(250, '2.0.0', `${about} octets received`),
  accepted: ({ about }) => reply(250, '2.0.0', `Queued as ${about}`),
  reset: fixed(250, '2.0.0', 'Ok'),
  noop: fixed(250, '2.0.0', 'Ok'),
  bye: ({ host }) => reply(221, '2.0.0', `${host} closing connection`),
  'cannot-verify': fixed(252, '2.1.5', 'Cannot verify; send some mail and see'),
  help: fixed(214, '2.0.0', 'See RFC 5321'),
  'unknown-verb': fixed(500, '5.5.1', 'Command unrecognized'),
  'not-here': ({ about }) => reply(502, '5.5.1', `${about} is not implemented`),
  'not-offered': ({ about }) => reply(504, '5.5.4', `${about} does not work here`),
  'hello-first': fixed(503, '5.5.1', 'Send EHLO first'),
  'mail-first': fixed(503, '5.5.1', 'Send MAIL first'),
  'rcpt-first': fixed(503, '5.5.1', 'Send RCPT first'),
  'not-now': ({ about }) => reply(503, '5.5.1', `${about} may not come now`),
  'bad-address': ({ about }) => reply(501, '5.1.3', `Not an address: ${about}`),
  'bad-argument': ({ about }) => reply(501, '5.5.4', about),
  'bad-parameter': ({ about }) => reply(555, '5.5.4', `Parameter not recognized: ${about}`),
  'needs-smtputf8': fixed(553, '5.6.7', 'An address outside ASCII needs SMTPUTF8'),
  unreadable: ({ about }) => reply(500, '5.5.2', `Not a command: ${about}`),
  'line-too-long': fixed(500, '5.5.2', 'Line too long'),
  'bare-newline': fixed(500, '5.5.2', 'A line must end with CRLF'),
  'stray-octet': ({ about }) => reply(550, '5.5.2', `Message refused: it holds a ${about}`),
  'too-big': fixed(552, '5.3.4', 'Message size exceeds the limit'),
  'too-many-recipients': fixed(452, '4.5.3', 'Too many recipients'),
  'too-many-hops': fixed(554, '5.4.6', 'Too many hops: this message loops'),
  'header-too-long': fixed(552, '5.3.4', 'Message header exceeds the limit'),
  'relay-refused': ({ about }) => reply(550, '5.7.1', `Unable to relay for ${about}`),
  'no-such-user': ({ about }) => reply(550, '5.1.1', `No such user: ${about}`),
  'not-your-address': ({ about }) => reply(553, '5.7.1', `Who has logged in may not send from ${about}`),
  'no-space': fixed(452, '4.3.1', 'No space to keep the message now'),
  'cannot-keep': fixed(451, '4.3.0', 'The message could not be kept'),
  'auth-first': fixed(530, '5.7.0', 'Authentication required'),
  'unknown-mechanism': fixed(504, '5.5.4', 'Authentication mechanism not supported'),
  'auth-failed': fixed(535, '5.7.8', 'Authentication failed'),
  'auth-ok': fixed(235, '2.7.0', 'Authentication successful'),
  'auth-cancelled': fixed(501, '5.7.0', 'Authentication cancelled'),
  'auth-line-too-long': fixed(500, '5.5.6', 'Authentication line too long'),
  'auth-twice': fixed(503, '5.5.1', 'Already authenticated'),
  'exchange-auth-first': fixed(504, '5.7.0', 'Need to authenticate first'),
  'no-tls': fixed(502, '5.5.1', 'STARTTLS is not available'),
  'start-tls': fixed(220, '2.0.0', 'Ready to start TLS'),
  'tls-twice': fixed(503, '5.5.1', 'TLS is there already'),
  'clear-behind-tls': fixed(554, '5.5.0', 'Nothing may follow STARTTLS in clear'),
  'auth-unavailable': fixed(454, '4.7.0', 'Temporary authentication failure'),
  'needs-tls': fixed(530, '5.7.0', 'Must issue a STARTTLS command first'),
  'send-blob': fixed(354, undefined, 'Send binary data'),
  'blob-ok': fixed(250, undefined, 'XEXCH50 OK'),
  'blob-too-big': fixed(552, '5.3.4', 'XEXCH50 is over the limit'),
  turned: fixed(250, '2.0.0', 'Ok, reversing the connection'),
  'turn-nothing': fixed(453, '4.3.0', 'You have no mail'),
  'turn-refused': fixed(450, '4.7.1', 'Request refused for this domain'),
  'etrn-started': ({ about }) => reply(250, '2.0.0', `Queuing for ${about} started`),
  'etrn-nothing': ({ about }) => reply(251, '2.0.0', `No messages waiting for ${about}`),
  'etrn-refused': ({ about }) => reply(459, '4.7.1', `Queuing for ${about} is not allowed`),
  'not-trusted': fixed(550, '5.7.0', 'You are not authorised for that'),
  'too-soon': fixed(554, '5.5.0', 'You spoke before the greeting'),
  'too-slow': ({ host }) => reply(421, '4.4.2', `${host} too slow, closing connection`),
  'session-too-long': ({ host }) => reply(421, '4.4.2', `${host} the session took too long, closing connection`),
  'too-many-messages': fixed(452, '4.5.3', 'No more messages in this session'),
  'too-many-chunks': ({ host }) => reply(421, '4.7.0', `${host} too many chunks, closing connection`),
  'too-many-sessions': ({ host }) => reply(421, '4.7.0', `${host} too many connections, come again later`),
  verified: ({ about }) => reply(250, '2.1.5', `<${about}>`),
  'idle-too-long': ({ host }) => reply(421, '4.4.2', `${host} idle too long, closing connection`),
  'too-many-errors': ({ host }) => reply(421, '4.7.0', `${host} too many errors, closing connection`),
  'not-smtp': ({ host }) => reply(421, '4.7.0', `${host} speaks SMTP, closing connection`),
  stopping: ({ host }) => reply(421, '4.3.2', `${host} is going down, closing connection`),
}

const EXCHANGE_2000: Wording = {
  ...POSTERN,
  // Two spaces after `at` and one before the line end, as on the wire.
  greeting: ({ host, version, date }) =>
    reply(220, undefined, `${host} Microsoft ESMTP MAIL Service, Version: ${version} ready at  ${date()} `),
  'sender-ok': ({ about }) => reply(250, '2.1.0', `${about}....Sender OK`),
  'recipient-ok': ({ about }) => reply(250, '2.1.5', `${about} `),
  'chunk-ok': ({ about }) => reply(250, '2.6.0', `CHUNK received OK, ${about} octets`),
  accepted: ({ about }) => reply(250, '2.6.0', `${about} Queued mail for delivery`),
  reset: fixed(250, '2.0.0', 'Resetting'),
  noop: fixed(250, '2.0.0', 'OK'),
  bye: ({ host }) => reply(221, '2.0.0', `${host} Service closing transmission channel`),
  'cannot-verify': ({ about }) =>
    about === ''
      ? reply(501, '5.5.4', 'Argument missing')
      : reply(252, '2.1.5', `Cannot VRFY user, but will take message for <${about}>`),
  help: () => exchangeHelp('TURN ATRN'),
  'unknown-verb': fixed(500, '5.3.3', 'Unrecognized command'),
  'hello-first': fixed(503, '5.5.2', 'Send hello first'),
  'mail-first': fixed(503, '5.5.2', 'Need mail command'),
  'rcpt-first': fixed(503, '5.5.2', 'Need Rcpt command.'),
  'bad-address': fixed(501, '5.5.4', 'Invalid Address'),
  'bad-argument': fixed(501, '5.5.4', 'Invalid arguments'),
  'unknown-mechanism': fixed(504, '5.7.4', 'Unrecognized authentication type'),
  'auth-failed': fixed(535, '5.7.3', 'Authentication unsuccessful'),
  'auth-ok': fixed(235, '2.7.0', 'Authentication successful'),
  'exchange-auth-first': fixed(504, undefined, 'Need to authenticate first '),
  'no-tls': fixed(554, '5.7.3', 'Unable to initialize security subsystem'),
  'start-tls': fixed(220, '2.0.0', 'SMTP server ready'),
  stopping: ({ host }) => reply(421, '4.3.2', `${host} Service not available, closing transmission channel`),
  'no-space': fixed(452, '4.3.1', 'Out of memory'),
}

function exchangeHelp(turns: string): Reply {
  const verbs = `HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH ${turns} ETRN BDAT VRFY`
  return reply(214, undefined, 'This server supports the following commands:', verbs)
}

/** Exchange 2003 closes one sentence, and knows no ATRN. */
const EXCHANGE_2003: Wording = {
  ...EXCHANGE_2000,
  help: () => exchangeHelp('TURN'),
  'auth-ok': fixed(235, '2.7.0', 'Authentication successful.'),
}

/** Sendmail's wording, which quotes what it heard: what one read behind a MailGuard in 2001 came from such a server. */
const QUOTING: Word = ({ about }) => reply(500, '5.5.1', `Command unrecognized: "${about}"`)

/** The case study's list, to the letter and in its order; where there is a certificate, the two lines that come with it. */
function exchangeList({ maxSize, startTls, secured }: Offer, verbs: readonly string[]): readonly string[] {
  return [
    ...verbs,
    maxSize === LIMITS.messageSize ? 'SIZE' : `SIZE ${maxSize}`,
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
    ...(startTls && !secured ? ['TLS', 'STARTTLS'] : []),
    'AUTH GSSAPI NTLM LOGIN',
    'AUTH=LOGIN',
    'X-LINK2STATE',
    'XEXCH50',
  ]
}

export const DIALECTS: Readonly<Record<Dialect['name'], Dialect>> = {
  postern: {
    name: 'postern',
    isExchange: false,
    version: '',
    wording: POSTERN,
    closesWithOk: false,
    ehlo: advertised,
  },
  exchange2000: {
    name: 'exchange2000',
    isExchange: true,
    version: '5.0.2195.2966',
    wording: EXCHANGE_2000,
    closesWithOk: true,
    ehlo: offer => exchangeList(offer, ['TURN', 'ATRN']),
  },
  exchange2003: {
    name: 'exchange2003',
    isExchange: true,
    version: '6.0.3790.4675',
    wording: EXCHANGE_2003,
    closesWithOk: true,
    // Captures of it have no ATRN.
    ehlo: offer => exchangeList(offer, ['TURN']),
  },
}

/** A dialect, with the refusal of unknown verbs in the form that quotes what was heard, if so wished. */
export function dialect(name: Dialect['name'], options: { readonly quoteUnknown: boolean }): Dialect {
  const chosen = DIALECTS[name]
  return options.quoteUnknown ? { ...chosen, wording: { ...chosen.wording, 'unknown-verb': QUOTING } } : chosen
}
