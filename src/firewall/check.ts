import { bytes, text } from '../base/bytes.ts'
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { EXTENSIONS } from '../smtp/extension.ts'
import { crossing, type Direction, type Interface } from '../topology/topology.ts'
import { type Caller, type Conduit, type Place, showAccessRule, showConduit, speaksOf } from './access.ts'
import { admit } from './admission.ts'
import { notEnforced } from './commands-kept.ts'
import type { FirewallConfig, Placed } from './config.ts'
import { inspectionOf } from './inspection.ts'
import { judge, withLimit } from './judge.ts'
import { lossesOf } from './losses.ts'
import { GREETING_START, maskGreeting } from './mask.ts'
import { warning } from './objection.ts'
import type { Policy, Rule } from './policy.ts'
import { staticsOf, untranslate } from './translation.ts'
import type { Because } from './verdict.ts'
import { versionNumber } from './versions.ts'

/** What a configuration does to SMTP, before any traffic. */
export interface Check {
  readonly pairs: readonly PairCheck[]
  /** What somebody should look at. */
  readonly warnings: readonly Diagnostic[]
  /** Lines that are kept and shown, and have no effect here. */
  readonly notEnforced: readonly string[]
}

/** From one interface to another. */
export interface PairCheck {
  readonly from: Interface
  readonly to: Interface
  readonly direction: Direction
  /** By which lines mail goes this way; none where it cannot. */
  readonly open: readonly Opening[]
  /** Why not, where it cannot. */
  readonly closed?: string
  readonly inspected?: Inspected
}

export interface Opening {
  /** The line that lets it through, or how else it does. */
  readonly by: string
  readonly at?: SourceRef
  readonly caller: Caller
}

/** What inspection does to what goes this way. */
export interface Inspected {
  readonly policy: string
  readonly because: Because['cause']
  /** A greeting as it is heard, if it is not heard as it was said. */
  readonly banner?: string
  readonly passes: readonly string[]
  readonly lost: readonly LostExtension[]
  /** What ends, waits or is altered beyond that. */
  readonly suffers: readonly Suffering[]
}

export interface LostExtension {
  readonly keyword: string
  readonly because: Because
}

export interface Suffering {
  /** What the rule does, and to what: `drop-connection command-line over 512`. */
  readonly what: string
  readonly felt: string
  /** The client is told why, in a reply: it need not guess, and does not come again. */
  readonly isAnswered: boolean
  readonly because: Pick<Because, 'cause' | 'reason'>
}

/** Ways that are tried of one pair: of a longer list the rest is of the same kind. */
const MAX_TRIED = 500

export function check(config: FirewallConfig): Check {
  const { interfaces } = config.ports
  const pairs = interfaces.flatMap(from => interfaces.filter(to => to !== from).map(to => checkPair(config, from, to)))
  return { pairs, warnings: warningsOf(config, pairs), notEnforced: notEnforced(config) }
}

