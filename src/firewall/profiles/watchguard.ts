import { lower, upper } from '../../base/bytes.ts'
import type { Duration } from '../../base/time.ts'
import { DURATION } from '../../config/argument.ts'
import { aLabels, domainKey } from '../../smtp/address.ts'
import type { Action, Cause, Match, Proxying, Rule, SizeKind, TextKind } from '../policy.ts'
import type { ProxyPolicy } from '../proxy.ts'
import { UNDERSTOOD } from '../proxy-offer.ts'
import { bannerRules, type Front, OPEN_FRONT, rateRules } from './front.ts'
import { Lines, type SettingLines } from './lines.ts'

/**
 * The SMTP proxy of a WatchGuard Firebox as its tabs have it, from WFS (1999-2004) to Fireware. What is not expressly
 * permitted is denied: lists are of what may pass, but for file names.
 *
 * Its help names the settings and few of their defaults. AUTH types, the idle timeout and the greeting are as documented;
 * the lists of headers, content types and file names are ours in its spirit.
 */
export interface WatchguardSettings extends Front {
  /* General. */
  readonly idle: Duration
  /** Octets of a message, of an address, of a line of a body; 0 for none, as in every limit here. */
  readonly messageSize: number
  readonly addressLength: number
  readonly lineLength: number
  readonly recipients: number
  /**
   * Fireware lets the first of too many recipients pass and drops the rest, and its help does not say that the client is
   * told. `drop` does so, and loses mail without a word; `refuse` says 452, so that the client sends them again.
   */
  readonly tooManyRecipients: 'refuse' | 'drop'
  /** What the greeting and the EHLO reply call the server, so that its own name stays inside; empty: as it calls itself. */
  readonly bannerName: string
  /** The name behind HELO: octets, and what it must look like. */
  readonly helloLength: number
  readonly helloPattern: string
  /* ESMTP. */
  readonly esmtp: boolean
  readonly extensions: ReadonlySet<string>
  readonly authTypes: ReadonlySet<string>
  readonly tls: Proxying['tls']
  /* Content types, file names, headers: `*` and `?` as in file names. */
  readonly contentTypes: ReadonlySet<string>
  readonly deniedFileNames: ReadonlySet<string>
  /** Fields of a header that may pass; `*` for all. */
  readonly headers: ReadonlySet<string>
  readonly denyMessage: string
  /* Address patterns. */
  readonly deniedSenders: ReadonlySet<string>
  readonly deniedRecipients: ReadonlySet<string>
  /** Outgoing: inside domains → the one that is shown. */
  readonly masquerade: ReadonlyMap<string, string>
}

const MINUTE: Duration = 60_000

/** Fields of RFC 5322, 2045, 2919, 3461, 6376 and 8601, and what mail programs cannot do without. */
const HEADERS: ReadonlySet<string> = new Set(
  (
    'BCC CC COMMENTS DATE FROM IN-REPLY-TO KEYWORDS MESSAGE-ID RECEIVED REFERENCES REPLY-TO RESENT-BCC RESENT-CC ' +
    'RESENT-DATE RESENT-FROM RESENT-MESSAGE-ID RESENT-SENDER RESENT-TO RETURN-PATH SENDER SUBJECT TO ' +
    'CONTENT-DESCRIPTION CONTENT-DISPOSITION CONTENT-ID CONTENT-LANGUAGE CONTENT-TRANSFER-ENCODING CONTENT-TYPE ' +
    'MIME-VERSION LIST-ARCHIVE LIST-HELP LIST-ID LIST-OWNER LIST-POST LIST-SUBSCRIBE LIST-UNSUBSCRIBE ' +
    'AUTHENTICATION-RESULTS DKIM-SIGNATURE AUTO-SUBMITTED DISPOSITION-NOTIFICATION-TO IMPORTANCE PRIORITY ' +
    'SENSITIVITY THREAD-INDEX THREAD-TOPIC X-MAILER X-PRIORITY USER-AGENT'
  ).split(' '),
)

