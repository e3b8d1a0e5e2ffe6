import { bytes, NO_BYTES, upper } from '../base/bytes.ts'
import { checkMailParams, checkRcptParams, EXTENSIONS, listedBy, type MailFacts } from '../smtp/extension.ts'
import type { Params } from '../smtp/params.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import type { Policy, Proxying, SizeKind } from './policy.ts'
import type { Rules } from './proxy-rules.ts'
import type { Because } from './verdict.ts'

/**
 * What the client is told that it may say: of the server's EHLO list whatever the policy lets through and this proxy
 * understands, and what the proxy does by itself.
 */
export interface Offer {
  readonly reply: Reply
  /** Keyword → its arguments, as the client was told. What is not in here may not be used. */
  readonly keywords: ReadonlyMap<string, readonly string[]>
  /** Why it was not told of what the server has; of a keyword that was narrowed, why. */
  readonly withheld: ReadonlyMap<string, Because>
}

export interface Leg {
  /** Is the client's side under TLS, and could it be? */
  readonly secured: boolean
  readonly canSecure: boolean
  readonly loggedIn: boolean
  /** Are messages looked into, so that none may be opaque? */
  readonly edits: boolean
}

/** Extensions whose meaning we carry over; a keyword outside would let a client say what we cannot read. */
export const UNDERSTOOD: ReadonlySet<string> = new Set([...EXTENSIONS.map(({ keyword }) => keyword), 'HELP', 'EXPN'])

/** The arguments as they may be told, or why the keyword cannot stand. */
type Kept =
  | { readonly args: readonly string[]; readonly because?: Because | undefined }
  | { readonly why: string | Because }

export function makeOffer(heard: Reply, rules: Rules, leg: Leg): Offer {
  const { engine } = rules.policy
  const keywords = new Map<string, readonly string[]>()
  const withheld = new Map<string, Because>()
  const said = heard.text.slice(1).map(line => line.trim())
  const listed = listedBy(said)
  for (const [i, line] of said.entries()) {
    const [word = '', ...args] = line.split(/[ =]+/).filter(each => each !== '')
    const keyword = upper(word)
    // Exchange closes its list with OK; the pre-standard AUTH=LOGIN says again what AUTH says.
    if (keyword === '' || (keyword === 'OK' && i === said.length - 1) || keywords.has(keyword)) continue
    const against = judgeKeyword(keyword, rules)
    const kept = against ? { why: '' } : keep(keyword, args, { rules, leg, listed })
    if ('args' in kept) keywords.set(keyword, kept.args)
    const after = 'args' in kept ? [keyword, ...kept.args].join(' ') : ''
    if (upper(after) === upper([keyword, ...args].join(' '))) continue
    const why = against ?? ('why' in kept ? kept.why : (kept.because ?? 'it is narrower here than at the server'))
    const because = typeof why === 'string' ? rules.own(why) : why
    withheld.set(keyword, because)
    rules.explain('keyword', keyword, {
      before: bytes(line),
      after: 'args' in kept ? bytes(after) : NO_BYTES,
      because,
      did: 'args' in kept ? 'replace' : 'strip',
    })
  }
  if (leg.canSecure && !leg.secured) keywords.set('STARTTLS', [])
  if (engine.chunking === 'convert' && !keywords.has('CHUNKING')) {
    const against = judgeKeyword('CHUNKING', rules)
    if (against) withheld.set('CHUNKING', against)
    else keywords.set('CHUNKING', [])
  }
  const list = [...keywords].map(([keyword, args]) => [keyword, ...args].join(' '))
  return { reply: { code: 250, text: [engine.name ?? heard.text[0] ?? '', ...list] }, keywords, withheld }
}

function judgeKeyword(keyword: string, rules: Rules): Because | undefined {
  const verdict = rules.judge({ on: 'word', what: 'ehlo-keyword', word: keyword })
  return verdict.kind === 'pass' ? undefined : verdict.because
}

