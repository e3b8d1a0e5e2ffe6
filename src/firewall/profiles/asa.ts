import { upper } from '../../base/bytes.ts'
import { domainKey } from '../../smtp/address.ts'
import type { Direction } from '../../topology/topology.ts'
import {
  DEFAULT_ESMTP_MAP,
  EHLO_PARAMETERS,
  ESMTP_SIZES,
  type EsmtpAction,
  type EsmtpCondition,
  type EsmtpMap,
  type EsmtpMatch,
  type EsmtpWords,
  MIME_ENCODINGS,
  OTHERS,
  type Reaction,
  showMatch,
} from '../esmtp-map.ts'
import type { Action, Cause, Match, Policy, Rule, WordKind } from '../policy.ts'
import { type CharMode, fragments, maskedBanner, SEVEN } from './pix.ts'

/** The seven of a PIX and eight more; every other verb becomes X. */
export const FIFTEEN: ReadonlySet<string> = new Set([
  ...SEVEN,
  ...['AUTH', 'EHLO', 'ETRN', 'HELP', 'SAML', 'SEND', 'SOML', 'VRFY'],
])

const KNOWN_KEYWORDS: ReadonlySet<string> = new Set(Object.values(EHLO_PARAMETERS))
const EVERY_WAY: ReadonlySet<Direction> = new Set(['inbound', 'outbound', 'lateral'])

/** The patterns behind a name of a map: `regex NAME`, `regex class NAME`. */
export type RegexesOf = (
  of: 'regex' | 'class',
  name: string,
) => { readonly isAny: boolean; readonly like: readonly string[] }

export interface AsaVariant {
  /** ASA guides say that incomplete commands are discarded; a Cisco test note shows them as X. */
  readonly charMode: CharMode
}

/** `inspect esmtp`, with a map of the operator's or the one that comes with the box. */
export function asa(
  map: EsmtpMap,
  cause: Cause,
  regexesOf: RegexesOf,
  { charMode }: AsaVariant = { charMode: 'x' },
): Policy {
  const { maskBanner, allowTls, mailRelay, specialCharacter } = map.parameters
  const verbs = new Set(allowTls === 'no' ? FIFTEEN : [...FIFTEEN, 'STARTTLS'])
  const own = map.name !== DEFAULT_ESMTP_MAP
  const line = (words: string): string =>
    own
      ? `policy-map type inspect esmtp ${map.name} / parameters / ${words}`
      : `policy-map type inspect esmtp OWN / parameters / ${words}, and inspect esmtp OWN`
  const rules: Rule[] = []
  if (maskBanner) {
    rules.push({
      ...maskedBanner('stars-by-line', 'the ASA hides what the server says of itself (mask-banner)'),
      cause: { ...cause, cure: line('no mask-banner') },
    })
  }
  if (allowTls === 'no') {
    const noTls = { ...cause, cure: line('allow-tls') }
    rules.push(
      {
        match: { on: 'word', what: 'ehlo-keyword', in: new Set(['STARTTLS']) },
        action: { kind: 'mask', how: 'ordinal' },
        reason: 'the ASA hides STARTTLS: no allow-tls',
        cause: noTls,
      },
      {
        match: { on: 'word', what: 'verb', in: new Set(['STARTTLS']) },
        action: { kind: 'mask', how: 'x-verb' },
        reason: 'the ASA lets no TLS begin: no allow-tls',
        cause: noTls,
      },
    )
  } else {
    // Before the operator's matches: what TLS needs passes, whatever `others` says.
    rules.push({
      match: { on: 'word', what: 'ehlo-keyword', in: new Set(['STARTTLS']) },
      action: { kind: 'pass' },
      reason: 'allow-tls',
    })
  }
  if (mailRelay) {
    rules.push({
      match: { on: 'relay', except: new Set([domainKey(mailRelay.domain)]) },
      ...reaction(mailRelay),
      reason: `mail for another domain than ${mailRelay.domain} is relayed`,
      cause: { at: mailRelay.at, command: `mail-relay ${mailRelay.domain}`, cure: line('no mail-relay') },
      label: 'mail-relay: No Mail Relay allowed',
    })
  }
  if (specialCharacter) {
    rules.push({
      match: { on: 'octet', what: 'special' },
      ...reaction(specialCharacter),
      reason: 'an address holds |, ` or NUL',
      cause: { at: specialCharacter.at, command: 'special-character', cure: line('no special-character') },
      label: 'special-character: malicious pattern in mail address',
    })
  }
  for (const [i, match] of map.matches.entries()) rules.push(...rulesOf(map, i + 1, match, regexesOf))
  rules.push(
    {
      match: { on: 'not', match: { on: 'word', what: 'verb', in: verbs } },
      action: { kind: 'mask', how: 'x-verb' },
      reason: 'the ASA lets only the commands through that it knows',
      cause: { ...cause, cure: `no inspect esmtp${own ? ` ${map.name}` : ''}` },
    },
    fragments(verbs, charMode, 'the ASA'),
    {
      match: { on: 'size', what: 'overrun', over: 0 },
      action: { kind: 'log' },
      reason: 'the message is longer than was declared',
      label: 'size violation',
    },
  )
  return {
    name: own ? `ASA inspect esmtp ${map.name}` : 'ASA inspect esmtp',
    engine: { kind: 'in-place', dataFirstBug: false },
    rules,
    directions: EVERY_WAY,
    cause,
  }
}