const INCOMING: WatchguardSettings = {
  ...OPEN_FRONT,
  idle: 10 * MINUTE,
  messageSize: 10_240_000,
  addressLength: 256,
  lineLength: 0,
  recipients: 100,
  tooManyRecipients: 'refuse',
  bannerName: '',
  helloLength: 255,
  helloPattern: '^[A-Za-z0-9.:_\\-]*$|^\\[[A-Za-z0-9.:]*\\]$',
  esmtp: true,
  extensions: new Set(['SIZE', '8BITMIME', 'DSN', 'AUTH', 'STARTTLS', 'ENHANCEDSTATUSCODES', 'PIPELINING']),
  authTypes: new Set(['DIGEST-MD5', 'CRAM-MD5', 'PLAIN', 'LOGIN']),
  tls: 'off',
  contentTypes: new Set('text/* image/* audio/* video/* application/* multipart/* message/*'.split(' ')),
  deniedFileNames: new Set(
    '*.bat *.cmd *.com *.cpl *.dll *.exe *.hta *.js *.jse *.lnk *.msi *.pif *.reg *.scr *.vbe *.vbs *.wsf'.split(' '),
  ),
  headers: HEADERS,
  denyMessage: 'An attachment was removed here by the firewall, for its kind or its name.',
  deniedSenders: new Set(),
  deniedRecipients: new Set(),
  masquerade: new Map(),
}

const OUTGOING: WatchguardSettings = {
  ...INCOMING,
  contentTypes: new Set(['*']),
  deniedFileNames: new Set(),
  helloPattern: '',
}

/** The two profiles, by the words of their lines. */
export type FireboxProfile = 'smtp-incoming' | 'smtp-outgoing'

export const FIREBOX_DEFAULTS: Readonly<Record<FireboxProfile, WatchguardSettings>> = {
  'smtp-incoming': INCOMING,
  'smtp-outgoing': OUTGOING,
}

/** The settings that are lists, by the words of their lines. */
export type ListName =
  | 'extension'
  | 'auth-type'
  | 'header'
  | 'content-type'
  | 'denied-file-name'
  | 'denied-sender'
  | 'denied-recipient'

/** ESMTP options that have a box to tick. What turns the dialogue round, or speaks for another, no proxy passes on. */
export const TICKABLE: ReadonlySet<string> = new Set(
  [...UNDERSTOOD].filter(keyword => !['TURN', 'ATRN', 'XCLIENT'].includes(keyword)),
)

/** `SMTP-Incoming`: from anywhere to the server inside. */
export function smtpIncoming(
  cause: Cause,
  changes: Partial<WatchguardSettings> = {},
  lines: SettingLines = new Map(),
): ProxyPolicy {
  const settings = { ...INCOMING, ...changes }
  return watchguard(
    'WatchGuard SMTP-Incoming',
    'inbound',
    settings,
    new Lines('watchguard smtp-incoming', cause, lines),
  )
}

/** `SMTP-Outgoing`: from inside to anywhere. It looks at less; what it can do is to show other names than there are. */
export function smtpOutgoing(
  cause: Cause,
  changes: Partial<WatchguardSettings> = {},
  lines: SettingLines = new Map(),
): ProxyPolicy {
  const settings = { ...OUTGOING, ...changes }
  return watchguard(
    'WatchGuard SMTP-Outgoing',
    'outbound',
    settings,
    new Lines('watchguard smtp-outgoing', cause, lines),
  )
}

function watchguard(
  name: string,
  direction: 'inbound' | 'outbound',
  settings: WatchguardSettings,
  lines: Lines,
): ProxyPolicy {
  const rules = [
    ...bannerRules(settings, lines),
    ...greetings(settings, lines),
    ...esmtp(settings, lines),
    ...limits(settings, lines),
    ...addresses(settings, lines),
    ...content(settings, lines),
    ...rateRules(settings, lines),
  ]
  const [shown] = settings.masquerade.keys()
  const idle = lines.by('idle', `idle-timeout ${DURATION.show(2 * settings.idle)}`)
  const settled = {
    tls: settings.esmtp ? lines.by('tls', 'tls pass') : lines.by('esmtp', 'esmtp'),
    chunking: lines.by('extension CHUNKING', 'extension CHUNKING'),
    name: lines.by('bannerName', 'no banner-name'),
    hideServer: lines.by('bannerName', 'no banner-name'),
    command: idle,
    data: idle,
    reply: idle,
    write: idle,
    ...(shown !== undefined && { masquerade: lines.by(`masquerade ${shown}`, `no masquerade ${shown}`) }),
  }
  const { cause } = lines
  return { name, engine: engineOf(settings), rules, directions: new Set([direction]), cause, settled }
}

