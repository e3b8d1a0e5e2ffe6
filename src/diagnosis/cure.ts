/** What to do: the lines that cure it at the box, the way round it for who sends, and what to look at if it is another. */
import type { Alteration } from './alteration.ts'
import type { Suspect } from './suspect.ts'

export interface Cure {
  /** On what: `Cisco PIX 4.2-6.x`. */
  readonly on: string
  /** Lines to type, word for word. */
  readonly lines: readonly string[]
  readonly note: string
}

interface Remedy {
  readonly vendor: string
  /** Only for suspects whose id begins so. */
  readonly id?: string
  readonly cures: readonly Cure[]
}

const ASA_CURE: Cure = {
  on: 'Cisco ASA, keeping the inspection',
  lines: [
    'policy-map type inspect esmtp POSTERN',
    ' parameters',
    '  allow-tls',
    '  no mask-banner',
    'policy-map global_policy',
    ' class inspection_default',
    '  no inspect esmtp',
    '  inspect esmtp POSTERN',
  ],
  note: 'a map of its own has no "match ehlo-reply-parameter others", so every keyword passes; verbs beyond its fifteen (BDAT) still do not',
}

const REMEDIES: readonly Remedy[] = [
  {
    vendor: 'cisco-pix',
    id: 'pix-4.0',
    cures: [
      {
        on: 'Cisco PIX 4.0-4.1',
        lines: [
          'no mailhost GLOBAL-IP LOCAL-IP',
          'static GLOBAL-IP LOCAL-IP',
          'conduit GLOBAL-IP 25 tcp 0.0.0.0 0.0.0.0',
        ],
        note: 'mailhost is a static with MailGuard: in its place a static without',
      },
    ],
  },
  {
    vendor: 'cisco-pix',
    cures: [
      {
        on: 'Cisco PIX 4.2-6.x',
        lines: ['no fixup protocol smtp 25', 'write memory'],
        note: 'with the port: without it the line puts port 25 back. Open connections keep their treatment until they end',
      },
      {
        on: 'Cisco FWSM, and PIX or ASA from 7.0 on with inspect smtp',
        lines: ['policy-map global_policy', ' class inspection_default', '  no inspect smtp', '  no inspect esmtp'],
        note: 'a fixup of an older text became this line when the box was upgraded',
      },
    ],
  },
  {
    vendor: 'cisco-asa',
    cures: [
      ASA_CURE,
      {
        on: 'Cisco ASA, without the inspection',
        lines: ['policy-map global_policy', ' class inspection_default', '  no inspect esmtp'],
        note: 'BDAT and everything private between Exchange servers passes only so',
      },
    ],
  },
  {
    vendor: 'cisco-ios',
    cures: [
      {
        on: 'Cisco IOS firewall',
        lines: ['no ip inspect name NAME smtp', 'no ip inspect name NAME esmtp'],
        note: 'show ip inspect config tells NAME',
      },
    ],
  },
  {
    vendor: 'watchguard',
    cures: [
      {
        on: 'WatchGuard Firebox',
        lines: [
          'SMTP-Incoming > ESMTP > Settings: Enable ESMTP, and tick CHUNKING, 8-bit MIME, Binary MIME, ETRN',
          'SMTP-Incoming > STARTTLS Encryption: allow it',
          'or a packet filter policy SMTP in the place of the SMTP proxy',
        ],
        note: 'with ESMTP off, STARTTLS is off as well',
      },
    ],
  },
  {
    vendor: 'postern',
    cures: [
      {
        on: 'Postern, strict',
        lines: ["postern firewall type NAME 'show explain'"],
        note: 'it tells each thing that it kept back, and the line that lets it through',
      },
    ],
  },
  {
    vendor: 'interceptor',
    cures: [
      {
        on: 'the network that the mail leaves by',
        lines: [
          'ask for port 25 to be passed untouched, or send by a smarthost on port 587 or 465 with TLS from the start',
        ],
        note: 'the server at the other end has nothing to do with it',
      },
    ],
  },
  {
    vendor: 'desktop',
    cures: [
      {
        on: 'the machine that the mail leaves by',
        lines: ['switch off the mail shield of the virus scanner for outgoing mail, or exempt port 25'],
        note: 'it reads the mail on the machine anyway, when it is written to disk',
      },
    ],
  },
]

const ELSEWHERE: Cure = {
  on: 'whatever stands there',
  lines: ['pass TCP port 25 between these two without inspection (a packet filter in the place of an SMTP proxy)'],
  note: 'names vary: fixup, inspect, proxy, ALG, deep inspection, mail shield',
}

export function curesOf(suspects: readonly Suspect[], alterations: readonly Alteration[]): readonly Cure[] {
  if (alterations.length === 0) return []
  const [first] = suspects
  const remedy = REMEDIES.find(
    ({ vendor, id }) => vendor === first?.vendor && (id === undefined || first.id.startsWith(id)),
  )
  return remedy?.cures ?? [ELSEWHERE]
}

/** What the sending side can do until somebody has typed the cure. */
export function aroundOf(alterations: readonly Alteration[]): readonly string[] {
  const around: string[] = []
  const has = (...kinds: readonly Alteration['kind'][]) => alterations.some(({ kind }) => kinds.includes(kind))
  const about = (subject: string) =>
    alterations.some(each => each.subject === subject || each.candidates?.includes(subject))
  if (has('greeting')) {
    around.push(
      'Postfix: a masked greeting makes it say HELO, so that there is no TLS whatever the server offers. For this server alone: smtp_pix_workaround_maps = hash:/etc/postfix/pix, with the line "SERVER-IP delay_dotcrlf" (without disable_esmtp)',
    )
  }
  if (has('keyword-masked', 'keyword-missing') || about('STARTTLS')) {
    around.push(
      'Postfix: smtp_tls_policy_maps with "DOMAIN may" lets mail to this domain go in clear, and to no other; that is a decision about secrecy, not a repair',
    )
  }
  if (about('EHLO') || about('BDAT') || about('CHUNKING')) {
    around.push(
      'Exim: hosts_avoid_esmtp = SERVER-IP says HELO from the beginning, and saves a refused EHLO for every message',
    )
    around.push('Exchange has no way round it: X-EXPS, X-LINK2STATE and XEXCH50 exist behind EHLO alone')
  }
  if (has('fragment'))
    around.push('Test with a program that sends whole lines (openssl, swaks, postern), not by typing into telnet')
  around.push('A tunnel or TLS from the first octet (port 465) that ends behind the box hides all of it')
  return around
}

export function checksOf(suspects: readonly Suspect[]): readonly string[] {
  const [first] = suspects
  const checks = [
    'the same test from a place on the other side of the suspect (postern diagnose there, then postern diagnose --compare HERE.json THERE.json)',
    'the same test against a server that has nothing to do with it (--control HOST): if it shows the same, the cause is near you',
    'postern listen behind the suspect, and postern diagnose --far before it: every altered octet, proven',
  ]
  if (!first) checks.unshift('nobody on our list would have done just this: the server itself may be odd')
  return checks
}
