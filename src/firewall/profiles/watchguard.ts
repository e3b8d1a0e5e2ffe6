import type { Duration } from '../../base/time.ts'
import type { Action, Cause, Match, Proxying, Rule, SizeKind, TextKind } from '../policy.ts'
import type { ProxyPolicy } from '../proxy.ts'

/**
 * The SMTP proxy of a WatchGuard Firebox as its tabs have it, from WFS (1999-2004) to Fireware. What is not expressly
 * permitted is denied: lists are of what may pass, but for file names.
 *
 * Its help names the settings and few of their defaults. AUTH types, the idle timeout and the greeting are as documented;
 * the lists of headers, content types and file names are ours in its spirit.
 */
export interface WatchguardSettings {
  /* General. */
  readonly idle: Duration
  /** Octets of a message, of an address, of a line of a body; 0 for none. */
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
  readonly contentTypes: readonly string[]
  readonly deniedFileNames: readonly string[]
  /** Fields of a header that may pass; empty: all. */
  readonly headers: ReadonlySet<string>
  readonly denyMessage: string
  /* Address patterns. */
  readonly deniedSenders: readonly string[]
  readonly deniedRecipients: readonly string[]
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
  contentTypes: ['text/*', 'image/*', 'audio/*', 'video/*', 'application/*', 'multipart/*', 'message/*'],
  deniedFileNames:
    '*.bat *.cmd *.com *.cpl *.dll *.exe *.hta *.js *.jse *.lnk *.msi *.pif *.reg *.scr *.vbe *.vbs *.wsf'.split(' '),
  headers: HEADERS,
  denyMessage: 'An attachment was removed here by the firewall, for its kind or its name.',
  deniedSenders: [],
  deniedRecipients: [],
  masquerade: new Map(),
}

/** `SMTP-Incoming`: from anywhere to the server inside. */
export function smtpIncoming(cause: Cause, changes: Partial<WatchguardSettings> = {}): ProxyPolicy {
  return watchguard('WatchGuard SMTP-Incoming', 'inbound', cause, { ...INCOMING, ...changes })
}

/** `SMTP-Outgoing`: from inside to anywhere. It looks at less; what it can do is to show other names than there are. */
export function smtpOutgoing(cause: Cause, changes: Partial<WatchguardSettings> = {}): ProxyPolicy {
  const outgoing = { ...INCOMING, contentTypes: ['*'], deniedFileNames: [], helloPattern: '' }
  return watchguard('WatchGuard SMTP-Outgoing', 'outbound', cause, { ...outgoing, ...changes })
}

function watchguard(
  name: string,
  direction: 'inbound' | 'outbound',
  cause: Cause,
  settings: WatchguardSettings,
): ProxyPolicy {
  const rules = [
    ...greetings(settings),
    ...esmtp(settings),
    ...limits(settings),
    ...addresses(settings),
    ...content(settings),
  ]
  return { name, engine: engineOf(settings), rules, directions: new Set([direction]), cause }
}

function engineOf({ idle, esmtp, tls, extensions, bannerName, masquerade }: WatchguardSettings): Proxying {
  return {
    kind: 'proxy',
    // Without ESMTP there is nothing that STARTTLS could be learnt from.
    tls: esmtp ? tls : 'off',
    onwardTls: 'may',
    authInClear: true,
    talkingAhead: 'wait',
    xclient: false,
    chunking: esmtp && extensions.has('CHUNKING') ? 'pass' : 'off',
    ...(bannerName !== '' && { name: bannerName }),
    hideServer: bannerName !== '',
    masquerade,
    waits: { pregreet: 0, command: idle, data: idle, reply: idle, write: idle, session: 24 * 60 * MINUTE },
    minDataRate: 0,
  }
}

function greetings({ bannerName, helloLength, helloPattern, esmtp }: WatchguardSettings): readonly Rule[] {
  const refused = answer(501, '5.5.4', 'Invalid greeting')
  const rules: Rule[] = [over('hello', helloLength, refused, 'the name behind HELO is too long')]
  if (bannerName === '') {
    // As WFS said it: no product, no host, no ESMTP.
    const greeting = { kind: 'replace', by: 'SMTP service ready' } as const
    if (!esmtp) rules.push({ match: { on: 'greeting' }, action: greeting, reason: 'the greeting shows no server' })
  }
  if (helloPattern !== '') {
    rules.push({
      match: { on: 'not', match: { on: 'text', what: 'hello', like: [helloPattern] } },
      action: refused,
      reason: 'the name behind HELO holds characters that no name has',
    })
  }
  return rules
}

