import { upper } from '../base/bytes.ts'
import type { What } from './verdict.ts'

/**
 * Who misses what, when a firewall takes something away: the knowledge behind every explanation, in one table.
 */
export interface Loss {
  /** The verb, the EHLO keyword, or what else it is about, in upper case. */
  readonly subject: string
  /** What is gone. */
  readonly what: string
  /** What people notice. */
  readonly felt: string
}

type Row = readonly [subject: string, what: string, felt: string]

/** A verb that does not arrive. */
const VERBS: readonly Row[] = [
  [
    'EHLO',
    'every ESMTP extension: the client falls back to HELO',
    'no TLS, no authentication, no size check, no 8-bit mail, no delivery reports',
  ],
  [
    'X-EXPS',
    'authentication between Exchange servers',
    'the peer is a stranger: a connector that requires X-EXPS sends nothing (events 1706, 1709)',
  ],
  ['X-LINK2STATE', 'the exchange of link state', 'routing tables on both sides go stale'],
  [
    'XEXCH50',
    'message properties between Exchange servers',
    'public folder replication and free/busy stop (events 7004, 7010)',
  ],
  ['BDAT', 'CHUNKING, and BINARYMIME with it', 'slower transfer; binary mail is converted or refused'],
  ['STARTTLS', 'encryption', 'mail crosses in clear, or waits where the policy demands TLS'],
  ['AUTH', 'authentication of clients', 'users cannot send; their mail is refused as relaying'],
  ['ETRN', 'the request to send what waits', 'mail held for a dial-up site stays where it is'],
  ['TURN', 'turning the connection round', 'mail held for a dial-up site stays where it is'],
  ['ATRN', 'turning the connection round', 'mail held for a dial-up site stays where it is'],
  ['VRFY', 'asking for a mailbox', 'nobody should miss it'],
  ['EXPN', 'asking for a list', 'nobody should miss it'],
  ['HELP', 'the list of commands', 'nobody should miss it'],
]

/** An extension that the client is not told of; those with a verb of their name are above. */
const KEYWORDS: readonly Row[] = [
  ['SIZE', 'the size limit, told before the message is sent', 'large mail is sent whole and refused only then'],
  ['PIPELINING', 'commands in groups', 'one round trip for every command: slow over long lines'],
  ['8BITMIME', '8-bit bodies', '8-bit mail is converted, or bounces with 554 5.6.1 or 5.6.3'],
  ['BINARYMIME', 'binary bodies', 'attachments grow by a third as base64'],
  ['CHUNKING', 'BDAT, and BINARYMIME with it', 'slower transfer; binary mail is converted or refused'],
  ['DSN', 'delivery reports on request', 'no word of delivery; failures only'],
  ['ENHANCEDSTATUSCODES', 'the exact reason of a refusal', 'bounces say less'],
  ['SMTPUTF8', 'addresses beyond ASCII', 'mail from and to such addresses bounces with 5.6.7'],
  ['REQUIRETLS', 'the demand that every hop is encrypted', 'mail that demands it bounces with 5.7.30'],
  ['DELIVERBY', 'a time by which mail must arrive', 'nobody should miss it'],
  ['FUTURERELEASE', 'the request to hold mail until a time', 'the sending server holds it itself, or refuses it'],
  ['MT-PRIORITY', 'which mail goes first', 'urgent mail waits behind the rest'],
  ['X-POSTERN-LINKSTATE', 'link state told by what changed', 'whole routing tables go between Posterns'],
  ['LIMITS', "the server's limits, told beforehand", 'more refusals on the way'],
  ['XCLIENT', 'who the client of a proxy is', 'the server sees the proxy as the client'],
]

/** What a limit or a check stops. */
const OTHERS: readonly Row[] = [
  [
    'GREETING',
    'who the server says it is',
    'a Postfix as it comes takes it for a PIX and says HELO, so no TLS, whatever the server offers',
  ],
  ['COMMAND-LINE', 'long commands', 'AUTH with Kerberos and addresses with many parameters end in a closed connection'],
  ['RECIPIENTS', 'messages to many', 'lists must be split; what is not split ends in a closed connection'],
  ['HEADER-LINE', 'headers with long lines', 'DKIM, ARC and References of long threads: the mail never gets through'],
  ['BODY-LINE', 'bodies with long lines', 'HTML written as one line'],
  [
    'DOTTED-LINE',
    'long lines that end in a dot',
    'text that was never wrapped: its sender is told, and must encode it',
  ],
  ['BODY', 'large bodies', 'the connection ends in the middle, and the sender tries again and again'],
  ['HEADER', 'large headers', 'the connection ends in the middle, and the sender tries again and again'],
  ['SENDER', 'mail from some senders', 'long bounce addresses (VERP, BATV, SRS) do not get through'],
  ['FILENAME', 'attachments with long names', 'names beyond ASCII, encoded, are long: that mail never gets through'],
  ['MIME-TYPE', 'attachments of a kind', 'the whole message ends in a closed connection, and comes again'],
  ['MIME-ENCODING', 'parts in an encoding', 'the whole message ends in a closed connection, and comes again'],
  ['INVALID-RECIPIENTS', 'clients that guess addresses', 'an old address list ends in a closed connection'],
  ['TO-FIELDS', 'headers with many To and Cc', 'mail to many in one header does not get through'],
  ['RELAY', 'mail to foreign domains', 'what is relayed here on purpose, too'],
  ['SPECIAL', 'addresses with | or `', 'addresses of gateways that use them'],
  ['PIPE', 'addresses with |', 'addresses of gateways that use them: another recipient is asked for'],
  ['ADDRESS', 'addresses with | or a stray < or >', 'another address is asked for: it is refused, or is nobody'],
  ['STRAY-BRACKET', 'addresses with < or > in them', 'nobody should miss it'],
  ['END-OF-BODY', 'the end of a message', 'the sender waits, hangs up and sends again: duplicates for hours'],
  ['FRAGMENT', 'commands typed by hand', 'a test with telnet finds nothing but XXXX'],
]

const rowsOf = (rows: readonly Row[]): ReadonlyMap<string, Loss> =>
  new Map(rows.map(([subject, what, felt]) => [subject, { subject, what, felt }]))

const OF_VERB = rowsOf(VERBS)
const OF_KEYWORD = new Map([...OF_VERB, ...rowsOf(KEYWORDS)])
const OF_OTHER = rowsOf(OTHERS)

/** Extensions whose verb can only be learnt from the EHLO reply: without EHLO nobody will say them at all. */
const BEHIND_EHLO = ['X-EXPS', 'X-LINK2STATE', 'XEXCH50', 'BDAT', 'STARTTLS', 'AUTH', 'ETRN']

/** What is lost with this; with EHLO goes all that it would have told of. */
export function lossesOf(what: What, subject: string): readonly Loss[] {
  if (what === 'command') return subject === 'EHLO' ? OF_EHLO : known(OF_VERB, [subject], OF_OTHER)
  if (what === 'keyword') return known(OF_KEYWORD, [subject])
  // What is about nothing in particular, as a greeting, is missed for what it is.
  const loss = OF_OTHER.get(upper(subject)) ?? OF_OTHER.get(upper(what))
  return loss ? [loss] : []
}

const OF_EHLO = known(OF_VERB, ['EHLO', ...BEHIND_EHLO], OF_OTHER)

function known(
  table: ReadonlyMap<string, Loss>,
  subjects: readonly string[],
  otherwise: ReadonlyMap<string, Loss> = table,
): readonly Loss[] {
  return subjects.flatMap(each => table.get(each) ?? otherwise.get(each) ?? [])
}
