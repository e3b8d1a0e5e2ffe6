import type { SourceRef } from '../base/problem.ts'
import type { SizeKind } from './policy.ts'

/** A `policy-map type inspect esmtp`, as it is written. */
export interface EsmtpMap {
  readonly name: string
  readonly description?: string
  readonly parameters: EsmtpParameters
  readonly matches: readonly EsmtpMatch[]
  readonly at: SourceRef
}

export interface EsmtpParameters {
  readonly maskBanner: boolean
  readonly allowTls: 'no' | 'yes' | 'log'
  /** Mail for any other domain than this is relayed. */
  readonly mailRelay?: { readonly domain: string } & Reaction
  /** What becomes of a connection that has | ` or NUL in an address. */
  readonly specialCharacter?: Reaction
}

export interface Reaction {
  readonly action: 'drop-connection' | 'log'
  readonly log: boolean
  readonly at: SourceRef
}

/** As a map has them before its first line; `no mask-banner` and `allow-tls` are written where they are otherwise. */
export const ESMTP_PARAMETERS: EsmtpParameters = { maskBanner: true, allowTls: 'no' }

export interface EsmtpMatch {
  readonly negated: boolean
  readonly condition: EsmtpCondition
  readonly actions: readonly EsmtpAction[]
  readonly at: SourceRef
}

export type EsmtpCondition =
  | { readonly kind: 'size'; readonly what: EsmtpSize; readonly over: number }
  /** In lower case, as they are written. */
  | { readonly kind: 'words'; readonly what: EsmtpWords; readonly words: readonly string[] }
  | {
      readonly kind: 'regex'
      readonly what: 'sender-address' | 'MIME filetype'
      readonly of: 'regex' | 'class'
      readonly name: string
    }

export type EsmtpWords = 'cmd verb' | 'ehlo-reply-parameter' | 'MIME encoding'

/** The words before `gt` → what they measure. */
export const ESMTP_SIZES: Readonly<Record<EsmtpSize, SizeKind>> = {
  'body length': 'body',
  'body line length': 'body-line',
  'cmd line length': 'command-line',
  'cmd RCPT count': 'recipients',
  'header length': 'header',
  'header line length': 'header-line',
  'header to-fields count': 'to-fields',
  'invalid-recipients count': 'invalid-recipients',
  'MIME filename length': 'filename',
  'sender-address length': 'sender',
}

export type EsmtpSize =
  | `${'body' | 'header'} length`
  | `${'body' | 'header' | 'cmd'} line length`
  | 'cmd RCPT count'
  | 'header to-fields count'
  | 'invalid-recipients count'
  | 'MIME filename length'
  | 'sender-address length'

export type EsmtpAction =
  | { readonly kind: 'drop-connection' | 'reset' | 'mask'; readonly log: boolean }
  | { readonly kind: 'log' }
  | { readonly kind: 'rate-limit'; readonly perSecond: number }

/** What an ASA calls a keyword → the keyword; `others` are all the rest. */
export const EHLO_PARAMETERS: Readonly<Record<string, string>> = {
  '8bitmime': '8BITMIME',
  auth: 'AUTH',
  binaryname: 'BINARYMIME',
  checkpoint: 'CHECKPOINT',
  dsn: 'DSN',
  ecode: 'ENHANCEDSTATUSCODES',
  etrn: 'ETRN',
  pipelining: 'PIPELINING',
  size: 'SIZE',
  vrfy: 'VRFY',
}

export const MIME_ENCODINGS = ['7bit', '8bit', 'base64', 'binary', 'quoted-printable'] as const
export const OTHERS = 'others'

export function showCondition(condition: EsmtpCondition): string {
  switch (condition.kind) {
    case 'size':
      return `${condition.what} gt ${condition.over}`
    case 'words':
      return `${condition.what} ${condition.words.join(' ')}`
    default:
      return `${condition.what} regex ${condition.of === 'class' ? 'class ' : ''}${condition.name}`
  }
}

export function showMatch({ negated, condition }: Pick<EsmtpMatch, 'negated' | 'condition'>): string {
  return `match ${negated ? 'not ' : ''}${showCondition(condition)}`
}

export function showAction(action: EsmtpAction): string {
  if (action.kind === 'log') return 'log'
  if (action.kind === 'rate-limit') return `rate-limit ${action.perSecond}`
  return `${action.kind}${action.log ? ' log' : ''}`
}

export const DEFAULT_ESMTP_MAP = '_default_esmtp_map'

const size = (what: EsmtpSize, over: number, action: EsmtpAction): Omit<EsmtpMatch, 'at'> => ({
  negated: false,
  condition: { kind: 'size', what, over },
  actions: [action],
})

/** What `inspect esmtp` without a map of its own means (ASA 9.1). */
export function defaultEsmtpMap(at: SourceRef): EsmtpMap {
  const drop = { kind: 'drop-connection', log: true } as const
  const matches = [
    size('cmd line length', 512, drop),
    size('cmd RCPT count', 100, drop),
    size('body line length', 998, { kind: 'log' }),
    size('header line length', 998, drop),
    size('sender-address length', 320, drop),
    size('MIME filename length', 255, drop),
    {
      negated: false,
      condition: { kind: 'words', what: 'ehlo-reply-parameter', words: [OTHERS] },
      actions: [{ kind: 'mask', log: false }],
    },
  ] as const satisfies readonly Omit<EsmtpMatch, 'at'>[]
  return { name: DEFAULT_ESMTP_MAP, parameters: ESMTP_PARAMETERS, matches: matches.map(each => ({ ...each, at })), at }
}