function keep(
  keyword: string,
  args: readonly string[],
  { rules, leg, listed }: { readonly rules: Rules; readonly leg: Leg; readonly listed: ReadonlySet<string> },
): Kept {
  const { engine } = rules.policy
  if (!UNDERSTOOD.has(keyword)) return { why: 'the proxy passes on no extension that it does not understand' }
  switch (keyword) {
    case 'STARTTLS':
      return passesTls(engine, leg)
        ? { args: [] }
        : { why: rules.own('TLS ends at the proxy, which offers it where it can', 'tls') }
    case 'CHUNKING':
      return engine.chunking === 'off' ? { why: rules.own('chunks are switched off', 'chunking') } : { args: [] }
    case 'BINARYMIME':
      // A binary message goes on as it is, chunk by chunk.
      if (leg.edits) return { why: 'a binary message could not be looked into' }
      return listed.has('CHUNKING') ? { args: [] } : { why: 'the server takes no chunks' }
    case 'SIZE': {
      const [limit, told] = [limitOf(rules.policy, 'message'), /^\d{1,15}$/.test(args[0] ?? '') ? Number(args[0]) : 0]
      if (limit === undefined || (told > 0 && told <= limit)) return { args }
      const verdict = rules.judge({ on: 'size', what: 'message', size: limit + 1 })
      return { args: [String(limit)], because: verdict.kind === 'pass' ? undefined : verdict.because }
    }
    case 'AUTH':
    case 'X-EXPS': {
      if (leg.loggedIn) return { why: 'one login is enough' }
      // X-EXPS is for the named servers of one organisation, which know no TLS.
      if (keyword === 'AUTH' && !leg.secured && !engine.authInClear)
        return { why: rules.own('no login is offered in clear', 'authInClear') }
      const judged = args.map(each => rules.judge({ on: 'word', what: 'auth-mechanism', word: upper(each) }))
      const left = args.filter((_, i) => judged[i]?.kind === 'pass')
      const because = judged.flatMap(each => (each.kind === 'pass' ? [] : [each.because]))[0]
      return left.length === 0 ? { why: because ?? 'it lists no mechanism' } : { args: left, because }
    }
    default:
      return { args }
  }
}

/** STARTTLS goes through where it does not end here. */
export function passesTls({ tls }: Proxying, { canSecure }: Pick<Leg, 'canSecure'>): boolean {
  return tls === 'pass' || (tls === 'require' && !canSecure)
}

/** The first limit of this kind that the policy names. */
export function limitOf({ rules }: Policy, what: SizeKind): number | undefined {
  for (const { match, action } of rules) {
    if (match.on === 'size' && match.what === what && action.kind !== 'log') return match.over
  }
  return undefined
}

/** Parameter of MAIL or RCPT → the extension it is of; BODY is of several. */
const EXTENSION_OF: ReadonlyMap<string, string> = new Map(
  EXTENSIONS.flatMap(({ keyword, params = [] }) => params.map(param => [param.keyword, keyword] as const)),
)

/** The extension that a parameter is of; of none that we know, an empty one. */
export function extensionOfParam(keyword: string, value = ''): string {
  if (keyword === 'BODY' && upper(value) === 'BINARYMIME') return 'BINARYMIME'
  return EXTENSION_OF.get(keyword) ?? ''
}

/** What the parameters of MAIL say, or why they cannot be taken (RFC 5321 §4.1.1.11), and by which line not. */
export function readParams(
  of: 'mail' | 'rcpt',
  params: Params,
  { keywords, withheld }: Pick<Offer, 'keywords' | 'withheld'>,
): { readonly facts: MailFacts | undefined } | { readonly refusal: Reply; readonly because: Because | undefined } {
  const checked = of === 'mail' ? checkMailParams(params, keywords) : checkRcptParams(params, keywords)
  if ('facts' in checked) return checked
  const missing = params
    .map(({ keyword, value }) => extensionOfParam(keyword, value))
    .find(extension => withheld.has(extension) && !keywords.has(extension))
  const because = missing === undefined ? undefined : withheld.get(missing)
  return { refusal: reply(checked.situation === 'bad-parameter' ? 555 : 501, '5.5.4', checked.wrong), because }
}