function esmtp({ esmtp: isOn, extensions, authTypes }: WatchguardSettings): readonly Rule[] {
  const unknown = answer(500, '5.5.1', 'Command unrecognized')
  const verbs = new Set(['DEBUG', 'WIZ', 'KILL', 'TURN', 'ATRN', 'X-EXPS', 'X-LINK2STATE', 'XEXCH50'])
  if (!extensions.has('ETRN')) verbs.add('ETRN')
  if (!isOn) for (const verb of ['EHLO', 'AUTH', 'STARTTLS', 'BDAT']) verbs.add(verb)
  return [
    { match: { on: 'word', what: 'verb', in: verbs }, action: unknown, reason: 'such commands are disabled' },
    {
      match: { on: 'not', match: { on: 'word', what: 'ehlo-keyword', in: extensions } },
      action: { kind: 'strip' },
      reason: 'the ESMTP option is not ticked',
    },
    {
      match: { on: 'not', match: { on: 'word', what: 'auth-mechanism', in: authTypes } },
      action: { kind: 'strip' },
      reason: 'the AUTH type is not on the list',
    },
  ]
}

function limits({
  messageSize,
  addressLength,
  lineLength,
  recipients,
  tooManyRecipients,
}: WatchguardSettings): readonly Rule[] {
  const tooLarge = answer(552, '5.3.4', 'Message size exceeds the limit')
  const tooLong = answer(501, '5.1.3', 'Address too long')
  const tooMany: Action = tooManyRecipients === 'drop' ? { kind: 'strip' } : answer(452, '4.5.3', 'Too many recipients')
  const all: readonly (readonly [SizeKind, number, Action, string])[] = [
    ['message', messageSize, tooLarge, 'the message is larger than allowed'],
    ['sender', addressLength, tooLong, 'the address is longer than allowed'],
    ['recipient', addressLength, tooLong, 'the address is longer than allowed'],
    ['body-line', lineLength, answer(554, '5.6.0', 'Line too long'), 'a line is longer than allowed'],
    ['recipients', recipients, tooMany, 'there are more recipients than allowed'],
  ]
  return all.flatMap(([what, most, action, reason]) => (most === 0 ? [] : [over(what, most, action, reason)]))
}

function addresses({ deniedSenders, deniedRecipients }: WatchguardSettings): readonly Rule[] {
  const denied = (what: TextKind, globs: readonly string[]): readonly Rule[] =>
    globs.length === 0
      ? []
      : [
          {
            match: { on: 'text', what, like: globs.map(patternOf) },
            action: answer(550, '5.7.1', 'Address denied'),
            reason: 'the address is on the list of denied patterns',
          },
        ]
  return [...denied('sender', deniedSenders), ...denied('recipient', deniedRecipients)]
}

function content({ contentTypes, deniedFileNames, headers, denyMessage }: WatchguardSettings): readonly Rule[] {
  const removed: Action = { kind: 'replace', by: denyMessage }
  const rules: Rule[] = []
  if (!contentTypes.includes('*')) {
    const types: Match = { on: 'text', what: 'mime-type', like: contentTypes.map(patternOf) }
    rules.push({ match: { on: 'not', match: types }, action: removed, reason: 'the content type is not on the list' })
  }
  if (deniedFileNames.length > 0) {
    const names: Match = { on: 'text', what: 'filename', like: deniedFileNames.map(patternOf) }
    rules.push({ match: names, action: removed, reason: 'the file name is on the list of denied ones' })
  }
  if (headers.size > 0) {
    const fields: Match = { on: 'word', what: 'header-field', in: headers }
    const action = { kind: 'strip' } as const
    rules.push({ match: { on: 'not', match: fields }, action, reason: 'the header is not on the list' })
  }
  return rules
}

/** `*.exe` as a pattern (`pattern.ts`), of the whole text. */
function patternOf(glob: string): string {
  const inner = glob.replace(/[^A-Za-z0-9]/g, char => (char === '*' ? '.*' : char === '?' ? '.' : `\\${char}`))
  return `^${inner}$`
}

function over(what: SizeKind, most: number, action: Action, reason: string): Rule {
  return { match: { on: 'size', what, over: most }, action, reason: `${reason} (${most})` }
}

function answer(code: number, status: string, text: string): Action {
  return { kind: 'answer', reply: { code, status, text } }
}
