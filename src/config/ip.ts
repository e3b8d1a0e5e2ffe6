/** The address as a number below 2^32, or `undefined`. No leading zeros: some would read them as octal. */
export function parseIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined
  let [value, parts, part, digits] = [0, 0, 0, 0]
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : DOT
    if (code === DOT) {
      if (digits === 0 || part > 255) return undefined
      value = value * 256 + part
      parts++
      part = 0
      digits = 0
    } else {
      const digit = code - ZERO
      if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) return undefined
      part = part * 10 + digit
      digits++
    }
  }
  return parts === 4 ? value : undefined
}

const DOT = 0x2e
const ZERO = 0x30

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map(shift => (value >>> shift) & 0xff).join('.')
}

/** The eight groups of an IPv6 address in any spelling of RFC 4291 §2.2, or `undefined`. No zone, no prefix length. */
export function parseIpv6(text: string): readonly number[] | undefined {
  if (text.length > 45) return undefined
  const [before = '', after, ...more] = text.split('::')
  if (more.length > 0) return undefined
  // An IPv4 address may only stand at the very end.
  const head = groups(before, after === undefined)
  if (after === undefined) return head?.length === 8 ? head : undefined
  const tail = groups(after, true)
  if (!head || !tail) return undefined
  const zeros = 8 - head.length - tail.length
  return zeros >= 1 ? [...head, ...new Array<number>(zeros).fill(0), ...tail] : undefined
}

function groups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return []
  const out: number[] = []
  const words = text.split(':')
  for (const [i, word] of words.entries()) {
    const ipv4 = mayEndInIpv4 && i === words.length - 1 ? parseIpv4(word) : undefined
    if (ipv4 !== undefined) out.push(ipv4 >>> 16, ipv4 & 0xffff)
    else if (/^[0-9A-Fa-f]{1,4}$/.test(word)) out.push(Number.parseInt(word, 16))
    else return undefined
  }
  return out
}

/** The one canonical spelling of RFC 5952 §4; an IPv4-mapped address ends in dots (§5). */
export function formatIpv6(groups: readonly number[]): string {
  if (groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)) {
    const [high = 0, low = 0] = groups.slice(6)
    return `::ffff:${formatIpv4(high * 0x1_0000 + low)}`
  }
  const { start, length } = longestZeros(groups)
  const hex = groups.map(group => group.toString(16))
  // A single zero group is written out (§4.2.2).
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

/** The longest run of zero groups, the first of equals (RFC 5952 §4.2.3). */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let run = 0
  for (const [i, group] of groups.entries()) {
    run = group === 0 ? run + 1 : 0
    if (run > best.length) best = { start: i + 1 - run, length: run }
  }
  return best
}

/** The canonical spelling of an IPv4 or IPv6 address, or `undefined`. */
export function canonicalIp(text: string): string | undefined {
  const ipv4 = parseIpv4(text)
  if (ipv4 !== undefined) return formatIpv4(ipv4)
  const ipv6 = parseIpv6(text)
  return ipv6 && formatIpv6(ipv6)
}

/**
 * An IPv4 address that is written as one of IPv6 (`::ffff:192.0.2.1`), as sockets and balancers of both families do, is that
 * IPv4 address: every rule means the latter. Of canonical spelling, as `canonicalIp` and the system give it.
 */
export function unmapped(ip: string): string {
  return ip.replace(/^::ffff:(?=[\d.]+$)/, '')
}

/** Whom an address stands for: of IPv6, the /64 that one host has all of (RFC 6177). */
export function hostOf(ip: string): string {
  const groups = ip.includes(':') ? parseIpv6(ip) : undefined
  return groups ? groups.slice(0, 4).join(':') : ip
}

/** How many leading bits a netmask keeps, or `undefined` where its bits have a gap. */
export function prefixLength(mask: number): number | undefined {
  const wildcard = 2 ** 32 - 1 - mask
  const length = 32 - Math.log2(wildcard + 1)
  return Number.isInteger(length) ? length : undefined
}

/** The netmask of an IPv6 prefix, written as an address: 32 → `ffff:ffff::`. */
export function mask6(length: number): string {
  return formatIpv6(
    Array.from({ length: 8 }, (_, i) => 0xffff & ~(0xffff >> Math.min(16, Math.max(0, length - 16 * i)))),
  )
}

/** The length of an IPv6 netmask, or `undefined` where it is none. */
export function prefixLength6(mask: string): number | undefined {
  const groups = parseIpv6(mask)
  const length = groups?.reduce((bits, group) => bits + group.toString(2).replaceAll('0', '').length, 0)
  return length !== undefined && mask6(length) === mask ? length : undefined
}

const PRIVATE_NETWORKS = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
] as const

/** Does it lead nowhere but to this machine? */
export function isLoopback(ip: string): boolean {
  const value = parseIpv4(ip)
  if (value !== undefined) return value >>> 24 === 127
  const groups = parseIpv6(ip)
  return groups !== undefined && formatIpv6(groups) === '::1'
}

/** Can only a network of one's own have this address: RFC 1918, RFC 4193, link-local, or loopback? */
export function isPrivate(ip: string): boolean {
  const value = parseIpv4(ip)
  if (value !== undefined) {
    return PRIVATE_NETWORKS.some(
      ([network, bits]) => value >>> (32 - bits) === (parseIpv4(network) ?? 0) >>> (32 - bits),
    )
  }
  const groups = parseIpv6(ip)
  if (!groups) return false
  const first = groups[0] ?? 0
  return isLoopback(ip) || (first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfe80
}
