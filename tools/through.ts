/** What each firewall that we can play leaves of an extension, by putting it through: a column of `docs/esmtp.md` each. */
import { bytes, text } from '../src/base/bytes.ts'
import { defaultEsmtpMap } from '../src/firewall/esmtp-map.ts'
import { Inspector, type Side } from '../src/firewall/inspector.ts'
import type { Cause, Policy } from '../src/firewall/policy.ts'
import { asa } from '../src/firewall/profiles/asa.ts'
import { pix } from '../src/firewall/profiles/pix.ts'
import { strict } from '../src/firewall/profiles/strict.ts'
import { smtpIncoming } from '../src/firewall/profiles/watchguard.ts'
import { makeOffer } from '../src/firewall/proxy-offer.ts'
import type { ProxyPolicy } from '../src/firewall/proxy-rules.ts'
import { Rules } from '../src/firewall/proxy-rules.ts'
import type { Offer } from '../src/smtp/capabilities.ts'
import { EXTENSIONS, type Extension } from '../src/smtp/extension.ts'

export interface Through {
  /** The head of its column. */
  readonly name: string
  pass(extension: Extension): string
}

const AT = { file: 'firewall.conf', line: 1, column: 1, length: 1, text: '' }
const CAUSE: Cause = { at: AT, command: 'inspect', cure: 'no inspect' }

/** Another profile is another row. */
export const THROUGH: readonly Through[] = [
  inPlace('PIX 4.0', pix('4.0', CAUSE)),
  inPlace('PIX 5.1-6.x', pix('5.1', CAUSE)),
  inPlace(
    'ASA',
    asa(defaultEsmtpMap(AT), CAUSE, () => ({ isAny: false, like: [] })),
  ),
  proxy('WatchGuard SMTP-Incoming', smtpIncoming(CAUSE)),
  proxy('strict', strict(CAUSE)),
]

/** All that a server could offer, so that each has its line. */
const ALL: Offer = {
  maxSize: 67_108_864,
  maxRecipients: 1000,
  maxMessages: 1000,
  mechanisms: ['PLAIN', 'LOGIN'],
  loggedIn: false,
  secured: false,
  startTls: true,
  services: new Set(['RELAY', ...EXTENSIONS.map(({ keyword }) => keyword)]),
  now: 0,
}

function lineOf({ keyword, advertise }: Extension): string {
  return advertise?.(ALL) ?? advertise?.({ ...ALL, secured: true }) ?? keyword
}

/** Arguments of the verbs that are not well-formed without. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  BDAT: ' 5 LAST',
  AUTH: ' LOGIN',
  'X-EXPS': ' LOGIN',
  VRFY: ' bob',
  EXPN: ' staff',
  ETRN: ' c.example',
  'X-LINK2STATE': ' LAST CHUNK={0} ',
  XEXCH50: ' 4 2',
  XCLIENT: ' ADDR=192.0.2.1',
}

/** A box that alters what passes: what comes out of the line and of the verb. */
function inPlace(name: string, policy: Policy): Through {
  return {
    name,
    pass(extension) {
      const inspector = new Inspector(policy)
      const put = (from: Side, line: string): string =>
        inspector
          .receive(from, bytes(`${line}\r\n`))
          .flatMap(output => (output.kind === 'forward' ? [text(output.bytes).trimEnd()] : []))
          .join('')
      put('server', '220 mail.example ESMTP')
      const hello = put('client', 'EHLO c.example')
      const said: string[] = []
      if (!hello.startsWith('EHLO')) said.push(`no list: EHLO is \`${word(hello)}\``)
      else {
        const line = lineOf(extension)
        const [, last = ''] = put('server', `250-mail.example\r\n250 ${line}`).split('\r\n')
        said.push(last === `250 ${line}` ? 'listed' : last === '' ? 'taken out' : `listed as \`${last.slice(4)}\``)
      }
      for (const verb of extension.verbs ?? []) {
        const wanted = verb.toUpperCase()
        const got = word(put('client', `${wanted}${ARGUMENTS[wanted] ?? ''}`))
        said.push(got === wanted ? `${wanted} passes` : `${wanted} ${got === '' ? 'is held back' : `is \`${got}\``}`)
      }
      return said.join('; ')
    },
  }
}

function word(line: string): string {
  return line.split(' ', 1)[0] ?? ''
}

/** Asked about where they are to be had at all: under TLS (RFC 8689 §2). */
const UNDER_TLS = new Set(['REQUIRETLS', 'AUTH'])

/** A box that speaks for itself: what it tells the client that may be said. */
function proxy(name: string, policy: ProxyPolicy): Through {
  return {
    name,
    pass(extension) {
      const secured = UNDER_TLS.has(extension.keyword)
      const leg = { secured, canSecure: true, loggedIn: false, edits: false }
      const heard = { code: 250, text: ['mail.example', 'CHUNKING', lineOf(extension)] }
      const args = makeOffer(heard, new Rules(policy, {}, { tell() {}, slow() {} }), leg).keywords.get(
        extension.keyword,
      )
      if (!args) return 'taken out'
      const line = [extension.keyword, ...args].join(' ')
      return line === lineOf(extension).replaceAll('=', ' ') ? 'listed' : `listed as \`${line}\``
    },
  }
}
