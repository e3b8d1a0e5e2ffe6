import { bytes, NO_BYTES, upper } from '../base/bytes.ts'
import { checkMailParams, checkRcptParams, EXTENSIONS, type MailFacts } from '../smtp/extension.ts'
import type { Params } from '../smtp/params.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import { judge, type Situation, type Subject } from './judge.ts'
import type { Policy, Proxy, SizeKind } from './policy.ts'
import { type Because, type Explanation, explain } from './verdict.ts'

/**
 * What the client is told that it may say: of the server's EHLO list whatever the policy lets through and this proxy
 * understands, and what the proxy does by itself.
 */
export interface Offer {
  readonly reply: Reply
  /** Keyword → its arguments, as the client was told. What is not in here may not be used. */
  readonly keywords: ReadonlyMap<string, readonly string[]>
  readonly altered: readonly Explanation[]
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
const UNDERSTOOD = new Set([...EXTENSIONS.map(({ keyword }) => keyword), 'HELP', 'EXPN'])

export function makeOffer(
  heard: Reply,
  policy: Policy & { readonly engine: Proxy },
  situation: Situation,
  leg: Leg,
): Offer {
  const { engine } = policy
  const altered: Explanation[] = []
  const keywords = new Map<string, readonly string[]>()
  const said = heard.text.slice(1).map(line => line.trim())
  const serverHas = new Set(said.map(line => upper(line.split(/[ =]/, 1)[0] ?? '')))
  const own = (reason: string): Because => ({ policy: policy.name, cause: policy.cause, reason, log: false, label: '' })

  for (const [i, line] of said.entries()) {
    const [word = '', ...args] = line.split(/[ =]+/).filter(each => each !== '')
    const keyword = upper(word)
    // Exchange closes its list with OK; the pre-standard AUTH=LOGIN says again what AUTH says.
    if (keyword === '' || (keyword === 'OK' && i === said.length - 1) || keywords.has(keyword)) continue
    const verdict = judgeKeyword(keyword)
    const kept = verdict ? undefined : argumentsOf(keyword, args)
    if (kept) keywords.set(keyword, kept)
    const after = kept ? [keyword, ...kept].join(' ') : ''
    if (upper(after) === upper([keyword, ...args].join(' '))) continue
    const change = { before: bytes(line), after: kept ? bytes(after) : NO_BYTES }
    altered.push(explain('keyword', keyword, change, verdict ?? own(whyChanged(keyword)), kept ? 'replace' : 'strip'))
  }
  if (leg.canSecure && !leg.secured) keywords.set('STARTTLS', [])
  if (engine.chunking === 'convert' && !keywords.has('CHUNKING') && !judgeKeyword('CHUNKING')) {
    keywords.set('CHUNKING', [])
  }
  const hello = heard.text[0] ?? ''
  const name = engine.name ?? hello
  const list = [...keywords].map(([keyword, args]) => [keyword, ...args].join(' '))
  return { reply: { code: 250, text: [name, ...list] }, keywords, altered }

  function judgeKeyword(keyword: string): Because | undefined {
    const { verdict } = judge(policy, { on: 'word', what: 'ehlo-keyword', word: keyword }, situation)
    return verdict.kind === 'pass' ? undefined : verdict.because
  }

  /** The arguments as they may be told; `undefined` where the keyword cannot stand. */
  function argumentsOf(keyword: string, args: readonly string[]): readonly string[] | undefined {
    if (!UNDERSTOOD.has(keyword)) return undefined
    if (keyword === 'STARTTLS') return passesTls(engine, leg) ? [] : undefined
    if (keyword === 'CHUNKING' && engine.chunking === 'off') return undefined
    // A binary message goes on as it is, chunk by chunk.
    if (keyword === 'BINARYMIME') return serverHas.has('CHUNKING') && !leg.edits ? [] : undefined
    if (keyword === 'SIZE') {
      const [limit, told] = [limitOf(policy, 'message'), /^\d{1,15}$/.test(args[0] ?? '') ? Number(args[0]) : 0]
      return limit === undefined || (told > 0 && told <= limit) ? args : [String(limit)]
    }
    if (keyword === 'AUTH' || keyword === 'X-EXPS') {
      // X-EXPS is for the named servers of one organisation, which know no TLS.
      const inClear = keyword === 'AUTH' && !leg.secured && !engine.authInClear
      if (leg.loggedIn || inClear) return undefined
      const left = args.filter(each => {
        const subject: Subject = { on: 'word', what: 'auth-mechanism', word: upper(each) }
        return judge(policy, subject, situation).verdict.kind === 'pass'
      })
      return left.length === 0 ? undefined : left
    }
    return args
  }

  function whyChanged(keyword: string): string {
    if (!UNDERSTOOD.has(keyword)) return 'the proxy does not understand this extension, and passes on nothing that it does not'
    if (keyword === 'STARTTLS') return 'encryption ends at the proxy, which offers it by itself where it can'
    if (keyword === 'SIZE') return 'the limit here is lower than that of the server'
    if (keyword === 'AUTH' || keyword === 'X-EXPS') return 'a login is offered once, not in clear, and by the listed mechanisms'
    return 'the proxy could not look into such messages'
  }
}

/** STARTTLS goes through where it does not end here. */
export function passesTls({ tls }: Proxy, { canSecure }: Pick<Leg, 'canSecure'>): boolean {
  return tls === 'pass' || (tls === 'require' && !canSecure)
}

/** The first limit of this kind that the policy names. */
export function limitOf({ rules }: Policy, what: SizeKind): number | undefined {
  for (const { match, action } of rules) {
    if (match.on === 'size' && match.what === what && action.kind !== 'log') return match.over
  }
  return undefined
}

/** What the parameters of MAIL say, or why they cannot be taken (RFC 5321 §4.1.1.11). */
export function readParams(
  of: 'mail' | 'rcpt',
  params: Params,
  keywords: Offer['keywords'],
): { readonly facts: MailFacts | undefined } | { readonly refusal: Reply } {
  const listed = new Set(keywords.keys())
  const checked = of === 'mail' ? checkMailParams(params, listed) : checkRcptParams(params, listed)
  if ('facts' in checked) return checked
  const known = checked.situation === 'bad-parameter' ? 555 : 501
  return { refusal: reply(known, '5.5.4', checked.wrong) }
}
