import { lower } from '../base/bytes.ts'
import { type Duration, formatDuration, parseDuration } from '../base/time.ts'
import { formatMailbox, isDomain, parseMailbox } from '../smtp/address.ts'
import type { ArgumentKind } from './grammar.ts'
import { canonicalIp, formatIpv4, formatIpv6, parseIpv4, parseIpv6, prefixLength } from './ip.ts'

/**
 * The kinds of placeholder that every grammar knows.
 *
 * Each value has one canonical word: `read(show(value))` gives the value again. The word goes through `quote` of
 * `text.ts` where it may hold blanks: `word`, `text`, `file`, `address`.
 */
export interface CommonKind<T> extends ArgumentKind<T> {
  show(value: T): string
}

type Reading<T> = { readonly value: T } | { readonly wrong: string; readonly hint?: string }

function wrong(word: string, what: string, hint: string): Reading<never> {
  const shown = word.length > 60 ? `${word.slice(0, 60)}…` : word
  return { wrong: word === '' ? `an empty word is not ${what}` : `"${shown}" is not ${what}`, hint }
}

function plain(name: string, help: string): Pick<CommonKind<string>, 'name' | 'help' | 'show'> {
  return { name, help, show: value => value }
}

export const WORD: CommonKind<string> = {
  ...plain('word', 'one word; in quotation marks where it holds blanks'),
  read: word => (word === '' ? wrong(word, 'a word', 'expected at least one character') : { value: word }),
}

export const MAX_NAME_LENGTH = 64

export const NAME: CommonKind<string> = {
  ...plain('name', 'a name, such as inside or vpn_in'),
  read(word) {
    if (/^[A-Za-z0-9][A-Za-z0-9_./+-]*$/.test(word) && word.length <= MAX_NAME_LENGTH) return { value: word }
    const hint = `expected letters, digits and _ . / + -, beginning with a letter or digit, ${MAX_NAME_LENGTH} at most`
    return wrong(word, 'a name', hint)
  },
}

/** Digits, as a number that is exact; `undefined` for anything else. */
function whole(word: string): number | undefined {
  return /^\d{1,15}$/.test(word) ? Number(word) : undefined
}

export const NUMBER: CommonKind<number> = {
  name: 'number',
  help: 'a whole number, 0 or more',
  read(word) {
    const value = whole(word)
    return value === undefined ? wrong(word, 'a number', 'expected digits, 15 at most') : { value }
  },
  show: String,
}

/** The names the PIX gives to ports; a port is always shown as its number. */
export const PORT_NAMES: Readonly<Record<string, number>> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  www: 80,
  pop3: 110,
  imap4: 143,
  ldap: 389,
  https: 443,
}

function portOf(word: string): number | undefined {
  const port = Object.hasOwn(PORT_NAMES, word) ? PORT_NAMES[word] : whole(word)
  return port !== undefined && port >= 1 && port <= 65_535 ? port : undefined
}

export const PORT: CommonKind<number> = {
  name: 'port',
  help: 'a port, 1 to 65535, or its name, such as smtp',
  words: Object.keys(PORT_NAMES),
  read(word) {
    const value = portOf(word)
    if (value !== undefined) return { value }
    return wrong(word, 'a port', `expected 1 to 65535, or ${Object.keys(PORT_NAMES).join(', ')}`)
  },
  show: String,
}

export interface Ports {
  readonly from: number
  readonly to: number
}

export const PORTS: CommonKind<Ports> = {
  name: 'ports',
  help: 'a port or a range of ports, such as 25 or 25-26',
  words: Object.keys(PORT_NAMES),
  read(word) {
    const dash = word.indexOf('-')
    const from = portOf(dash < 0 ? word : word.slice(0, dash))
    const to = dash < 0 ? from : portOf(word.slice(dash + 1))
    if (from === undefined || to === undefined) {
      return wrong(word, 'a port or a range of ports', 'expected ports from 1 to 65535, such as 25 or 25-26')
    }
    if (from > to) return wrong(word, 'a range of ports', `expected the lower port first: ${to}-${from}`)
    return { value: { from, to } }
  },
  show: ({ from, to }) => (from === to ? `${from}` : `${from}-${to}`),
}

export const LEVEL: CommonKind<number> = {
  name: 'level',
  help: 'a security level: 0 is trusted least, 100 most',
  read(word) {
    const value = whole(word)
    if (value !== undefined && value <= 100) return { value }
    return wrong(word, 'a security level', 'expected 0 to 100')
  },
  show: String,
}

export const SECURITY: CommonKind<number> = {
  name: 'security',
  help: 'a security level: security0 is trusted least, security100 most',
  read(word) {
    const value = word.startsWith('security') ? whole(word.slice('security'.length)) : undefined
    if (value !== undefined && value <= 100) return { value }
    return wrong(word, 'a security level', 'expected security0 to security100, in one word')
  },
  show: value => `security${value}`,
}

export const IP: CommonKind<string> = {
  ...plain('ip', 'an IP address, such as 10.54.7.1 or 2001:db8::1'),
  named: true,
  read(word) {
    const value = canonicalIp(word)
    if (value !== undefined) return { value }
    if (word.includes('/'))
      return wrong(word, 'an IP address', 'expected no prefix length: write a mask as its own word')
    if (word.includes('%')) return wrong(word, 'an IP address', 'expected no zone after %')
    if (word.includes(':'))
      return wrong(word, 'an IPv6 address', 'expected eight groups of hex digits, or :: for zeros')
    if (!/^[\d.]+$/.test(word)) return wrong(word, 'an IP address', 'expected one such as 10.54.7.1 or 2001:db8::1')
    return wrong(word, 'an IPv4 address', 'expected four numbers from 0 to 255, without leading zeros')
  },
}