function engineOf({ idle, esmtp, tls, extensions, bannerName, masquerade }: WatchguardSettings): Proxying {
  return {
    kind: 'proxy',
    // Without ESMTP there is nothing that STARTTLS could be learnt from.
    tls: esmtp ? tls : 'off',
    onwardTls: 'may',
    authInClear: true,
    talkingAhead: 'wait',
    xclient: 'never',
    chunking: esmtp && extensions.has('CHUNKING') ? 'pass' : 'off',
    ...(bannerName !== '' && { name: bannerName }),
    hideServer: bannerName !== '',
    // In A-labels, which may stand in every message.
    masquerade: new Map([...masquerade].map(([inside, shown]) => [domainKey(inside), aLabels(shown)])),
    waits: { pregreet: 0, command: idle, data: idle, reply: idle, write: idle, session: 24 * 60 * MINUTE, error: 0 },
    minDataRate: 0,
    softErrors: 0,
  }
}

function greetings(settings: WatchguardSettings, lines: Lines): readonly Rule[] {
  const { bannerName, helloLength, helloPattern, esmtp } = settings
  const refused = answer(501, '5.5.4', 'Invalid greeting')
  const longer = lines.by('helloLength', 'hello-length <number>')
  const rules: Rule[] = over('hello', helloLength, refused, 'the name behind HELO is too long', longer)
  if (bannerName === '' && !esmtp) {
    // As WFS said it: no product, no host, no ESMTP.
    const action = { kind: 'replace', by: 'SMTP service ready' } as const
    const reason = 'the greeting shows no server'
    rules.push({ match: { on: 'greeting' }, action, reason, cause: lines.by('esmtp', 'esmtp') })
  }
  if (helloPattern !== '') {
    rules.push({
      match: { on: 'not', match: { on: 'text', what: 'hello', like: [helloPattern] } },
      action: refused,
      reason: 'the name behind HELO holds characters that no name has',
      cause: lines.by('helloPattern', 'hello-pattern .'),
    })
  }
  return rules
}

/** Verbs that stand and fall with an option. */
const OPTION_VERBS = ['ETRN', 'X-EXPS', 'X-LINK2STATE', 'XEXCH50']

function esmtp(settings: WatchguardSettings, lines: Lines): readonly Rule[] {
  const { esmtp: isOn, extensions, authTypes } = settings
  const unknown = answer(500, '5.5.1', 'Command unrecognized')
  const disabled = { action: unknown, reason: 'such commands are disabled' }
  const unticked = [...TICKABLE].filter(keyword => !extensions.has(keyword))
  const reason = 'the ESMTP option is not ticked'
  const strip = { kind: 'strip' } as const
  return [
    { match: { on: 'word', what: 'verb', in: new Set(['DEBUG', 'WIZ', 'KILL', 'TURN', 'ATRN']) }, ...disabled },
    ...unticked
      .filter(keyword => OPTION_VERBS.includes(keyword))
      .map(keyword => {
        const cause = lines.by(`extension ${keyword}`, `extension ${keyword}`)
        return { match: { on: 'word', what: 'verb', in: new Set([keyword]) }, ...disabled, cause } as const
      }),
    ...(isOn
      ? []
      : [
          {
            match: { on: 'word', what: 'verb', in: new Set(['EHLO', 'AUTH', 'STARTTLS', 'BDAT']) },
            ...disabled,
            cause: lines.by('esmtp', 'esmtp'),
          } as const,
        ]),
    ...unticked.map(keyword => {
      const isOutOfReach = keyword === 'BINARYMIME' && looksInside(settings)
      const cause = isOutOfReach ? lines.cause : lines.by(`extension ${keyword}`, `extension ${keyword}`)
      return {
        match: { on: 'word', what: 'ehlo-keyword', in: new Set([keyword]) },
        action: strip,
        reason,
        cause,
      } as const
    }),
    {
      match: { on: 'not', match: { on: 'word', what: 'ehlo-keyword', in: extensions } },
      action: strip,
      reason: 'no ESMTP option is called so',
    },
    ...unlisted('auth-type', 'auth-mechanism', authTypes, 'the AUTH type is not on the list', lines),
  ]
}

/** A binary message could not be looked into, ticked or not. */
function looksInside({ headers, contentTypes, deniedFileNames, masquerade }: WatchguardSettings): boolean {
  return !headers.has('*') || !contentTypes.has('*') || deniedFileNames.size > 0 || masquerade.size > 0
}

