/** SMTP MTA Strict Transport Security (RFC 8461): what a domain says of its servers and their TLS. */
import { lower } from '../base/bytes.ts'
import type { Duration } from '../base/time.ts'

export interface StsPolicy {
  readonly mode: 'enforce' | 'testing' | 'none'
  /** `mx.example` or `*.example`. */
  readonly mx: readonly string[]
  readonly maxAge: Duration
}

/** Octets of a policy (RFC 8461 §3.3 suggests 64 KiB), and lines that name servers. */
export const MOST_POLICY = 65_536
export const MOST_PATTERNS = 100
/** RFC 8461 §3.2: about a year. */
export const LONGEST_POLICY: Duration = 31_557_600_000

/** The id of a domain's policy, from the TXT records of `_mta-sts`; none unless exactly one is there (RFC 8461 §3.1). */
export function stsId(records: readonly string[]): string | undefined {
  const said = records.filter(each => /^v=STSv1[ \t]*(?:;|$)/.test(each))
  if (said.length !== 1) return undefined
  return /;[ \t]*id[ \t]*=[ \t]*([A-Za-z0-9]{1,32})[ \t]*(?:;|$)/.exec(said[0] ?? '')?.[1]
}

/** RFC 8461 §3.2. Total: a policy, or what is wrong with it. */
export function parseStsPolicy(text: string): StsPolicy | { readonly wrong: string } {
  const fields = new Map<string, string>()
  const mx: string[] = []
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue
    const [, name, value] = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined) return { wrong: `not a field: ${line.slice(0, 64)}` }
    if (name === 'mx') mx.push(lower(value))
    // Of a field that stands twice only the first counts.
    else if (!fields.has(name)) fields.set(name, value)
  }
  const [version, mode, age] = ['version', 'mode', 'max_age'].map(name => fields.get(name))
  if (version !== 'STSv1') return { wrong: 'version: expected STSv1' }
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') {
    return { wrong: 'mode: expected enforce, testing or none' }
  }
  if (age === undefined || !/^\d{1,10}$/.test(age)) return { wrong: 'max_age: expected seconds' }
  if (mode !== 'none' && mx.length === 0) return { wrong: 'mx: expected at least one' }
  if (mx.length > MOST_PATTERNS) return { wrong: `mx: expected ${MOST_PATTERNS} at most` }
  return { mode, mx, maxAge: Math.min(Number(age) * 1000, LONGEST_POLICY) }
}

/** Is this server one of the policy's? `*` stands for one label, the first (RFC 8461 §4.1). */
export function isNamed({ mx }: StsPolicy, host: string): boolean {
  const name = lower(host)
  return mx.some(pattern => {
    if (!pattern.startsWith('*.')) return pattern === name
    const dot = name.indexOf('.')
    return dot > 0 && name.slice(dot) === pattern.slice(1)
  })
}
