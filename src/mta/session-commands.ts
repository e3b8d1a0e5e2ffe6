/** How sessions are held: dialect, doors, TLS, extensions, limits, and the boxes between. */
import { formatDuration } from '../base/time.ts'
import { SIZE } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { EXTENSIONS } from '../smtp/extension.ts'
import { LIMIT_SPECS, LIMITS, type LimitSpec, type Limits } from '../smtp/limits.ts'
import { EMPTY_MTA, type Listen, type MtaConfig, type TrustedProxy } from './config.ts'
import { NETWORK, networkIn, showNetwork } from './networks.ts'
import { WORKAROUNDS } from './order.ts'

type Spec = CommandSpec<MtaConfig>

/** `value` of what is configured, or `undefined` for what stands there anyway. */
function dropped<K extends keyof MtaConfig>(config: MtaConfig, key: K): MtaConfig {
  const { [key]: _gone, ...rest } = config
  return rest as MtaConfig
}

const DIALECT: Spec = {
  syntax: 'dialect <dialect:postern|exchange2000|exchange2003> [version <version:word>]',
  help: 'How replies are worded, and which extensions the EHLO reply lists',
  apply: (config, args) => {
    const version = args.optional('version')
    return {
      ...dropped(config, 'version'),
      dialect: args.text('dialect') as MtaConfig['dialect'],
      ...(version !== undefined && { version }),
    }
  },
  show: ({ dialect, version }) => [`dialect ${dialect}${version === undefined ? '' : ` version ${quote(version)}`}`],
}

const UNKNOWN_VERB: Spec = {
  syntax: 'unknown-verb quote',
  help: 'Refuse an unknown verb in the words that quote what was heard, as Sendmail does',
  apply: config => ({ ...config, quoteUnknown: true }),
  remove: config => ({ ...config, quoteUnknown: false }),
  show: ({ quoteUnknown }) => (quoteUnknown ? ['unknown-verb quote'] : []),
}

function listenOf(args: Arguments): Pick<Listen, 'ip' | 'port'> {
  return { ip: args.text('ip'), port: args.number('port', args.has('tls') ? 465 : 25) }
}

function otherListens({ listens }: MtaConfig, { ip, port }: Pick<Listen, 'ip' | 'port'>): readonly Listen[] {
  return listens.filter(each => each.ip !== ip || each.port !== port)
}

const LISTEN: Spec = {
  syntax: 'listen <ip> [port <port>] [tls]',
  help: 'Take mail at this address; with tls, under TLS from the first octet on',
  apply: (config, args, at) => {
    const next = { ...listenOf(args), tls: args.has('tls'), at }
    return { ...config, listens: [...otherListens(config, next), next] }
  },
  remove: (config, args) => ({ ...config, listens: otherListens(config, listenOf(args)) }),
  show: ({ listens }) =>
    listens.map(({ ip, port, tls }) => {
      const usual = port === (tls ? 465 : 25)
      return `listen ${ip}${usual ? '' : ` port ${port}`}${tls ? ' tls' : ''}`
    }),
}

const TLS: Spec = {
  syntax: 'tls certificate <certificate:file> key <key:file>',
  help: 'Offer STARTTLS with this certificate and its chain, as PEM',
  words: { tls: 'TLS for those who send us mail' },
  apply: (config, args, at) => ({
    ...config,
    tls: { certificateFile: args.text('certificate'), keyFile: args.text('key'), at },
  }),
  remove: config => dropped(config, 'tls'),
  noSyntax: 'tls certificate',
  show: ({ tls }) => (tls ? [`tls certificate ${quote(tls.certificateFile)} key ${quote(tls.keyFile)}`] : []),
}

const TLS_REQUIRED: Spec = {
  syntax: 'tls required',
  help: 'Take no mail in clear; not for a server that the world sends mail to (RFC 3207 §4)',
  apply: config => ({ ...config, tlsRequired: true }),
  remove: config => ({ ...config, tlsRequired: false }),
  show: ({ tlsRequired }) => (tlsRequired ? ['tls required'] : []),
}

const KEYWORDS = EXTENSIONS.map(({ keyword }) => keyword).join('|')

const EXTENSION: Spec = {
  syntax: `extension <keyword:${KEYWORDS}>`,
  help: 'Offer the extension, where it works; with no, it is not listed and its verb is unknown',
  apply: (config, args) => ({ ...config, off: config.off.filter(each => each !== args.text('keyword')) }),
  remove: (config, args) => ({
    ...config,
    off: [...config.off.filter(each => each !== args.text('keyword')), args.text('keyword')],
  }),
  show: ({ off }) => off.map(keyword => `no extension ${keyword}`),
}

const VRFY: Spec = {
  syntax: 'vrfy',
  help: 'Let VRFY tell who has a mailbox here; without it the answer is 252 for everybody',
  apply: config => ({ ...config, verifies: true }),
  remove: config => ({ ...config, verifies: false }),
  show: ({ verifies }) => (verifies ? ['vrfy'] : []),
}

const KINDS: Readonly<Record<LimitSpec['of'], { readonly word: string; readonly show: (value: number) => string }>> = {
  count: { word: '<value:number>', show: String },
  octets: { word: '<value:size>', show: SIZE.show },
  wait: { word: '<value:duration>', show: formatDuration },
}

/** One command for each row of the table of limits; the size of a message has its own, which is older. */
const LIMIT_FIELDS = (Object.keys(LIMIT_SPECS) as (keyof Limits)[]).filter(field => field !== 'messageSize')

