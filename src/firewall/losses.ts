/**
 * Who misses what, when a firewall takes a verb away: the knowledge behind every explanation, in one table.
 */
export interface Loss {
  readonly verb: string
  /** What is gone. */
  readonly what: string
  /** What people notice. */
  readonly felt: string
}

const LOSSES: readonly Loss[] = [
  {
    verb: 'EHLO',
    what: 'every ESMTP extension: the client falls back to HELO',
    felt: 'no TLS, no authentication, no size check, no 8-bit mail, no delivery reports',
  },
  {
    verb: 'X-EXPS',
    what: 'authentication between Exchange servers',
    felt: 'the peer is a stranger: a connector that requires X-EXPS sends nothing (events 1706, 1709)',
  },
  {
    verb: 'X-LINK2STATE',
    what: 'the exchange of link state',
    felt: 'routing tables on both sides go stale',
  },
  {
    verb: 'XEXCH50',
    what: 'message properties between Exchange servers',
    felt: 'public folder replication and free/busy stop (events 7004, 7010)',
  },
  {
    verb: 'BDAT',
    what: 'CHUNKING, and BINARYMIME with it',
    felt: 'slower transfer; binary mail is converted or refused',
  },
  { verb: 'STARTTLS', what: 'encryption', felt: 'mail crosses in clear, or waits where the policy demands TLS' },
  { verb: 'AUTH', what: 'authentication of clients', felt: 'users cannot send; their mail is refused as relaying' },
  { verb: 'ETRN', what: 'the request to send what waits', felt: 'mail held for a dial-up site stays where it is' },
  { verb: 'TURN', what: 'turning the connection round', felt: 'mail held for a dial-up site stays where it is' },
  { verb: 'ATRN', what: 'turning the connection round', felt: 'mail held for a dial-up site stays where it is' },
  { verb: 'VRFY', what: 'asking for a mailbox', felt: 'nobody should miss it' },
  { verb: 'EXPN', what: 'asking for a list', felt: 'nobody should miss it' },
  { verb: 'HELP', what: 'the list of commands', felt: 'nobody should miss it' },
]

/** Extensions whose verb can only be learnt from the EHLO reply: without EHLO nobody will say them at all. */
const BEHIND_EHLO = ['X-EXPS', 'X-LINK2STATE', 'XEXCH50', 'BDAT', 'STARTTLS', 'AUTH', 'ETRN']

/** What is lost with this verb; with EHLO goes all that it would have told of. */
export function lossesOf(verb: string): readonly Loss[] {
  const verbs = verb === 'EHLO' ? ['EHLO', ...BEHIND_EHLO] : [verb]
  return verbs.flatMap(each => LOSSES.filter(loss => loss.verb === each))
}
