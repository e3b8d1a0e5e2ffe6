/** Where more than one answer is safe, the one that Postern gives, and why. `docs/conformance.md` shows it. */
export interface Choice {
  readonly vectors: readonly string[]
  /** What others do, or what one might expect. */
  readonly others: string
  readonly ours: string
  readonly why: string
}

export const CHOICES: readonly Choice[] = [
  {
    vectors: ['smug-lf-lf', 'smug-crlf-crcrlf', 'bdat-bare-lf'],
    others: 'Postfix normalises stray line ends by default',
    ours: 'the message is refused with 550 5.5.2, behind its real end',
    why: 'what is mended here may be read otherwise by the next server; refusing keeps one meaning, and the session in step',
  },
  {
    vectors: ['smug-crcrlf-crlf'],
    others: 'old Postfix condensed CR CR LF to one line end',
    ours: 'CR CR LF.CR LF holds a real CRLF.CRLF: the message ends there, and is refused for its stray CR',
    why: 'only CRLF.CRLF ends a message, and it always does (RFC 5321 §4.1.1.4)',
  },
  {
    vectors: ['bdat-bad-tail', 'bdat-negative', 'bdat-lf-only'],
    others: '501, and the session goes on',
    ours: '501, and the connection is closed',
    why: 'the octets of a chunk of unknown size cannot be told from commands',
  },
  {
    vectors: ['bdat-zero-last', 'smug-first-line-dot'],
    others: 'an empty message is refused',
    ours: 'it is taken',
    why: 'nothing in RFC 5321 forbids it, and fields may be added on its way (RFC 6409 §8)',
  },
  {
    vectors: ['bdat-in-helo-session'],
    others: 'BDAT behind HELO is refused',
    ours: 'its octets are taken off the stream either way',
    why: 'refused octets that are not consumed are commands (RFC 3030 §2)',
  },
  {
    vectors: ['cmd-pregreet', 'cmd-pregreet-group'],
    others: 'postscreen answers 554 to who speaks first',
    ours: 'it is answered behind the greeting; with `limit greet-wait` it is sent away with 554',
    why: 'a greeting that waits costs every honest client those seconds; the operator decides',
  },
  {
    vectors: ['cmd-pipeline-unadvertised', 'cmd-pipeline-past-ehlo'],
    others: 'Postfix and Exim end a session that pipes where it was not told it may',
    ours: 'it is answered in order',
    why: 'every command is judged after the one before it, so nothing is gained by saying it early',
  },
  {
    vectors: ['tls-inject-cmd', 'tls-inject-mail', 'tls-inject-lf', 'tls-inject-at-slice'],
    others: 'what stands behind STARTTLS is dropped in silence',
    ours: '554, and the connection is closed',
    why: 'an honest client never sends it, and its operator should see what is wrong (CVE-2011-0411)',
  },
  {
    vectors: ['cmd-auth-12288'],
    others: 'XOAUTH2 is offered',
    ours: '504; the line behind it is a command, and refused',
    why: 'the mechanism needs a token server that is not ours; the limit of 12,288 octets holds for those that are offered',
  },
  {
    vectors: ['addr-crlf-quoted'],
    others: 'one 501',
    ours: 'two replies',
    why: 'two lines came: a quoted pair does not take in a line end, and whoever counts on one reply is out of step',
  },
  {
    vectors: ['relay-literal', 'relay-literal-ipv6'],
    others: 'Postfix takes mail for its own address literal',
    ours: 'it is refused as relaying',
    why: 'a machine behind a translation does not know which addresses are its own',
  },
  {
    vectors: ['relay-sender-is-ours', 'relay-hello-is-ours'],
    others: 'a stranger that calls itself by our name is refused at once',
    ours: 'it is judged by its recipients, as any other',
    why: 'a name in EHLO or MAIL proves nothing either way',
  },
  {
    vectors: ['data-redos-addr', 'data-redos-groups', 'data-mime-bomb'],
    others: 'header addresses and MIME parts are read',
    ours: 'the header is counted and no more; nothing is unpacked',
    why: 'what is not parsed cannot be attacked, archives included; beyond 100 KiB of header it is 552',
  },
  {
    vectors: ['slow-bytewise'],
    others: '421 within seconds',
    ours: 'a command typed in 16 seconds is taken; five minutes is the limit, ten seconds under stress',
    why: 'RFC 5321 §4.5.3.2.7 gives five minutes, and people type',
  },
  {
    vectors: ['slow-reader', 'flood-noop', 'flood-ehlo'],
    others: 'any number of commands that do nothing',
    ours: '421 after a hundred since the last message (`limit junk`)',
    why: 'Postfix has the same count',
  },
  {
    vectors: ['resp-starttls-refused', 'resp-inject-after-220tls'],
    others: 'on a way that only prefers TLS, the session goes on in clear',
    ours: 'there it begins again on a new connection, in clear; where TLS is required, the message waits',
    why: 'what was said before a handshake that failed is not to be built upon',
  },
  {
    vectors: ['resp-lf-only'],
    others: 'replies that end in a lone LF end the session',
    ours: 'they are read',
    why: 'broken servers are common, and a reply carries nothing that could be smuggled',
  },
  {
    vectors: ['resp-asa-mask', 'resp-ehlo-domain-change', 'resp-starttls-before-domain'],
    others: 'a diagnosis names the box in between',
    ours: 'the client goes by what it reads, and says in the trail what was not offered',
    why: 'naming the box is the affair of the diagnosis',
  },
]