function reaction({ action, log }: Reaction): Pick<Rule, 'action' | 'log'> {
  return { action: { kind: action }, log }
}

function rulesOf(map: EsmtpMap, number: number, match: EsmtpMatch, regexesOf: RegexesOf): readonly Rule[] {
  const inner = matchOf(match.condition, regexesOf)
  const said = showMatch(match)
  const cure =
    map.name === DEFAULT_ESMTP_MAP
      ? 'inspect esmtp OWN, whose policy-map type inspect esmtp OWN has no such match'
      : `policy-map type inspect esmtp ${map.name} / no ${said}`
  return match.actions.map(action => ({
    match: match.negated ? { on: 'not', match: inner } : inner,
    action: actionOf(action, match.condition),
    reason: REASONS[action.kind](said),
    cause: { at: match.at, command: said, cure },
    log: 'log' in action ? action.log : action.kind === 'log',
    label: `matched Class ${number}: ${said}`,
  }))
}

const REASONS: Readonly<Record<EsmtpAction['kind'], (said: string) => string>> = {
  'drop-connection': said => `the ASA ends the connection: ${said}`,
  reset: said => `the ASA resets the connection: ${said}`,
  mask: said => `the ASA hides it: ${said}`,
  log: said => `the ASA only tells of it: ${said}`,
  'rate-limit': said => `the ASA lets so many a second through: ${said}`,
}

function actionOf(action: EsmtpAction, condition: EsmtpCondition): Action {
  if (action.kind !== 'mask') return action.kind === 'rate-limit' ? action : { kind: action.kind }
  const isKeyword = condition.kind === 'words' && condition.what === 'ehlo-reply-parameter'
  return { kind: 'mask', how: isKeyword ? 'ordinal' : 'x-verb' }
}

function matchOf(condition: EsmtpCondition, regexesOf: RegexesOf): Match {
  switch (condition.kind) {
    case 'size':
      return { on: 'size', what: ESMTP_SIZES[condition.what], over: condition.over }
    case 'regex': {
      const what = condition.what === 'sender-address' ? 'sender' : 'mime-type'
      const { isAny, like } = regexesOf(condition.of, condition.name)
      if (isAny) return { on: 'text', what, like }
      return { on: 'all', of: like.map(each => ({ on: 'text', what, like: [each] })) }
    }
    default:
      return wordsOf(condition)
  }
}

const WORDS: Readonly<
  Record<
    EsmtpWords,
    { readonly kind: WordKind; readonly all: ReadonlySet<string>; readonly named: (word: string) => string }
  >
> = {
  'cmd verb': { kind: 'verb', all: FIFTEEN, named: upper },
  'ehlo-reply-parameter': {
    kind: 'ehlo-keyword',
    all: KNOWN_KEYWORDS,
    named: word => EHLO_PARAMETERS[word] ?? upper(word),
  },
  'MIME encoding': { kind: 'mime-encoding', all: new Set<string>(MIME_ENCODINGS), named: word => word },
}

/** `others` are those that no name of the list stands for: with it the set is turned round. */
function wordsOf({ what, words }: EsmtpCondition & { readonly kind: 'words' }): Match {
  const { kind, all, named } = WORDS[what]
  const set = new Set(words.filter(word => word !== OTHERS).map(named))
  if (!words.includes(OTHERS)) return { on: 'word', what: kind, in: set }
  const rest = new Set([...all].filter(word => !set.has(word)))
  return { on: 'not', match: { on: 'word', what: kind, in: rest } }
}