/** For an address that a netmask follows. */
export const IPV4: CommonKind<string> = {
  ...plain('ipv4', 'an IPv4 address, such as 10.54.7.1'),
  named: true,
  read(word) {
    const value = IP.read(word)
    if ('value' in value && value.value.includes(':')) {
      return wrong(
        word,
        'an IPv4 address',
        'expected one such as 10.54.7.1; an IPv6 network is written with its prefix length',
      )
    }
    return value
  },
}

export const MASK: CommonKind<string> = {
  ...plain('mask', 'a netmask, such as 255.255.255.0'),
  read(word) {
    const mask = parseIpv4(word)
    if (mask === undefined) return wrong(word, 'a netmask', 'expected one such as 255.255.255.0')
    if (prefixLength(mask) !== undefined) return { value: formatIpv4(mask) }
    const inverse = 2 ** 32 - 1 - mask
    if (prefixLength(inverse) === undefined)
      return wrong(word, 'a netmask', 'expected its ones to stand before its zeros')
    // IOS access lists write wildcards; the PIX writes masks. The mix-up is the classic one.
    return wrong(word, 'a netmask', `expected ${formatIpv4(inverse)}: this is the wildcard form of IOS`)
  },
}

export interface Prefix {
  readonly ip: string
  readonly length: number
}

export const PREFIX: CommonKind<Prefix> = {
  name: 'prefix',
  help: 'an IPv6 network, such as 2001:db8::/32',
  read(word) {
    const slash = word.indexOf('/')
    const ip = parseIpv6(word.slice(0, slash))
    const length = whole(word.slice(slash + 1))
    if (slash > 0 && ip && length !== undefined && length <= 128) return { value: { ip: formatIpv6(ip), length } }
    return wrong(word, 'an IPv6 network', 'expected an address and the length of its prefix, such as 2001:db8::/32')
  },
  show: ({ ip, length }) => `${ip}/${length}`,
}

export const DURATION: CommonKind<Duration> = {
  name: 'duration',
  help: 'a length of time, such as 250ms, 30s, 5m, 12h or 2d',
  read(word) {
    const value = parseDuration(word)
    // Beyond exact numbers, what is shown would not be what was written.
    if (value !== undefined && Number.isSafeInteger(value)) return { value }
    return wrong(word, 'a length of time', 'expected a number with ms, s, m, h or d, such as 30s or 2d')
  },
  show: formatDuration,
}

export const DOMAIN: CommonKind<string> = {
  ...plain('domain', 'a domain, such as mail-b.example'),
  read(word) {
    if (word.endsWith('.')) return wrong(word, 'a domain', 'expected no dot at the end')
    if (canonicalIp(word) !== undefined) return wrong(word, 'a domain', 'expected a name, not an IP address')
    // A last label of digits alone would be read as a misspelt IPv4 address elsewhere.
    if (isDomain(word) && !word.startsWith('[') && !/(?:^|\.)\d+$/.test(word)) return { value: lower(word) }
    return wrong(word, 'a domain', 'expected letters, digits and hyphens between dots, such as mail-b.example')
  },
}

export const ADDRESS: CommonKind<string> = {
  ...plain('address', 'a mail address, such as postmaster@a.example'),
  read(word) {
    const hint = 'expected local@domain, such as postmaster@a.example'
    if (word.startsWith('<')) return wrong(word, 'a mail address', 'expected it without < and >')
    const mailbox = parseMailbox(word)
    if ('wrong' in mailbox) return wrong(word, 'a mail address', `${mailbox.wrong}; ${hint}`)
    if (mailbox.domain === '') return wrong(word, 'a mail address', hint)
    return { value: formatMailbox({ ...mailbox, domain: lower(mailbox.domain) }) }
  },
}

const SIZES = [
  ['g', 2 ** 30],
  ['m', 2 ** 20],
  ['k', 2 ** 10],
] as const

/** A number of octets; `k`, `m` and `g` count in 1024s. */
export const SIZE: CommonKind<number> = {
  name: 'size',
  help: 'a size in bytes, or with k, m or g, such as 64k or 10m',
  read(word) {
    const [, digits = '', letter = ''] = /^(\d{1,15})([kmg]?)$/.exec(lower(word)) ?? []
    const value = Number(digits) * (SIZES.find(([name]) => name === letter)?.[1] ?? 1)
    if (digits !== '' && Number.isSafeInteger(value)) return { value }
    return wrong(word, 'a size', 'expected bytes, or a number with k, m or g, such as 64k or 10m')
  },
  show(value) {
    const [letter, size] = SIZES.find(([, each]) => value >= each && value % each === 0) ?? ['', 1]
    return `${value / size}${letter}`
  },
}

export const FILE: CommonKind<string> = {
  ...plain('file', 'the path of a file, such as tls/mail-a.pem'),
  read: word => (word === '' ? wrong(word, 'a path', 'expected one such as tls/mail-a.pem') : { value: word }),
}

export const TEXT: CommonKind<string> = {
  ...plain('text', 'any text'),
  read: word => ({ value: word }),
}

/** The common kinds, by the names they have in a syntax line. */
export const COMMON_KINDS: readonly ArgumentKind[] = [
  WORD,
  NAME,
  NUMBER,
  PORT,
  PORTS,
  LEVEL,
  SECURITY,
  IP,
  IPV4,
  MASK,
  PREFIX,
  DURATION,
  ADDRESS,
  DOMAIN,
  SIZE,
  FILE,
  TEXT,
]