const LIMIT_COMMANDS: readonly Spec[] = LIMIT_FIELDS.map(field => {
  const { word, of, least, help } = LIMIT_SPECS[field]
  return {
    syntax: `limit ${word} ${KINDS[of].word}`,
    help,
    words: { limit: 'how much, how many and how long' },
    apply: (config, args) => {
      const value = args.number('value')
      if (value < (least ?? 0)) {
        const hint = `expected ${least ?? 0} at least (RFC 5321 §4.5.3.1)`
        const message = `${KINDS[of].show(value)} is too little for ${word}`
        return { problems: [{ severity: 'error', message, hint, at: args.at('value') }] }
      }
      return { ...config, limits: { ...config.limits, [field]: value } }
    },
    remove: config => ({ ...config, limits: { ...config.limits, [field]: LIMITS[field] } }),
    noSyntax: `limit ${word}`,
    show: ({ limits }) => (limits[field] === LIMITS[field] ? [] : [`limit ${word} ${KINDS[of].show(limits[field])}`]),
  }
})

const MESSAGE_SIZE: Spec = {
  syntax: 'message-size <size>',
  help: LIMIT_SPECS.messageSize.help,
  apply: (config, args) => ({ ...config, limits: { ...config.limits, messageSize: args.number('size') } }),
  remove: config => ({ ...config, limits: { ...config.limits, messageSize: LIMITS.messageSize } }),
  noSyntax: 'message-size [<size>]',
  show: ({ limits: { messageSize } }) =>
    messageSize === LIMITS.messageSize ? [] : [`message-size ${SIZE.show(messageSize)}`],
}

function otherProxies({ proxies }: MtaConfig, args: Arguments): readonly TrustedProxy[] {
  const named = showNetwork(networkIn(args))
  return proxies.filter(({ network }) => showNetwork(network) !== named)
}

const TRUST_PROXY: Spec = {
  syntax: `trust-proxy ${NETWORK} <by:proxy-protocol|xclient>`,
  help: 'These peers say on whose behalf they speak, and are believed; nobody else is',
  apply: (config, args) => ({
    ...config,
    proxies: [...otherProxies(config, args), { network: networkIn(args), by: args.text('by') as TrustedProxy['by'] }],
  }),
  remove: (config, args) => ({ ...config, proxies: otherProxies(config, args) }),
  noSyntax: `trust-proxy ${NETWORK}`,
  show: ({ proxies }) => proxies.map(({ network, by }) => `trust-proxy ${showNetwork(network)} ${by}`),
}

const SESSIONS: Spec = {
  syntax: 'sessions <most:number> [per-client <each:number>] [per-minute <rate:number>]',
  help: 'Sessions at once, of one client, and new ones of it within a minute; who may relay is held to the first only',
  apply: (config, args) => ({
    ...config,
    sessions: {
      most: args.number('most'),
      perClient: args.number('each', EMPTY_MTA.sessions.perClient),
      perMinute: args.number('rate'),
    },
  }),
  remove: config => ({ ...config, sessions: EMPTY_MTA.sessions }),
  noSyntax: 'sessions',
  show: ({ sessions: { most, perClient, perMinute } }) => {
    const usual = EMPTY_MTA.sessions
    if (most === usual.most && perClient === usual.perClient && perMinute === usual.perMinute) return []
    const each = perClient === usual.perClient ? '' : ` per-client ${perClient}`
    return [`sessions ${most}${each}${perMinute === 0 ? '' : ` per-minute ${perMinute}`}`]
  },
}

const PIX_WORKAROUNDS: Spec = {
  syntax:
    'pix-workarounds {disable_esmtp delay_dotcrlf | disable_esmtp | delay_dotcrlf} [delay <delay:duration>] [threshold <threshold:duration>]',
  help: 'Towards a greeting that a PIX has masked: HELO instead of EHLO, and after a while in the queue the last dot on its own, as Postfix does',
  apply: (config, args) => ({
    ...config,
    workarounds: {
      names: WORKAROUNDS.filter(name => args.has(name)),
      delay: args.number('delay', EMPTY_MTA.workarounds.delay),
      threshold: args.number('threshold', EMPTY_MTA.workarounds.threshold),
    },
  }),
  remove: config => ({ ...config, workarounds: { ...EMPTY_MTA.workarounds, names: [] } }),
  noSyntax: 'pix-workarounds',
  show: ({ workarounds: { names, delay, threshold } }) => {
    if (names.length === 0) return ['no pix-workarounds']
    const usual = EMPTY_MTA.workarounds
    const words = [
      ...(names.length === usual.names.length && delay === usual.delay && threshold === usual.threshold ? [] : names),
      ...(delay === usual.delay ? [] : ['delay', formatDuration(delay)]),
      ...(threshold === usual.threshold ? [] : ['threshold', formatDuration(threshold)]),
    ]
    return words.length === 0 ? [] : [`pix-workarounds ${words.join(' ')}`]
  },
}

export const SESSION_COMMANDS: readonly Spec[] = [
  DIALECT,
  UNKNOWN_VERB,
  LISTEN,
  TLS,
  TLS_REQUIRED,
  EXTENSION,
  VRFY,
  ...LIMIT_COMMANDS,
  MESSAGE_SIZE,
  SESSIONS,
  TRUST_PROXY,
  PIX_WORKAROUNDS,
]
