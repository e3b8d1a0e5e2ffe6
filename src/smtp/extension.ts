import { isAscii } from './address.ts'
import type { Situation } from './dialect.ts'
import { fromXtext, type Param, type Params } from './params.ts'

/**
 * The extensions we know, each whole in one row: what it adds to MAIL and RCPT, and how far it works as server and as
 * client. `docs/esmtp.md` is made from this table.
 */
export interface Extension {
  readonly keyword: string
  /** `RFC 1870`, or where else it is described. */
  readonly source: string
  readonly params?: readonly ParamSpec[]
  readonly server: string
  readonly client: string
}

/** A parameter of MAIL or RCPT, and what is wrong with a value. */
export interface ParamSpec {
  readonly of: 'mail' | 'rcpt'
  readonly keyword: string
  check(value: string | undefined): string | undefined
}

/** What the parameters of MAIL say about the message. */
export interface MailFacts {
  readonly body: '7bit' | '8bitmime' | 'binarymime'
  readonly smtputf8: boolean
  /** Octets, as declared. */
  readonly size?: number
}

export const NO_MAIL_FACTS: MailFacts = { body: '7bit', smtputf8: false }

const oneOf =
  (...words: readonly string[]) =>
  (value: string | undefined): string | undefined =>
    value !== undefined && words.includes(value.toUpperCase()) ? undefined : `one of ${words.join(', ')} was expected`

const matching =
  (pattern: RegExp, expected: string) =>
  (value: string | undefined): string | undefined =>
    value !== undefined && pattern.test(value) ? undefined : `${expected} was expected`

const nothing = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : 'no value was expected'

const xtext =
  (most: number, expected: string) =>
  (value: string | undefined): string | undefined => {
    const read = value === undefined || value.length > most ? undefined : fromXtext(value)
    return read !== undefined && isAscii(read) ? undefined : `${expected} was expected`
  }

/** NEVER stands alone (RFC 3461 §4.1). */
const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i

export const EXTENSIONS: readonly Extension[] = [
  {
    keyword: 'SIZE',
    source: 'RFC 1870',
    params: [{ of: 'mail', keyword: 'SIZE', check: matching(/^\d{1,20}$/, 'a number of octets') }],
    server: 'yes: checked at MAIL and at the end of data',
    client: 'yes: declared where offered',
  },
  { keyword: 'PIPELINING', source: 'RFC 2920', server: 'yes', client: 'yes: MAIL, RCPT and DATA in one group' },
  {
    keyword: '8BITMIME',
    source: 'RFC 6152',
    params: [{ of: 'mail', keyword: 'BODY', check: oneOf('7BIT', '8BITMIME', 'BINARYMIME') }],
    server: 'yes',
    client: 'yes; where it is not offered, an 8-bit message is refused with 5.6.3',
  },
  {
    keyword: 'BINARYMIME',
    source: 'RFC 3030 §3',
    server: 'yes, with BDAT',
    client: 'yes; where it is not offered, a binary message is refused with 5.6.3',
  },
  { keyword: 'CHUNKING', source: 'RFC 3030 §2', server: 'yes', client: 'yes: BDAT is preferred where offered' },
  {
    keyword: 'DSN',
    source: 'RFC 3461',
    params: [
      { of: 'mail', keyword: 'RET', check: oneOf('FULL', 'HDRS') },
      { of: 'mail', keyword: 'ENVID', check: xtext(100, 'xtext of at most 100 octets') },
      { of: 'rcpt', keyword: 'NOTIFY', check: matching(NOTIFY, 'NEVER, or of SUCCESS, FAILURE, DELAY') },
      { of: 'rcpt', keyword: 'ORCPT', check: xtext(500, 'type;xtext of at most 500 octets') },
    ],
    server: 'parameters are checked, kept and honoured for failures',
    client: 'parameters are handed on where offered',
  },
  { keyword: 'ENHANCEDSTATUSCODES', source: 'RFC 2034', server: 'yes', client: 'read where given' },
  {
    keyword: 'SMTPUTF8',
    source: 'RFC 6531',
    params: [{ of: 'mail', keyword: 'SMTPUTF8', check: nothing }],
    server: 'yes (own dialect)',
    client: 'yes; where it is not offered, the message is refused with 5.6.7',
  },
  {
    keyword: 'AUTH',
    source: 'RFC 4954',
    params: [{ of: 'mail', keyword: 'AUTH', check: xtext(500, 'xtext of at most 500 octets') }],
    server: 'LOGIN, PLAIN; GSSAPI and NTLM are refused with 504',
    client: 'LOGIN',
  },
  {
    keyword: 'X-EXPS',
    source: 'Exchange 2000',
    server: 'LOGIN; GSSAPI and NTLM are refused with 504',
    client: 'LOGIN, where a connector requires it',
  },
  { keyword: 'VRFY', source: 'RFC 5321 §3.5', server: 'answers 252, never verifies', client: 'not used' },
  { keyword: 'STARTTLS', source: 'RFC 3207', server: 'refused: 502, in Exchange words 554', client: 'not yet' },
  { keyword: 'ETRN', source: 'RFC 1985', server: 'refused: 502', client: 'not used' },
  { keyword: 'TURN', source: 'RFC 821', server: 'refused: 502', client: 'not used' },
  { keyword: 'ATRN', source: 'RFC 2645', server: 'refused: 502', client: 'not used' },
  {
    keyword: 'X-LINK2STATE',
    source: 'Exchange 2000',
    server: 'refused: 504 before a login and after',
    client: 'not yet',
  },
  { keyword: 'XEXCH50', source: 'Exchange 2000', server: 'refused: 504 before a login and after', client: 'not used' },
]

type Checked<T> = { readonly facts: T } | { readonly situation: Situation; readonly wrong: string }
type Given = Params | { readonly refused: string }

const SPECS: readonly ParamSpec[] = EXTENSIONS.flatMap(({ params }) => params ?? [])

/** Which parameter cannot be taken, and why: 555 for one we do not know, 501 for a wrong value (RFC 5321 §4.1.1.11). */
function firstWrong(of: ParamSpec['of'], given: Given): { situation: Situation; wrong: string } | undefined {
  if ('refused' in given) return { situation: 'bad-parameter', wrong: given.refused }
  for (const { keyword, value } of given) {
    const spec = SPECS.find(each => each.of === of && each.keyword === keyword)
    if (!spec) return { situation: 'bad-parameter', wrong: keyword }
    const wrong = spec.check(value)
    if (wrong !== undefined) return { situation: 'bad-argument', wrong: `${keyword}: ${wrong}` }
  }
  return undefined
}

export function checkMailParams(given: Given): Checked<MailFacts> {
  const wrong = firstWrong('mail', given)
  if (wrong) return wrong
  let facts = NO_MAIL_FACTS
  for (const { keyword, value } of given as readonly Param[]) {
    if (keyword === 'SIZE') facts = { ...facts, size: Number(value) }
    if (keyword === 'BODY') facts = { ...facts, body: (value ?? '').toLowerCase() as MailFacts['body'] }
    if (keyword === 'SMTPUTF8') facts = { ...facts, smtputf8: true }
  }
  return { facts }
}

export function checkRcptParams(given: Given): Checked<undefined> {
  return firstWrong('rcpt', given) ?? { facts: undefined }
}