/** Extensions that mail between any two servers uses; without the others somebody in particular suffers. */
const EVERYBODYS: ReadonlySet<string> = new Set([
  ...['SIZE', 'PIPELINING', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES', 'STARTTLS', 'AUTH'],
])

/** Does anything suffer, that mail to anybody needs, or without a word to its sender? */
export function suffers({ pairs, warnings }: Check): boolean {
  const isHurt = ({ open, inspected }: PairCheck) =>
    open.length > 0 &&
    inspected !== undefined &&
    (inspected.lost.some(({ keyword }) => EVERYBODYS.has(keyword)) ||
      inspected.suffers.some(({ isAnswered }) => !isAnswered))
  return warnings.length > 0 || pairs.some(isHurt)
}

function checkPair(config: FirewallConfig, from: Interface, to: Interface): PairCheck {
  const way = crossing(config.hostname, from, to)
  const open: Opening[] = []
  let policy: Policy | undefined
  let closed: string | undefined
  for (const { caller, by, at } of waysOf(config, from, to).slice(0, MAX_TRIED)) {
    const admission = admit(config, config.hostname, from.name, caller)
    if (admission.kind === 'refuse') closed ??= admission.reason
    else if (admission.crossing.to.name === to.name) {
      open.push({ by, caller, ...(at && { at }) })
      policy ??= admission.policy
    }
  }
  const pair = { from, to, direction: way.direction, open: distinct(open) }
  if (open.length === 0) {
    const untranslated = config.kept.nat
      ? 'nothing is translated there that has effect here: neither by an access list, nor of both ends at once'
      : 'nothing is translated there'
    const reason = closed ?? (way.direction === 'outbound' ? 'no route leads there' : untranslated)
    return { ...pair, closed: way.direction === 'lateral' && !config.sameSecurity ? SAME_LEVEL : reason }
  }
  policy ??= inspectionOf(config, way, { source: '', destination: '', port: 25 })
  const canSecure = config.proxies.certificates.length > 0
  return policy ? { ...pair, inspected: inspectedBy(policy, canSecure) } : pair
}

const SAME_LEVEL = 'both have the same security level'

function distinct(open: readonly Opening[]): readonly Opening[] {
  // A way without a line of its own is one, wherever it leads.
  const key = ({ by, at, caller }: Opening) => (at ? `${by} ${caller.destination}` : by)
  return [...new Map(open.toReversed().map(each => [key(each), each])).values()].toReversed()
}

/* Who might come, and which line would let them. */

/** An address of the documentation's, as somebody far away. */
const SOMEBODY = '203.0.113.25'
const SOMEBODY6 = '2001:db8:ffff::25'

function waysOf(config: FirewallConfig, from: Interface, to: Interface): readonly Opening[] {
  if (from.level > to.level) return outward(config, from, to)
  const rules: readonly Opening[] = [...listWays(config, from), ...conduitWays(config, from), ...mailhostWays(config)]
  if (rules.length > 0) return rules
  // Nobody is let in: which translation is it that waits for a line?
  return staticsOf(config)
    .filter(({ real, mapped }) => real === to.name && mapped === from.name)
    .map(({ mappedIp, at, redirect }) => ({
      by: 'static',
      at,
      caller: { source: somebody(mappedIp), destination: mappedIp, port: redirect?.mappedPort ?? 25 },
    }))
}

function somebody(like: string): string {
  return like.includes(':') ? SOMEBODY6 : SOMEBODY
}

function listWays(config: FirewallConfig, from: Interface): readonly Opening[] {
  const group = config.accessGroups.find(({ port, isOut }) => port === from.name && !isOut)
  return config.accessRules
    .filter(({ list, action }) => list === group?.list && action === 'permit')
    .flatMap(rule =>
      callersOf(config, rule, from.name).map(caller => ({ by: showAccessRule(rule), at: rule.at, caller })),
    )
}

function conduitWays(config: FirewallConfig, from: Interface): readonly Opening[] {
  return config.conduits
    .filter(({ action }) => action === 'permit')
    .flatMap(rule => callersOf(config, rule, from.name).map(caller => ({ by: showConduit(rule), at: rule.at, caller })))
}

function mailhostWays({ mailhosts }: FirewallConfig): readonly Opening[] {
  return mailhosts.map(({ global, local, at }) => ({
    by: `mailhost ${global} ${local}`,
    at,
    caller: { source: SOMEBODY, destination: global, port: 25 },
  }))
}

/** Callers that a line speaks of: of every translated address, and of the one it names itself. */
function callersOf(config: FirewallConfig, rule: Conduit, from: string): readonly Caller[] {
  const statics = staticsOf(config).filter(({ mapped }) => mapped === from)
  const own = addressesOf(config, rule.destination).map(ip => ({ ip, port: 25 }))
  const translated = statics.map(({ mappedIp, redirect }) => ({ ip: mappedIp, port: redirect?.mappedPort ?? 25 }))
  const [source] = addressesOf(config, rule.source)
  const speaks = (caller: Caller): boolean => speaksOf({ ...rule, list: '' }, caller, config.objects)
  return [...own, ...translated]
    .map(({ ip, port }) => ({ source: source ?? somebody(ip), destination: ip, port }))
    .filter(caller => {
      // From 8.3 on a list names the real address.
      const reals = statics.flatMap(each => untranslate(each, caller) ?? [])
      return speaks(caller) || reals.some(speaks)
    })
}

function addressesOf({ objects }: FirewallConfig, place: Place): readonly string[] {
  if ('ip' in place) return place.mask === '0.0.0.0' || place.mask === '::' ? [] : [place.ip]
  if ('object' in place) {
    const is = objects.objects.find(({ name }) => name === place.object)?.is
    return is ? ['ip' in is ? is.ip : is.from] : []
  }
  const group = objects.groups.find(({ kind, name }) => kind === 'network' && name === place.group)
  return group?.kind === 'network' ? group.members.flatMap(each => ('ip' in each ? [each.ip] : [])) : []
}

function outward(config: FirewallConfig, from: Interface, to: Interface): readonly Opening[] {
  const { interfaces } = config.ports
  const behind = (name: string): readonly string[] => [
    ...config.routes
      .filter(({ port }) => port === name)
      .map(({ to }) => (to.ip === '0.0.0.0' ? SOMEBODY : to.ip === '::' ? SOMEBODY6 : to.ip)),
    ...interfaces.filter(each => each.name === name).flatMap(({ network }) => network?.ip ?? []),
  ]
  const sources = [
    ...staticsOf(config).flatMap(({ real, realIp }) => (real === from.name ? [realIp] : [])),
    ...behind(from.name),
  ]
  return sources.flatMap(source =>
    behind(to.name).map(destination => ({
      by: 'a higher level reaches a lower one',
      caller: { source, destination, port: 25 },
    })),
  )
}

/* What inspection does. */

/** EHLO keyword → the command that makes it of use. */
const VERB_OF: Readonly<Record<string, string>> = {
  CHUNKING: 'BDAT',
  BINARYMIME: 'BDAT',
  STARTTLS: 'STARTTLS',
  AUTH: 'AUTH',
  ETRN: 'ETRN',
  VRFY: 'VRFY',
  EXPN: 'EXPN',
  HELP: 'HELP',
  'X-EXPS': 'X-EXPS',
  'X-LINK2STATE': 'X-LINK2STATE',
  XEXCH50: 'XEXCH50',
}

/** Every keyword that people would miss; that nobody should miss VRFY, EXPN and HELP is said elsewhere. */
export const CHECKED_KEYWORDS: readonly string[] = [
  ...new Set([...EXTENSIONS.map(({ keyword }) => keyword), 'ETRN', 'X-EXPS', 'X-LINK2STATE', 'XEXCH50']),
].filter(keyword => !['VRFY', 'EXPN', 'HELP'].includes(keyword))

const SAMPLE_GREETING = '220 mail.example ESMTP\r\n'

/** `canSecure`: has a proxy a certificate for its clients? */
export function inspectedBy(policy: Policy, canSecure = true): Inspected {
  const greeting = judge(policy, { on: 'greeting' }).verdict
  const banner =
    greeting.kind === 'mask'
      ? text(maskGreeting(bytes(SAMPLE_GREETING), greeting.how, GREETING_START)).trimEnd()
      : undefined
  const ehlo = refusal(policy, 'EHLO')
  const lost = CHECKED_KEYWORDS.flatMap(keyword => {
    const asked = ehlo ?? hidden(policy, keyword) ?? refusal(policy, VERB_OF[keyword])
    const because = asked ?? withheld(policy, keyword, canSecure)
    return because ? [{ keyword, because }] : []
  })
  return {
    policy: policy.name,
    because: policy.cause,
    ...(banner !== undefined && { banner }),
    passes: CHECKED_KEYWORDS.filter(keyword => !lost.some(each => each.keyword === keyword)),
    lost,
    suffers: onlyOnce([...policy.rules.flatMap(rule => suffering(policy, rule)), ...bugs(policy)]),
  }
}

function refusal(policy: Policy, verb: string | undefined): Because | undefined {
  if (verb === undefined) return undefined
  const { verdict } = judge(policy, { on: 'word', what: 'verb', word: verb })
  return verdict.kind === 'pass' ? undefined : verdict.because
}

/** The line that a proxy lacks which is to end TLS and cannot. */
export const CERTIFICATE = 'strict certificate FILE key FILE'

/** What a proxy does not offer whatever its rules say. */
function withheld({ name, engine, cause, settled }: Policy, keyword: string, canSecure: boolean): Because | undefined {
  if (keyword !== 'STARTTLS' || engine.kind !== 'proxy') return undefined
  const by = settled?.tls ?? cause
  const because = { policy: name, cause: by, reason: 'TLS is off', log: false, label: '' }
  if (engine.tls === 'off') return because
  if (engine.tls !== 'terminate' || canSecure) return undefined
  return {
    ...because,
    cause: { ...by, cure: CERTIFICATE },
    reason: 'TLS ends here, and there is no certificate for it',
  }
}

function hidden(policy: Policy, word: string): Because | undefined {
  const { verdict } = judge(policy, { on: 'word', what: 'ehlo-keyword', word })
  return verdict.kind === 'pass' ? undefined : verdict.because
}

/** Rules about lengths, texts and octets, with what they cost; words are the business of the extensions. */
function suffering(policy: Policy, { match, action, reason, cause = policy.cause }: Rule): readonly Suffering[] {
  if (action.kind === 'pass' || action.kind === 'log') return []
  const inner = match.on === 'not' ? match.match : match
  if (inner.on !== 'size' && inner.on !== 'text' && inner.on !== 'octet' && inner.on !== 'relay') return []
  const name = inner.on === 'relay' ? 'relay' : inner.what
  const over = inner.on === 'size' ? ` ${match.on === 'not' ? 'up to' : 'over'} ${inner.over}` : ''
  const isAnswered = action.kind === 'answer' || action.kind === 'normalise' || action.kind === 'fold'
  // What is left out or said otherwise is missed itself; it does not take the rest with it.
  const isAlone = isAnswered || action.kind === 'strip' || action.kind === 'replace'
  const loss = isAlone ? undefined : lossesOf('session', name)[0]
  const felt = loss ? `${loss.what}: ${loss.felt}` : reason
  const cure = inner.on === 'size' ? withLimit(cause.cure, inner.over) : cause.cure
  return [{ what: `${action.kind} ${name}${over}`, felt, isAnswered, because: { cause: { ...cause, cure }, reason } }]
}

/** Several rules of one kind may say the same. */
function onlyOnce(all: readonly Suffering[]): readonly Suffering[] {
  return [...new Map(all.map(each => [`${each.what} ${each.felt} ${each.because.cause.cure}`, each])).values()]
}

function bugs(policy: Policy): readonly Suffering[] {
  if (policy.engine.kind !== 'in-place' || !policy.engine.dataFirstBug) return []
  const reason = 'DATA before RCPT opens it to every command (CVE-2000-1022)'
  return [
    { what: 'pass everything behind DATA', felt: reason, isAnswered: false, because: { cause: policy.cause, reason } },
  ]
}

/* What somebody should look at. */

function warningsOf(config: FirewallConfig, pairs: readonly PairCheck[]): readonly Diagnostic[] {
  return [
    ...tlsWarnings(pairs),
    ...untoldServers(config),
    ...holes(config),
    ...deadLines(config),
    ...versionWarnings(config),
  ]
}

/**
 * Would a Postfix as it comes take this greeting, its lines joined by line ends, for that of a PIX (`smtp_pix_workarounds`)?
 * It says HELO then, and TLS is lost even where the firewall would let it through.
 */
export function isTakenForPix(greeting: string): boolean {
  return /^[20 *\t\n]*$/.test(greeting)
}

function tlsWarnings(pairs: readonly PairCheck[]): readonly Diagnostic[] {
  const seen = new Map<string, Diagnostic>()
  for (const { open, inspected } of pairs) {
    if (open.length === 0 || !inspected) continue
    const { at, cure } = inspected.because
    const tls = inspected.lost.find(({ keyword }) => keyword === 'STARTTLS')
    if (tls) {
      const message = 'TLS is stripped: STARTTLS does not get through, and mail crosses in clear or not at all'
      seen.set(`tls ${at.line}`, warning(message, at, `to let it through: ${tls.because.cause.cure}`))
    } else if (inspected.banner !== undefined && isTakenForPix(inspected.banner)) {
      const message =
        'the banner is masked although TLS may pass: a Postfix as it comes takes it for a PIX, says HELO, and sends in clear'
      seen.set(`banner ${at.line}`, warning(message, at, `to leave the banner: ${bannerCure(cure)}`))
    }
  }
  return [...seen.values()]
}

/** Where nothing but XCLIENT keeps a server from relaying for everybody, it had better work. */
function untoldServers({ proxies: { strict } }: FirewallConfig): readonly Diagnostic[] {
  const { xclient: at } = strict.at
  if (!at || strict.values.xclient !== 'may' || strict.domains.length > 0) return []
  const message =
    'a server that offers no XCLIENT, or refuses it, takes every client for this firewall: where it trusts that address, it relays for everybody'
  return [
    warning(message, at, 'to send it nothing then: strict xclient must; and name your domains: strict domain <domain>'),
  ]
}

function bannerCure(cure: string): string {
  return cure.startsWith('policy-map') ? 'parameters / no mask-banner' : cure
}

/** Lines that let in more than mail to a mail server. */
function holes(config: FirewallConfig): readonly Diagnostic[] {
  const bound = new Set(config.accessGroups.filter(({ isOut }) => !isOut).map(({ list, port }) => `${list} ${port}`))
  const outer = new Set(
    config.ports.interfaces
      .filter(({ level }) => config.ports.interfaces.some(each => each.level > level))
      .map(({ name }) => name),
  )
  const rules = config.accessRules.filter(({ list }) => [...outer].some(port => bound.has(`${list} ${port}`)))
  const wide = (rule: Placed<Conduit>): Diagnostic | undefined => {
    if (rule.action !== 'permit' || !isAnybody(rule.source)) return undefined
    if (rule.protocol === 'ip') return warning('this lets everybody in with every protocol', rule.at, EXPECTED)
    if (rule.protocol !== 'tcp') return undefined
    if (!rule.destinationPort) return warning('this lets everybody in at every port', rule.at, EXPECTED)
    if (isAnybody(rule.destination)) return warning('this lets everybody in to every host', rule.at, EXPECTED)
    return undefined
  }
  return [...rules, ...config.conduits].flatMap(rule => wide(rule) ?? [])
}

const EXPECTED = 'expected one host and one port, such as: permit tcp any host 192.0.2.10 eq smtp'

function isAnybody(place: Place): boolean {
  return 'ip' in place && (place.mask === '0.0.0.0' || place.mask === '::')
}

/** Lines that cannot do what they were written for. */
function deadLines(config: FirewallConfig): readonly Diagnostic[] {
  const { accessGroups, conduits, accessRules } = config
  const bound = new Set(accessGroups.map(({ list }) => list))
  const used = new Set([
    ...bound,
    ...config.nats.flatMap(({ of }) => ('list' in of ? [of.list] : [])),
    ...config.mpf.classes.flatMap(({ match }) => (match?.kind === 'access-list' ? [match.list] : [])),
  ])
  const keptText = Object.values(config.kept).flat().join('\n')
  const unbound = [...new Map(accessRules.map(rule => [rule.list, rule])).values()].filter(
    ({ list }) => !used.has(list) && !keptText.includes(list),
  )
  const [conduit] = conduits
  const overridden = accessGroups.find(({ isOut }) => !isOut)
  return [
    ...unbound.map(({ list, at }) =>
      warning(
        `access list ${list} is bound to no interface, and lets nobody in`,
        at,
        `access-group ${list} in interface outside`,
      ),
    ),
    ...(conduit && overridden
      ? [
          warning(
            `conduits are not asked at ${overridden.port}: the access-group there takes their place`,
            conduit.at,
            'write them as lines of that access list',
          ),
        ]
      : []),
    ...(conduit && (versionNumber(config.version ?? '') ?? 0) >= 700
      ? [warning('conduits went with 6.3: this version does not know them', conduit.at, 'write an access-list')]
      : []),
    ...config.smtpFixups.flatMap(({ at }) =>
      config.mpf.services.length > 0
        ? [
            warning(
              'both a fixup and a service-policy are in force: the policy is asked first',
              at,
              'remove one of them',
            ),
          ]
        : [],
    ),
  ]
}

/** The last versions that had CVE-2000-1022, by release train. */
const DATA_FIRST: readonly (readonly [train: number, last: number])[] = [
  [404, 6],
  [500, 3],
  [501, 3],
  [502, 2],
]

function versionWarnings({ version, product, smtpFixups, mailguard }: FirewallConfig): readonly Diagnostic[] {
  const [fixup] = smtpFixups
  const found = /^\d+\.\d+\((\d+)\)$/.exec(version ?? '')
  const number = versionNumber(version ?? '')
  if (!fixup || product !== 'PIX' || number === undefined || mailguard.dataFirstBug) return []
  const [, last] = DATA_FIRST.find(([train]) => train === number) ?? []
  const isOld = number < 404 || (last !== undefined && Number(found?.[1] ?? 0) <= last)
  if (!isOld) return []
  const message = `PIX ${version} let every command through behind a DATA that the server refused (CVE-2000-1022); here it does not`
  return [warning(message, fixup.at, 'mailguard data-first-bug does as the box did')]
}