/** Words that are not on a list are left out: by their own line where one took them off, else by the profile's. */
function unlisted(
  list: ListName,
  what: 'auth-mechanism' | 'header-field',
  words: ReadonlySet<string>,
  reason: string,
  lines: Lines,
): readonly Rule[] {
  const action = { kind: 'strip' } as const
  return [
    ...lines.off(list).map(word => {
      const cause = lines.by(`${list} ${word}`, `${list} ${word}`)
      return { match: { on: 'word', what, in: new Set([word]) }, action, reason, cause } as const
    }),
    {
      match: { on: 'not', match: { on: 'word', what, in: words } },
      action,
      reason,
      cause: lines.by('', `${list} <word>`),
    },
  ]
}

function limits(settings: WatchguardSettings, lines: Lines): readonly Rule[] {
  const { messageSize, addressLength, lineLength, recipients, tooManyRecipients } = settings
  const tooLarge = answer(552, '5.3.4', 'Message size exceeds the limit')
  const tooLong = answer(501, '5.1.3', 'Address too long')
  const tooMany: Action = tooManyRecipients === 'drop' ? { kind: 'strip' } : answer(452, '4.5.3', 'Too many recipients')
  const message = lines.by('messageSize', 'message-size <size>')
  const address = lines.by('addressLength', 'address-length <number>')
  const line = lines.by('lineLength', 'line-length <number>')
  return [
    ...over('message', messageSize, tooLarge, 'the message is larger than allowed', message),
    ...over('sender', addressLength, tooLong, 'the address is longer than allowed', address),
    ...over('recipient', addressLength, tooLong, 'the address is longer than allowed', address),
    ...over('body-line', lineLength, answer(554, '5.6.0', 'Line too long'), 'a line is longer than allowed', line),
    ...over(
      'recipients',
      recipients,
      tooMany,
      'there are more recipients than allowed',
      lines.by('recipients', 'recipients <number>'),
    ),
  ]
}

function addresses({ deniedSenders, deniedRecipients }: WatchguardSettings, lines: Lines): readonly Rule[] {
  const action = answer(550, '5.7.1', 'Address denied')
  const reason = 'the address is on the list of denied patterns'
  return [
    ...denied('denied-sender', deniedSenders, { what: 'sender', action, reason, lines }),
    ...denied('denied-recipient', deniedRecipients, { what: 'recipient', action, reason, lines }),
  ]
}

/** One rule for each, as each may have its line. */
function denied(
  list: ListName,
  globs: ReadonlySet<string>,
  { what, lines, ...rest }: { what: TextKind; action: Action; reason: string; lines: Lines },
): readonly Rule[] {
  return [...globs].map(glob => ({
    match: { on: 'text', what, like: [patternOf(glob)] },
    ...rest,
    cause: lines.by(`${list} ${glob}`, `no ${list} ${glob}`),
  }))
}

function content(settings: WatchguardSettings, lines: Lines): readonly Rule[] {
  const { contentTypes, deniedFileNames, headers, denyMessage } = settings
  const action: Action = { kind: 'replace', by: denyMessage }
  const rules: Rule[] = []
  if (!contentTypes.has('*')) {
    const types: Match = { on: 'text', what: 'mime-type', like: [...contentTypes].map(patternOf) }
    const reason = 'the content type is not on the list'
    const cause = lines.by('', 'content-type <word>')
    rules.push({ match: { on: 'not', match: types }, action, reason, cause })
  }
  const reason = 'the file name is on the list of denied ones'
  rules.push(...denied('denied-file-name', deniedFileNames, { what: 'filename', action, reason, lines }))
  if (!headers.has('*')) {
    rules.push(...unlisted('header', 'header-field', headers, 'the header is not on the list', lines))
  }
  return rules
}

/** `*.exe` as a pattern (`pattern.ts`), of the whole text, in whatever case. */
function patternOf(glob: string): string {
  const inner = glob.replace(/[^0-9]/g, char => {
    if (/[A-Za-z]/.test(char)) return `[${lower(char)}${upper(char)}]`
    return char === '*' ? '.*' : char === '?' ? '.' : `\\${char}`
  })
  return `^${inner}$`
}

/** No rule where there is no limit. */
function over(what: SizeKind, most: number, action: Action, reason: string, cause: Cause): Rule[] {
  return most === 0 ? [] : [{ match: { on: 'size', what, over: most }, action, reason: `${reason} (${most})`, cause }]
}

function answer(code: number, status: string, text: string): Action {
  return { kind: 'answer', reply: { code, status, text } }
}
